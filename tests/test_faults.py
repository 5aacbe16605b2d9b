"""A fault at every file operation: one line or nothing noticed, nothing half written, nothing lost."""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from conftest import Result
from faults import EVERY, KINDS, Say, content, full, parts, points, strike
from faults import said as said
from PIL import Image
from synthetic import write_run, write_sweep
from test_replica_folders import ARMS, jobs, left_by, together

from genreg.cli import compose
from genreg.cli.jobs import Composer
from genreg.study import job as study_job
from genreg.study.job import Job

Genreg = Callable[..., Result]

VALLEY = ["experiment=anti_pgd_valley/anti_pgd", "model.replicas=2", "model.d=3", "steps=20", "eval_every=5",
          "log_every=5", "checkpoint_every=5", "logger=none", "device=cpu", "quiet=true"]  # fmt: skip


def read_whole(folder: Path) -> None:
    """Read every file below a folder; of rows the last line may be cut."""
    readers: dict[str, Callable[[Path], Any]] = {
        ".json": lambda path: json.loads(path.read_bytes()),
        ".jsonl": lambda path: [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]],
        ".yaml": lambda path: yaml.safe_load(path.read_text()),
        ".png": lambda path: Image.open(io.BytesIO(path.read_bytes())).load(),
        ".npz": lambda path: dict(np.load(io.BytesIO(path.read_bytes()))),
        ".pt": lambda path: torch.load(io.BytesIO(path.read_bytes()), weights_only=True),
    }
    for path in (path for path in folder.rglob("*") if path.is_file()):
        readers.get(path.suffix, Path.read_bytes)(path)
        if path.name.startswith("checkpoint-") and path.suffix == ".pt":
            assert hashlib.sha256(path.read_bytes()).hexdigest()[:16] == path.stem.rsplit("-", 1)[1]


# A run of a sweep.

NOT_THE_SAME = ("timing.jsonl", "environment.json", ".lock", ".holder")


@pytest.fixture
def run_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "outputs/cache"))
    with compose.configs():
        return Composer([]).jobs([VALLEY])[0]


def run(job: Job) -> Any:
    return study_job.run(Job(job.overrides, job.config), retry_failed=False)


@pytest.mark.parametrize(("kind", "every"), [("EIO", 61), ("kill", 61), *full(EVERY)])
def test_a_run(run_job: Job, monkeypatch: pytest.MonkeyPatch, said: Say, kind: str, every: int) -> None:
    root = Path("outputs").absolute()
    outcome, faults = strike(monkeypatch, root, "EIO", 0, lambda: run(run_job))
    assert outcome.status == "done"
    whole = content(root, NOT_THE_SAME)
    assert {path.rpartition("/")[2] for path in whole} >= {"metrics.jsonl", "weights.pt", "summary.json"}
    for at in points(faults.count, every, kind):
        shutil.rmtree(root)
        outcome, struck = strike(monkeypatch, root, kind, at, lambda: run(run_job))
        told = said()
        assert struck.struck or kind == "ENOSPC"
        assert kind == "kill" or outcome.status in ("done", "broken", "failed"), (struck.struck, outcome)
        if outcome and outcome.status != "done":
            assert len(outcome.reason.splitlines()) == 1, outcome
            assert outcome.reason in told
            assert (outcome.status == "failed") == (outcome.exit_code == 2), (struck.struck, outcome)
        read_whole(root)
        assert kind in ("kill", "ENOSPC") or not parts(root), struck.struck
        assert run(run_job).status == "done", struck.struck
        said()
        assert content(root, NOT_THE_SAME) == whole, struck.struck
        assert not parts(root)


@pytest.mark.parametrize(("kind", "every"), full({"EIO": 51, "kill": 51, "ENOSPC": 51}))
def test_a_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, every: int) -> None:
    """Runs trained as one program: what happens to one does not happen to the others."""
    root, made = tmp_path / "runs", jobs(tmp_path / "runs", *ARMS)
    _, faults = strike(monkeypatch, root, "EIO", 0, lambda: together(made))
    whole = left_by(root)
    for at in points(faults.count, every, kind):
        shutil.rmtree(root)
        ends, struck = strike(monkeypatch, root, kind, at, lambda: together(made))
        assert kind != "EIO" or sorted(ends)[1:] == ["done"] * 3, (struck.struck, ends)
        read_whole(root)
        assert together(made) == ["done"] * 4, struck.struck
        assert left_by(root) == whole, struck.struck
        assert not parts(root)


# Verbs that read run folders.

VERBS = {
    "report": ["report", "study"],
    "csv": ["report", "study", "--format", "csv", "--output", "study/table.csv"],
    "ls": ["ls", "study", "--format", "csv"],
    "show": ["show", "study/vat/seed=1"],
    "plan": ["plan", "study", "--difference", "1"],
}


MADE = {"report.html": "</html>", "table.csv": "\n"}  # the files, and how they end


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two arms, of which one was tuned, with a threshold."""
    draw, root = np.random.default_rng(0), tmp_path / "study"
    for arm in ("none", "vat", "trial"):
        for seed in range(1 if arm == "trial" else 2):
            write_run(root / arm / f"seed={seed}", 0.8 + draw.normal(0, 0.01), config="seed: 0\nname: a\n")
    trials = [{"values": {"lr": 0.1}, "folder": "trial"}]
    tuning = {"metric": "validation/accuracy", "planned": 1, "space": {}, "seeds": [0], "trials": trials}
    arms: list[dict[str, Any]] = [{"name": "none", "folder": "none"},
                                  {"name": "vat", "folder": "vat", "tuning": tuning}]  # fmt: skip
    write_sweep(root, arms, seeds=[0, 1], threshold={"metric": "validation/accuracy", "value": 0.7})
    return root


@pytest.mark.parametrize(("kind", "every"), full(EVERY))
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb(
    genreg: Genreg, study: Path, monkeypatch: pytest.MonkeyPatch, said: Say, verb: str, kind: str, every: int,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    before, made = content(study), [study / name for name in MADE]
    plain, faults = strike(monkeypatch, study, "EIO", 0, lambda: genreg(*VERBS[verb]))
    assert plain.code == 0
    whole = content(study)
    for at in points(faults.count, every, kind):
        for path in made:
            path.unlink(missing_ok=True)
        answer, struck = strike(monkeypatch, study, kind, at, lambda: genreg(*VERBS[verb]))
        assert content(study, (*MADE, *(path.name for path in parts(study)))) == before, struck.struck
        for path in made:  # with a remark on what could not be read, but to its end
            assert not path.exists() or path.read_text().endswith(MADE[path.name]), struck.struck
        if answer:
            assert "Traceback" not in answer.err
            assert len(answer.err.splitlines()) <= 2, (struck.struck, answer)
            told = [*answer.err.splitlines(), *caplog.messages]
            remark = "damaged" in answer.out or os.strerror(KINDS[kind][0]) in answer.out
            assert len(told) == 1 or answer.out == plain.out or remark, (
                struck.struck,
                answer,
            )
        said()  # of a killed one
        caplog.clear()
        again = genreg(*VERBS[verb])
        assert (again.code, again.out) == (0, plain.out), struck.struck
        assert content(study) == whole


@pytest.mark.full
@pytest.mark.parametrize(("kind", "every"), [("EIO", 11), ("kill", 29), ("ENOSPC", 29)])
def test_an_archive(
    genreg: Genreg, study: Path, monkeypatch: pytest.MonkeyPatch, said: Say, kind: str, every: int
) -> None:
    """Whole or absent, and never without a file that could not be read; folders are passed over as ever."""
    before, path, typed = content(study), study / "x.zip", ("pack", "study", "study/x.zip")
    plain, faults = strike(monkeypatch, study, "EIO", 0, lambda: genreg(*typed))
    whole = path.read_bytes()
    for at in points(faults.count, every, kind):
        path.unlink(missing_ok=True)
        answer, struck = strike(monkeypatch, study, kind, at, lambda: genreg(*typed))
        looked = struck.struck.startswith(("stat ", "scandir "))
        assert not path.exists() or path.read_bytes() == whole or looked, struck.struck
        if answer and answer.code:
            assert len(answer.err.splitlines()) == 1, (struck.struck, answer)
            assert not path.exists() or path.read_bytes() == whole, struck.struck
        said()  # of a killed one
        assert genreg(*typed, "--force") == plain
        assert content(study, ("x.zip",)) == before
        assert path.read_bytes() == whole


# Runs shown to a logger afterwards. tensorboardX writes its files in a thread, and is left alone here.


@pytest.mark.parametrize(("kind", "every"), full({"EIO": 1, "EACCES": 3}))
def test_a_sync(
    genreg: Genreg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Say, kind: str, every: int
) -> None:
    runs, sync = tmp_path / "runs", ["sync", "runs", "--to", "tensorboard"]
    for seed in range(2):
        write_run(runs / f"a/seed={seed}", 0.9, config="name: a\nregularizer: {}\n")
    before = content(runs)
    assert genreg(*sync).code == 0  # imports it
    shutil.rmtree(runs / "a/seed=0/tensorboard")
    synced = (runs / "a/seed=0/synced.json").read_bytes()
    for path in runs.rglob("synced.json"):
        path.unlink()
    plain, faults = strike(monkeypatch, runs, "EIO", 0, lambda: genreg(*sync))
    assert plain.code == 0
    for at in points(faults.count, every, kind):
        if "tensorboard" in faults.seen[at - 1]:
            continue
        for path in runs.rglob("synced.json"):
            path.unlink()
        answer, struck = strike(monkeypatch, runs, kind, at, lambda: genreg(*sync))
        assert len(answer.err.splitlines()) <= 2, (struck.struck, answer)
        passed_over = "genreg: passed over: " in answer.err
        assert answer.code or answer.out == plain.out or passed_over, (struck.struck, answer)
        read_whole(runs)
        assert genreg(*sync).code == 0
        said()
        for run in (runs / "a").iterdir():
            assert (run / "synced.json").read_bytes() == synced, struck.struck
            assert len(list((run / "tensorboard").iterdir())) == 1, struck.struck
        assert content(runs).items() >= before.items()
        assert not parts(runs)
