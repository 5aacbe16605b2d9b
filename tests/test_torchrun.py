"""`torchrun -m genreg train`: one run of several processes, stopped, killed and resumed by other numbers."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Result
from test_resume import wait_until

from genreg.run import ranks
from genreg.run.folder import RunFolder

RUN = ["train", "regularizer=vat", "model.dropout=0.2", "task.batch_size=12", "task.unlabeled_batch_size=24",
       "device=cpu", "logger=none", "steps=300", "checkpoint_every=20", "eval_every=100"]  # fmt: skip


def start(processes: int, folder: Path, *more: str) -> subprocess.Popen[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", f"{processes}"]
    command = [
        sys.executable,
        *(launcher if processes > 1 else []),
        "-m",
        "genreg",
        *RUN,
        f"output_dir={folder}",
    ]
    return subprocess.Popen([*command, *more], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def told(process: subprocess.Popen[str]) -> list[str]:
    """What genreg has printed as errors when it ended, without what torchrun says."""
    _, err = process.communicate(timeout=200)
    return [line for line in err.splitlines() if line.startswith("genreg: ")]


def run_in(folder: Path) -> RunFolder:
    (path,) = folder.glob("*/*/seed=0")
    return RunFolder(path)


def workers(process: subprocess.Popen[str]) -> list[int]:
    return [
        int(word) for word in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ]


@pytest.mark.slow
def test_stopped_killed_and_resumed_by_other_numbers_of_processes(tmp_path: Path) -> None:
    alone = start(1, tmp_path / "alone")
    assert told(alone) == []

    folder = tmp_path / "shared"
    process = start(2, folder)
    wait_until(lambda: list(folder.rglob("checkpoint-*.pt")))
    process.send_signal(signal.SIGINT)
    assert [line.partition(" at ")[0] for line in told(process)] == ["genreg: interrupted"]
    assert run_in(folder).summary()["status"] == "interrupted"

    before = {path.name for path in folder.rglob("checkpoint-*.pt")}
    process = start(3, folder)
    wait_until(lambda: {path.name for path in folder.rglob("checkpoint-*.pt")} - before)
    subprocess.run(["kill", "-9", f"{workers(process)[1]}"], check=True)
    assert told(process) == [f"genreg: {ranks.ENDED}"]
    assert run_in(folder).summary()["status"] == "broken"

    assert told(start(1, folder)) == []
    assert [start.get("processes") for start in run_in(folder).environments()] == [2, 3, None]
    ours, theirs = (run_in(tmp_path / name).rows() for name in ("shared", "alone"))
    for row, expected in zip(ours, theirs, strict=True):
        assert row == pytest.approx(expected, rel=0.02, abs=0.02)  # float32


@pytest.mark.slow
def test_what_cannot_be_shared_is_refused_in_one_line(tmp_path: Path) -> None:
    process = start(2, tmp_path, "regularizer=mixup")
    (line,) = told(process)
    assert line.startswith("genreg: regularizer.mixup: expected one that 2 processes can share")
    assert not list(tmp_path.iterdir())


def test_a_sweep_is_for_a_launcher(genreg: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    answer = genreg("train", "-m", "seed=range(2)")
    assert answer.code == 2
    assert answer.err.startswith("genreg: torchrun: expected one run")
