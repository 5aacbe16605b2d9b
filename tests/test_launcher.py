"""Many jobs at once: what fails, what is stopped, what is killed, and what a second launcher leaves alone."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from conftest import Result
from test_resume import wait_until

from genreg.run.folder import RunFolder
from genreg.study import local
from genreg.study.job import Job, Outcome, run
from genreg.study.table import Table

Genreg = Callable[..., Result]

TINY = ["model.replicas=2", "model.d=3", "eval_every=10", "log_every=10", "logger=none", "device=cpu"]
VALLEY = ["experiment=anti_pgd_valley/anti_pgd", *TINY]
SCALARS: dict[str, Any] = {
    "name": "a", "steps": 1, "seed": 0, "device": "cpu", "precision": "fp32", "eval_every": 1, "log_every": 1,
    "checkpoint_every": 1, "data_dir": None, "output_dir": "outputs", "quiet": True,
}  # fmt: skip
LONG = [*VALLEY, "steps=4000", "checkpoint_every=100"]


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "genreg", "train", "-m", f"output_dir={folder}", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(folder: Path, *arguments: str) -> Result:
    process = start(folder, *arguments)
    out, err = process.communicate(timeout=1500)
    return Result(process.returncode, out, err)


def workers(process: subprocess.Popen[str]) -> list[int]:
    """Process ids of a launcher's children."""
    with suppress(FileNotFoundError):
        return [int(p) for p in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    return []


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked after does not."""
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def status(folder: Path) -> list[str]:
    return [RunFolder(path.parent).summary().get("status", "") for path in folder.rglob("summary.json")]


def results(folder: Path) -> dict[str, tuple[bytes, str]]:
    """Rows and status of every run, by its place."""
    runs = [path.parent for path in folder.rglob("summary.json")]
    return {
        run.relative_to(folder).as_posix(): (
            (run / "metrics.jsonl").read_bytes(),
            RunFolder(run).summary()["status"],
        )
        for run in runs
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[bytes, str]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert finish(folder, *LONG, "seed=range(4)").code == 0
    return results(folder)


def test_failures_are_listed_and_not_run_again(genreg: Genreg, tmp_path: Path) -> None:
    """A run that diverges fails; the others go on; only retry_failed runs it once more."""
    grid = ["train", "-m", "experiment=anti_pgd_valley/gd", *TINY, "steps=40", "optimizer.lr=0.01,1e9"]
    first = genreg(*grid, "seed=range(2)")
    assert first.code == 1
    assert first.err.count("diverged") == 1
    assert "(2 jobs)" in first.err
    assert first.err.count("optimizer.lr=1000000000.0 ") == 2
    assert first.err.strip().endswith("genreg: 2 of 4 jobs failed")
    assert sorted(status(tmp_path)) == ["done", "done", "failed", "failed"]
    logs = list(tmp_path.rglob("job.log"))
    assert len(logs) == 4
    assert sum("diverged" in log.read_text() for log in logs) == 2
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("summary.json")}
    again = genreg(*grid, "seed=range(2)")
    assert again.code == 1
    assert "2 finished, 2 failed (hydra.launcher.retry_failed=true runs them again), 0 to run" in again.out
    assert again.err.count("(2 jobs, failed before, not run again)") == 1
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("summary.json")} == stamps
    retried = genreg(*grid, "seed=range(2)", "hydra.launcher.retry_failed=true")
    assert "2 to run" in retried.out
    assert sum(path.stat().st_mtime_ns != stamps[path] for path in stamps) == 2
    command = next(line for line in first.err.splitlines() if line.startswith("  genreg train"))
    assert genreg(*command.split()[1:]).code == 1


@pytest.mark.full
def test_stop_at_the_first_failure(genreg: Genreg, tmp_path: Path) -> None:
    options = ["hydra.launcher.keep_going=false", "hydra.launcher.workers=1"]
    answer = genreg("train", "-m", "experiment=anti_pgd_valley/gd", *TINY, "steps=40",
                    "optimizer.lr=1e9,0.01,0.02", *options)  # fmt: skip
    assert answer.code == 1
    assert "1 of 3 jobs failed, 2 are left" in answer.err
    assert status(tmp_path) == ["failed"]


def test_bad_input_of_one_job_leaves_no_folder(genreg: Genreg, tmp_path: Path) -> None:
    """Of what is seen when the data are read; wrong values are told before anything starts."""
    given = ["model.widths=[4]", "steps=2", "logger=none", "device=cpu", "dataset.labeled=9,100"]
    answer = genreg("train", "-m", *given)
    assert answer.code == 2
    assert len([path for path in (tmp_path / "outputs").rglob("*") if path.name == "seed=0"]) == 1


@pytest.mark.full
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_and_started_again(
    undisturbed: dict[str, tuple[bytes, str]], tmp_path: Path, number: int
) -> None:
    """Ctrl-C of a terminal goes to the launcher alone; running jobs save, the same command goes on."""
    process = start(tmp_path, *LONG, "seed=range(4)", "hydra.launcher.workers=2")
    wait_until(lambda: len({path.parent for path in tmp_path.rglob("checkpoint-*.pt")}) == 2)
    children = workers(process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "the same command goes on" in err
    assert not any(map(alive, children))
    assert status(tmp_path).count("interrupted") == 2
    assert finish(tmp_path, *LONG, "seed=range(4)").code == 0
    assert results(tmp_path) == undisturbed


@pytest.mark.full
def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    """Workers that do not answer (stopped here) do not keep a person waiting."""
    process = start(tmp_path, *LONG, "seed=range(4)", "hydra.launcher.workers=2")
    wait_until(lambda: list(tmp_path.rglob("checkpoint-*.pt")))
    children = workers(process)
    for child in children:
        os.kill(child, signal.SIGSTOP)
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert not any(map(alive, children))


@pytest.mark.full
def test_a_killed_worker_is_replaced(undisturbed: dict[str, tuple[bytes, str]], tmp_path: Path) -> None:
    process = start(tmp_path, *LONG, "seed=range(4)", "hydra.launcher.workers=2")
    wait_until(lambda: list(tmp_path.rglob("checkpoint-*.pt")))
    os.kill(workers(process)[0], signal.SIGKILL)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert results(tmp_path) == undisturbed


@pytest.mark.full
def test_a_job_whose_workers_are_killed_is_broken(tmp_path: Path) -> None:
    """Three workers die of it (out of memory, say); it is recorded, and the other job is not held up."""
    process = start(tmp_path, *LONG, "steps=20000,30", "hydra.launcher.workers=1")
    for death in range(1, local.DEATHS + 1):
        wait_until(lambda: "running" in status(tmp_path) and workers(process))
        (victim,) = workers(process)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda v=victim: workers(process) != [v])
        if death < local.DEATHS:
            wait_until(lambda: list(tmp_path.rglob("checkpoint-*.pt")))
    _, err = process.communicate(timeout=100)
    assert process.returncode == 1
    assert "its worker was ended by SIGKILL, 3 times" in err
    assert sorted(status(tmp_path)) == ["broken", "done"]


@pytest.mark.full
def test_a_killed_launcher_takes_its_workers_along(
    undisturbed: dict[str, tuple[bytes, str]], tmp_path: Path
) -> None:
    process = start(tmp_path, *LONG, "seed=range(4)", "hydra.launcher.workers=2")
    wait_until(lambda: list(tmp_path.rglob("checkpoint-*.pt")))
    children = workers(process)
    process.kill()
    process.communicate()
    wait_until(lambda: not any(map(alive, children)))
    assert "running" not in status(tmp_path)  # saved, not merely killed
    assert finish(tmp_path, *LONG, "seed=range(4)").code == 0
    assert results(tmp_path) == undisturbed


@pytest.mark.full
def test_two_launchers_share_a_sweep(undisturbed: dict[str, tuple[bytes, str]], tmp_path: Path) -> None:
    both = [start(tmp_path, *LONG, "seed=range(4)", "hydra.launcher.workers=1") for _ in range(2)]
    answers = [process.communicate(timeout=200) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    assert results(tmp_path) == undisturbed
    starts = [path.read_text().count('"started"') for path in tmp_path.rglob("environment.json")]
    assert starts == [1, 1, 1, 1]


def test_gpus_are_dealt_to_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(8)), raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    jobs = [Job([], {**SCALARS, "device": "auto"}) for _ in range(5)]
    assert local.slots(jobs, local.Options()) == ["0", "1"]
    assert local.slots(jobs, local.Options(jobs_per_gpu=2)) == ["0", "1", "0", "1"]
    assert local.slots(jobs, local.Options(workers=3)) == ["0", "1", "0"]
    assert local.slots(jobs[:1], local.Options()) == ["0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    assert local.slots(jobs, local.Options()) == ["GPU-a", "GPU-b"]
    pinned = [Job([], {**SCALARS, "device": "cuda:1"}) for _ in range(5)]
    assert local.slots(pinned, local.Options()) == [None]
    on_cpu = [Job([], {**SCALARS, "device": "cpu"}) for _ in range(5)]
    assert local.slots(on_cpu, local.Options(threads=4)) == [None, None]
    assert local.slots(on_cpu, local.Options(threads=99)) == [None]


@pytest.mark.full
def test_spawned_workers_see_their_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way of CUDA, without one: fresh processes, each with its CUDA_VISIBLE_DEVICES and threads."""
    monkeypatch.setattr(local, "uses_cuda", lambda _jobs: True)
    monkeypatch.setattr(local, "slots", lambda _jobs, _options: ["7"])
    monkeypatch.setattr("genreg.study.local.work", _tell_environment)
    config = {**SCALARS, "output_dir": str(tmp_path), "regularizer": {}, "dataset": {}}
    jobs = [Job([], {**config, "steps": n}) for n in (1, 2)]
    outcomes = local.Pool(jobs, local.Options(threads=3), Table(jobs, [None, None])).run()
    assert [outcome and outcome.reason for outcome in outcomes] == ["7 3", "7 3"]
    assert os.environ.get("CUDA_VISIBLE_DEVICES") != "7"


def _tell_environment(connection: Any, _launcher: int, _threads: int, _retry: bool) -> None:
    while connection.recv():
        told = f"{os.environ['CUDA_VISIBLE_DEVICES']} {os.environ['OMP_NUM_THREADS']}"
        connection.send([Outcome("in use", told)])


def test_a_job_stopped_before_its_first_step_or_after_its_last_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def stopped(*_arguments: Any, **_options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("genreg.study.job.train", stopped)
    job = Job([], {**SCALARS, "output_dir": str(tmp_path), "regularizer": {}, "dataset": {}})
    outcome = run(job, retry_failed=False)
    assert (outcome.status, outcome.reason) == ("interrupted", "stopped before its first step")
    job.folder.path.mkdir(parents=True)
    job.folder.write_summary({"status": "done"})
    assert run(job, retry_failed=False).status == "done"


@pytest.mark.full
def test_another_launcher_of_hydra(genreg: Genreg, tmp_path: Path) -> None:
    answer = genreg("train", "-m", *VALLEY, "steps=4", "seed=0,1", "optimizer.lr=0.01,1e30",
                    "hydra/launcher=basic")  # fmt: skip
    assert answer.code == 1
    assert "2 of 4 jobs failed" in answer.err
    assert sorted(status(tmp_path)) == ["done", "done", "failed", "failed"]


@pytest.mark.full
def test_another_sweeper_of_hydra(genreg: Genreg, tmp_path: Path) -> None:
    """Its jobs reach the local launcher through Hydra's plugin."""
    answer = genreg("train", "-m", *VALLEY, "steps=4", "seed=0,1", "optimizer.lr=0.01,1e30",
                    "hydra/sweeper=basic")  # fmt: skip
    assert answer.code == 1
    assert "genreg: 2 of 4 jobs failed" in answer.err
    assert sorted(status(tmp_path)) == ["done", "done", "failed", "failed"]
    assert len(list(tmp_path.rglob("job.log"))) == 4


@pytest.mark.slow
def test_a_thousand_jobs_under_fire(tmp_path: Path) -> None:
    """5 % diverge; the launcher is killed ten times, and workers: each job ends once, with the same rows."""
    (tmp_path / "sweep").mkdir()
    rates = ", ".join(["1e9", *(f"{k / 1000}" for k in range(1, 20))])
    tiny = ", ".join([*TINY, "steps=100", "checkpoint_every=20", "quiet=true"])
    (tmp_path / "sweep" / "thousand.yaml").write_text(
        f"seeds: 50\nparts: {{p: {{experiments: [anti_pgd_valley/gd], overrides: [{tiny}], "
        f"grid: {{optimizer.lr: [{rates}]}}, metric: w/trace}}}}\n"
    )
    sweep = ["--config-dir", str(tmp_path), "sweep=thousand"]
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    assert finish(undisturbed, *sweep).code == 1
    draw = random.Random(0)
    for _ in range(10):
        before = len(status(disturbed))
        process = start(disturbed, *sweep)
        wait_until(lambda b=before, p=process: workers(p) and len(status(disturbed)) > b + 5)
        for _ in range(2):
            time.sleep(draw.uniform(0, 0.3))
            with suppress(ProcessLookupError, IndexError):  # the moment between a death and its replacement
                os.kill(draw.choice(workers(process)), signal.SIGKILL)
        time.sleep(draw.uniform(0, 0.3))
        assert process.poll() is None
        process.kill()
        process.communicate()
    answer = finish(disturbed, *sweep)
    assert answer.code == 1
    assert "50 of 1000 jobs failed" in answer.err
    ended = results(disturbed)
    assert ended == results(undisturbed)
    assert sorted(state for _, state in ended.values()) == ["done"] * 950 + ["failed"] * 50
