"""The launcher on a real SLURM; skipped where there is none. docs/sweeps.md says how to run these."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from test_launcher import LONG, finish, results, start, status
from test_resume import wait_until

from genreg.study import slurm

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _cluster() -> None:
    try:
        up = subprocess.run(["sinfo", "-h"], capture_output=True, timeout=20).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        up = False
    if not up:
        pytest.skip("no SLURM: sinfo does not answer (docs/sweeps.md)")


SWEEP = [*LONG, "steps=16000", "seed=range(3)"]
SLURM = [*SWEEP, "hydra/launcher=slurm", "hydra.launcher.poll_s=1"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[bytes, str]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert finish(folder, *SWEEP).code == 0
    return results(folder)


def tasks(folder: Path) -> dict[str, str]:
    """State of every task in the queue that was submitted for `folder`."""
    known = "".join(path.read_text() for path in (folder / "slurm").glob("*.json"))
    return {task: state for task, state in (slurm._queue() or {}).items() if f'"{task}"' in known}


def checkpoints(folder: Path) -> list[Path]:
    return list(folder.rglob("checkpoint-*.pt"))


def starts(folder: Path) -> list[int]:
    return sorted(path.read_text().count('"started"') for path in folder.rglob("environment.json"))


def test_a_sweep_to_its_end(
    undisturbed: dict[str, tuple[bytes, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where accounting is absent: sacct fails, as on some clusters."""
    broken = tmp_path / "bin" / "sacct"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'Slurm accounting storage is disabled' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken.parent}:{os.environ['PATH']}")
    folder = tmp_path / "runs"
    answer = finish(folder, *SLURM)
    assert answer.code == 0, answer
    assert results(folder) == undisturbed
    again = finish(folder, *SLURM)
    assert "3 finished, 0 to run" in again.out
    assert len(list((folder / "slurm").glob("*.json"))) == 1


def test_cancelled_then_started_again(undisturbed: dict[str, tuple[bytes, str]], tmp_path: Path) -> None:
    process = start(tmp_path, *SLURM)
    wait_until(lambda: checkpoints(tmp_path))
    subprocess.run(["scancel", *{task.partition("_")[0] for task in tasks(tmp_path)}], check=True)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "interrupted" in status(tmp_path)
    assert finish(tmp_path, *SLURM).code == 0
    assert results(tmp_path) == undisturbed
    assert max(starts(tmp_path)) == 2


def test_put_back_by_the_administrator(undisturbed: dict[str, tuple[bytes, str]], tmp_path: Path) -> None:
    process = start(tmp_path, *SLURM)
    wait_until(lambda: checkpoints(tmp_path))
    running = [task for task, state in tasks(tmp_path).items() if state == "RUNNING"]
    subprocess.run(["scontrol", "requeue", running[0]], check=True)
    _, err = process.communicate(timeout=400)
    assert process.returncode == 0, err
    assert results(tmp_path) == undisturbed
    assert max(starts(tmp_path)) == 2


def test_ended_by_the_time_limit(tmp_path: Path) -> None:
    """A job longer than its limit saves in time, goes back into the queue and ends as if it had one start."""
    one = [
        *LONG,
        "steps=100000",
        "checkpoint_every=100000",
        "eval_every=500",
        "log_every=500",
        "seed=range(2)",
    ]
    assert finish(tmp_path / "alone", *one).code == 0
    limit = ["hydra/launcher=slurm", "hydra.launcher.poll_s=1", "hydra.launcher.timeout_min=1",
             "hydra.launcher.signal_delay_s=40"]  # fmt: skip
    process = start(tmp_path / "limited", *one, *limit)
    out, err = process.communicate(timeout=580)
    assert process.returncode == 0, (out, err)
    assert results(tmp_path / "limited") == results(tmp_path / "alone")
    assert starts(tmp_path / "limited")[-1] > 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_second_launcher_submits_only_what_is_missing(
    undisturbed: dict[str, tuple[bytes, str]], tmp_path: Path, number: int
) -> None:
    process = start(tmp_path, *SLURM)
    wait_until(lambda: checkpoints(tmp_path))
    process.send_signal(number)
    process.communicate(timeout=60)
    assert len(tasks(tmp_path)) == 3  # they go on without it
    more = ["seed=range(4)" if option.startswith("seed=") else option for option in SLURM]
    answer = finish(tmp_path, *more)
    assert answer.code == 0
    assert "3 jobs are in the queue already" in answer.out
    assert starts(tmp_path) == [1, 1, 1, 1]
    ended = results(tmp_path)
    assert {place: ended[place] for place in undisturbed} == undisturbed
