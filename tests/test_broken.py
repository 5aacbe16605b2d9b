"""A machine that fails: the run is broken, not failed, is tried again, and decides nothing meanwhile."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Result
from faults import Say, content, full, points, strike
from faults import said as said
from synthetic import write_run, write_sweep
from test_loop import Counter, run

from genreg.errors import MachineError
from genreg.run.folder import RunFolder

Genreg = Callable[..., Result]

FAULTS: dict[str, Callable[[], BaseException]] = {
    "io": lambda: OSError(errno.EIO, "Input/output error"),
    "full": lambda: OSError(errno.ENOSPC, "No space left on device", "x"),
    "stale": lambda: OSError(errno.ESTALE, "Stale file handle"),
    "memory": lambda: MemoryError("Unable to allocate 1.00 TiB for an array"),
    "torch": lambda: RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    "cuda": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_machine_that_fails_breaks_a_run_and_the_next_start_goes_on(tmp_path: Path, fault: str) -> None:
    def fail() -> None:
        raise FAULTS[fault]()

    whole = run(tmp_path / "whole", Counter())
    with pytest.raises(Exception, match=r"^.+$") as raised:
        run(tmp_path / "cut", Counter({7: fail}))
    assert "\n" not in str(raised.value)
    assert RunFolder(tmp_path / "cut").summary()["status"] == "broken"
    resumed = run(tmp_path / "cut", Counter())
    for name in ("metrics.jsonl", "weights.pt", "last_weights.pt"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert {**resumed, "seconds": 0} == {**whole, "seconds": 0}


def test_the_reason_names_the_file_that_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", refuse)
        with pytest.raises(MachineError):
            run(tmp_path, Counter())
    reason = RunFolder(tmp_path).summary()["reason"]
    assert reason == f"{tmp_path / 'metrics.jsonl'}: Input/output error"


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("[Errno 5] Input/output error", "broken"),
        ("[Errno 28] No space left on device: 'x/metrics.jsonl'", "broken"),
        ("its worker was ended by SIGKILL, 3 times", "broken"),
        ("its worker was ended with exit code 3, 3 times", "failed"),
        ("out of memory on cuda after step 0, with task.batch_size=32, try smaller ones", "broken"),
        ("MemoryError", "broken"),
        ("diverged: vat is nan at step 812; try a smaller optimizer.lr or weight", "failed"),
        ("mat1 and mat2 shapes cannot be multiplied", "failed"),
        (3, "failed"),
    ],
)
def test_earlier_versions_called_it_failed(tmp_path: Path, reason: Any, status: str) -> None:
    write_run(tmp_path / "seed=0", 0.9, status="failed", reason=reason)
    assert RunFolder(tmp_path / "seed=0").summary()["status"] == status


CAUSE = "a/metrics.jsonl: No space left on device"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two arms of eight seeds, one of which is broken; it was better in every other."""
    draw, root = np.random.default_rng(0), tmp_path / "study"
    for arm, quality in (("none", 0.8), ("vat", 0.9)):
        for seed in range(8):
            lost = {"status": "broken", "reason": CAUSE} if (arm, seed) == ("vat", 3) else {}
            write_run(root / arm / f"seed={seed}", quality + draw.normal(0, 0.01), **lost)
    arms: list[dict[str, Any]] = [{"name": name, "folder": name} for name in ("none", "vat")]
    write_sweep(root, arms, seeds=list(range(8)), baseline="none")
    return root


@pytest.mark.parametrize("form", ["html", "markdown", "csv", "json", "latex", "summary"])
def test_every_format_names_it_and_its_cause(genreg: Genreg, study: Path, form: str) -> None:
    text = genreg("report", str(study), "--format", form, "--output", "text").out + Path("text").read_text()
    assert "broken" in text
    assert CAUSE in text.replace("\\_", "_")


def test_it_is_no_pair_and_no_failure(genreg: Genreg, study: Path) -> None:
    (part,) = json.loads(genreg("report", str(study), "--format", "json").out)["parts"]
    _, vat = sorted(part["arms"], key=lambda arm: arm["arm"])
    assert (vat["failed"], vat["unfinished"], vat["difference_pairs"], vat["verdict"]) == (0, 1, 7, "better")
    assert vat["difference_by"] != "ranks"
    assert vat["broken"] == f"seed 3: {CAUSE}"


def test_ls_show_plan_and_the_terminal_name_it(genreg: Genreg, study: Path) -> None:
    for command in (["ls", "study"], ["show", "study/vat/seed=3"], ["report", "study"],
                    ["plan", "study", "--difference", "1"]):  # fmt: skip
        answer = genreg(*command)
        assert (answer.code, "broken" in answer.out) == (0, True), answer
        assert CAUSE in answer.out
    assert "7 done, 1 broken" in genreg("ls", "study").out


def test_an_arm_with_a_broken_trial_is_not_compared(genreg: Genreg, study: Path) -> None:
    """Neither is any other, if it is the baseline: the winner may be another one."""
    for number in range(2):
        lost = {"status": "failed", "reason": "[Errno 5] Input/output error"} if number else {}
        write_run(study / f"trial-{number}" / "seed=100", 0.8, **lost)
    trials = [{"values": {"optimizer.lr": 10.0**-n}, "folder": f"trial-{n}"} for n in range(2)]
    tuning = {"metric": "validation/accuracy", "planned": 2, "space": {}, "seeds": [100], "trials": trials}
    for tuned in ("none", "vat"):
        arms = [{"name": name, "folder": name} | ({"tuning": tuning} if name == tuned else {})
                for name in ("none", "vat")]  # fmt: skip
        write_sweep(study, arms, seeds=list(range(8)), baseline="none")
        (part,) = json.loads(genreg("report", str(study), "--format", "json").out)["parts"]
        found = {arm["arm"]: arm for arm in part["arms"]}
        assert found["vat"]["verdict"] == "not judged"
        assert "tuning is broken: not compared" in found["vat"]["remark"]
        assert "optimizer.lr=0.1 seed 100: [Errno 5] Input/output error" in found[tuned]["broken"]


SWEEP = """# tuned
parts:
  p:
    experiments: [smoke/none, smoke/vat]
    overrides: [logger=none, steps=20, checkpoint_every=5, measure=none, device=cpu]
    metric: test/accuracy
    select: validation/accuracy
    seeds: 5
    tune:
      trials: 2
      seeds: [100]
      space: {"*": {optimizer.lr: [1e-3, 3e-2]}}
"""


@pytest.fixture
def sweep(tmp_path: Path) -> list[str]:
    (tmp_path / "mine/sweep").mkdir(parents=True)
    (tmp_path / "mine/sweep/own.yaml").write_text(SWEEP)
    return ["train", "--config-dir", str(tmp_path / "mine"), "sweep=own", "hydra.launcher.workers=1"]


@pytest.mark.full
def test_a_broken_trial_decides_nothing_and_the_next_start_the_same_as_undisturbed(
    genreg: Genreg, sweep: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One EIO at one fsync of the trial that wins: seen to change the winner for good."""
    answers = {}
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        if name == "cut":
            winner = answers["whole"][1]["parts"][0]["arms"][1]["folder"]
            with monkeypatch.context() as broken:
                broken.setattr(os, "fsync", eio_once(f"{winner}/seed=100", tmp_path / "struck"))
                first = genreg(*sweep)
            assert (tmp_path / "struck").exists()
            assert first.code == 1
            assert "1 of 4 jobs are broken, by the machine and not the method" in first.err
            assert not list(Path("outputs/own").rglob("seed=0"))  # nothing is decided without it
        assert genreg(*sweep).code == 0
        report = genreg("report", "outputs/own", "--format", "csv").out
        answers[name] = report, json.loads(Path("outputs/own/sweep.json").read_bytes())
    assert answers["cut"] == answers["whole"]
    runs = {path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("metrics.jsonl")}
    for path in runs:
        assert (tmp_path / "cut" / path).read_bytes() == (tmp_path / "whole" / path).read_bytes()


def eio_once(place: str, struck: Path) -> Callable[[int], None]:
    """An fsync that fails once below a folder, in whichever process."""
    sync = os.fsync

    def failing(descriptor: int) -> None:
        if place in os.readlink(f"/proc/self/fd/{descriptor}") and not struck.exists():
            struck.touch()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(descriptor)

    return failing


@pytest.mark.full
def test_a_job_that_ends_before_it_is_recorded_ends_the_sweep(
    genreg: Genreg, sweep: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It went round for ever: the stage was not over, and started again."""

    def fail(*_: Any) -> None:
        raise RuntimeError("no such thing")

    monkeypatch.setattr("genreg.run.build.build_task", fail)
    answer = genreg(*sweep)
    assert answer.code == 1
    assert "4 of 4 jobs failed" in answer.err


@pytest.mark.parametrize(("kind", "every"), full({"EIO": 997, "kill": 101}))
def test_a_fault_where_a_sweep_is_judged(
    genreg: Genreg, sweep: list[str], monkeypatch: pytest.MonkeyPatch, said: Say, kind: str, every: int
) -> None:
    """All runs have finished, and the launcher reads them: never another winner, nor another verdict."""
    root = Path("outputs").absolute()
    assert genreg(*sweep).code == 0
    whole = content(root)
    path = root / "own/sweep.json"
    path.unlink()
    _, faults = strike(monkeypatch, root, "EIO", 0, lambda: genreg(*sweep))
    trials = [k for k, seen in enumerate(faults.seen, 1) if seen.startswith("open") and "=100/sum" in seen]
    for at in [*points(faults.count, every, kind), *(trials[:: every // 997] if kind == "EIO" else [])]:
        path.unlink()
        answer, struck = strike(monkeypatch, root, kind, at, lambda: genreg(*sweep))
        assert not path.exists() or path.read_bytes() == whole["own/sweep.json"], struck.struck
        if answer:
            assert len(answer.err.splitlines()) <= 2, (struck.struck, answer)
        said()
        assert genreg(*sweep).code == 0
        assert content(root) == whole, struck.struck


@pytest.mark.full
def test_a_reader_that_goes_breaks_no_run(tmp_path: Path) -> None:
    """As of `genreg train ... 2>&1 | head -1`: what is printed afterwards goes nowhere, the run goes on."""
    command = [sys.executable, "-m", "genreg", "train", "steps=20", "eval_every=5", "logger=none"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout
    assert process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=120) == 0
    (summary,) = tmp_path.rglob("summary.json")
    assert json.loads(summary.read_text())["status"] == "done"
