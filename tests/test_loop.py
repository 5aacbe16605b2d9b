"""The loop on a task whose every number is known."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from genreg.errors import DeviceMemoryError, DivergedError, InputError, Interrupted
from genreg.run import loop
from genreg.run.folder import RunFolder
from genreg.run.task import Task


class Counter(Task):
    """Step k (from 0) has the term `value` k + 1; a weight counts steps; validation peaks at step 6."""

    selection = ("validation/accuracy", "max")
    progress = ("validation/accuracy",)
    device = torch.device("cpu")
    checksums: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, at: dict[int, Callable[[], Any]] | None = None) -> None:
        self.count, self.at = torch.zeros(()), at or {}

    def step(self, step: int) -> dict[str, Tensor]:
        value = self.at.get(step, lambda: None)()
        self.count += 1
        term = torch.tensor(float(step + 1))
        return {"fine": term, "value": term if value is None else torch.tensor(value)}

    def evaluate(self) -> dict[str, float]:
        return {"validation/accuracy": -abs(self.count.item() - 6), "test/accuracy": self.count.item()}

    def weights(self) -> dict[str, Tensor]:
        return {"count": self.count.clone()}

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = state["count"].clone()


OPTIONS = {"steps": 11, "log_every": 4, "eval_every": 3, "checkpoint_every": 5}


def run(folder: Path, task: Counter, **options: Any) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    return loop.run(task, RunFolder(folder), **{**OPTIONS, **options})


def test_rows_means_and_selection(tmp_path: Path) -> None:
    shown: list[dict[str, Any]] = []
    view = type("View", (), {"show": lambda self, row, pictures: shown.append(row)})()
    summary = run(tmp_path, Counter(), views=[view])
    rows = RunFolder(tmp_path).rows()
    assert rows == shown
    assert [row["step"] for row in rows] == [3, 4, 6, 8, 9, 11]
    assert [row["train/value"] for row in rows if "train/value" in row] == [2.5, 6.5, 10.0]
    assert summary["status"] == "done"
    assert summary["best"] == {"step": 6, "validation/accuracy": 0.0, "test/accuracy": 6.0}
    assert summary["last"]["step"] == 11
    assert torch.load(tmp_path / "weights.pt", weights_only=True) == {"count": torch.tensor(6.0)}
    assert torch.load(tmp_path / "last_weights.pt", weights_only=True) == {"count": torch.tensor(11.0)}
    assert not list(tmp_path.glob("checkpoint-*"))
    assert [row["step"] for row in RunFolder(tmp_path).timing()] == [3, 4, 6, 8, 9, 11]


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("stop", [None, 7])
def test_the_first_of_equal_best_evaluations_keeps_its_weights(
    tmp_path: Path, mode: str, stop: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps 6, 9 and 11 are equally good, also where the run was stopped and resumed between them."""
    sign = 1 if mode == "max" else -1

    def evaluate(self: Counter) -> dict[str, float]:
        return {"validation/accuracy": sign * min(self.count.item(), 5.0), "test/accuracy": self.count.item()}

    monkeypatch.setattr(Counter, "evaluate", evaluate)
    monkeypatch.setattr(Counter, "selection", ("validation/accuracy", mode))
    if stop:
        with pytest.raises(Interrupted):
            run(tmp_path, Counter({stop: lambda: os.kill(os.getpid(), signal.SIGTERM)}))
    summary = run(tmp_path, Counter())
    assert summary["best"] == {"step": 6, "validation/accuracy": 5.0 * sign, "test/accuracy": 6.0}
    assert torch.load(tmp_path / "weights.pt", weights_only=True) == {"count": torch.tensor(6.0)}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("step", [0, 4, 9, 10])
def test_a_term_that_is_not_finite_is_named_with_its_step(tmp_path: Path, step: int, value: float) -> None:
    with pytest.raises(DivergedError, match=rf"diverged: value is {value} at step {step + 1};"):
        run(tmp_path, Counter({step: lambda: value}))
    summary = RunFolder(tmp_path).summary()
    assert summary["status"] == "failed"
    assert f"step {step + 1}" in summary["reason"]
    for path in tmp_path.glob("checkpoint-*"):
        saved = torch.load(path, weights_only=True)["pending"]
        assert saved.isfinite().all()  # a diverged state is never saved


def test_an_error_is_recorded_and_raised(tmp_path: Path) -> None:
    def fail() -> None:
        raise RuntimeError("shapes differ\nwith details")

    with pytest.raises(RuntimeError):
        run(tmp_path, Counter({7: fail}))
    summary = RunFolder(tmp_path).summary()
    assert (summary["status"], summary["reason"]) == ("failed", "shapes differ")


def test_a_device_without_memory_breaks_the_run_with_a_remedy(tmp_path: Path) -> None:
    def fail() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB\nwith details")

    task = Counter({7: fail})
    task.sizes = {"task.batch_size": 32, "task.unlabeled_batch_size": 128}
    line = ("out of memory on cpu after step 7, with task.batch_size=32, task.unlabeled_batch_size=128, "
            "try smaller ones, precision=bf16 or device=cpu")  # fmt: skip
    with pytest.raises(DeviceMemoryError, match=f"^{line}$") as raised:
        run(tmp_path, task)
    assert raised.value.exit_code == 1
    summary = RunFolder(tmp_path).summary()
    assert (summary["status"], summary["reason"]) == ("broken", line)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [0, 4, 9])
def test_a_signal_saves_and_the_next_start_continues(tmp_path: Path, step: int, number: int) -> None:
    before = signal.getsignal(number)
    whole = run(tmp_path / "whole", Counter())
    with pytest.raises(Interrupted, match=rf"interrupted at step {step + 1}; the same command resumes"):
        run(tmp_path / "cut", Counter({step: lambda: os.kill(os.getpid(), number)}))
    assert RunFolder(tmp_path / "cut").summary()["status"] == "interrupted"
    resumed = run(tmp_path / "cut", Counter())
    assert signal.getsignal(number) is before
    assert RunFolder(tmp_path / "cut").rows() == RunFolder(tmp_path / "whole").rows()
    assert {**resumed, "seconds": 0} == {**whole, "seconds": 0}


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Counter({2: twice}))
    assert json.loads((tmp_path / "summary.json").read_text())["status"] == "interrupted"


def test_a_task_without_selection_keeps_its_last_weights(tmp_path: Path) -> None:
    task = Counter()
    task.selection = None  # type: ignore[assignment]
    assert run(tmp_path, task)["best"] is None
    assert torch.load(tmp_path / "weights.pt", weights_only=True) == {"count": torch.tensor(11.0)}


def killed(folder: Path) -> list[Path]:
    """The checkpoints, of steps 3 and 6, of a run killed at step 8; rows of steps 3, 4, 6 and 8."""

    def kill() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(folder, Counter({8: kill}), checkpoint_every=3)
    return sorted(folder.glob("checkpoint-*"))


@pytest.mark.parametrize("name", ["metrics.jsonl", "timing.jsonl"])
def test_rows_cut_below_a_checkpoint_go_on_from_the_one_before(tmp_path: Path, name: str) -> None:
    run(tmp_path / "whole", Counter())
    _, newest = killed(tmp_path / "cut")
    file = tmp_path / "cut" / name
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:2]))
    seen: list[bool] = []
    run(tmp_path / "cut", Counter({4: lambda: seen.append(newest.exists())}))
    assert seen == [False]
    whole, cut = (RunFolder(tmp_path / name) for name in ("whole", "cut"))
    assert (cut.path / "metrics.jsonl").read_bytes() == (whole.path / "metrics.jsonl").read_bytes()
    assert [row["step"] for row in cut.timing()] == [3, 4, 6, 8, 9, 11]


def test_rows_that_reach_no_checkpoint_are_not_made_up(tmp_path: Path) -> None:
    before = killed(tmp_path / "cut")
    (tmp_path / "cut" / "metrics.jsonl").unlink()
    with pytest.raises(InputError, match=r"metrics.jsonl: expected the first \d+ bytes.*--again.*'0 bytes'"):
        run(tmp_path / "cut", Counter())
    assert sorted((tmp_path / "cut").glob("checkpoint-*")) == before
    assert not (tmp_path / "cut" / "metrics.jsonl").exists()


def test_a_checkpoint_of_other_code_is_named_with_what_to_do(tmp_path: Path) -> None:
    class Other(Counter):
        def load_state_dict(self, state: dict[str, Any]) -> None:
            raise RuntimeError("Missing key(s):\n\tcounts")

    before = killed(tmp_path / "run")
    with pytest.raises(
        InputError, match=rf"{before[-1].name}: expected a checkpoint of this code \(--again.*"
    ) as said:
        run(tmp_path / "run", Other())
    assert len(str(said.value).splitlines()) == 1
    assert sorted((tmp_path / "run").glob("checkpoint-*")) == before
