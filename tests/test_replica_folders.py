"""Folders of runs that were trained as one program, and which jobs are."""

import json
import os
import random
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from test_launcher import finish, start, status, workers
from test_resume import wait_until

from genreg.cli.compose import configs
from genreg.cli.jobs import Composer
from genreg.run.state import State
from genreg.study import groups
from genreg.study.job import Job, run, run_together
from genreg.task.replicas import Replicas

RUN = ["dataset=two_moons", "dataset.labeled=20", "model.widths=[16]", "regularizer=vat", "scheduler=cosine",
       "steps=40", "eval_every=10", "log_every=5", "checkpoint_every=10", "logger=none", "quiet=true",
       "measure=hessian_trace"]  # fmt: skip


def jobs(folder: Path, *each: list[str]) -> list[Job]:
    with configs():
        return Composer().jobs([[*RUN, f"output_dir={folder}", *own] for own in each])


def left_by(folder: Path) -> dict[str, Any]:
    """What each run folder says, without times and places."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("summary.json")):
        summary = json.loads(path.read_text())
        summary.pop("seconds")
        weights = {p.name: torch.load(p, weights_only=True) for p in path.parent.glob("*weights.pt")}
        tensors = {f"{file}/{k}": v.tolist() for file, state in weights.items() for k, v in state.items()}
        rows = (path.parent / "metrics.jsonl").read_bytes()
        passing = ("checkpoint", ".holder")  # the latter of a process that was killed behind the end of a run
        names = {p.name for p in path.parent.iterdir() if not p.name.startswith(passing)}
        found[path.parent.relative_to(folder).as_posix()] = summary, tensors, rows, names
    return found


ARMS = [["seed=0"], ["seed=1", "regularizer.vat.epsilon=1"], ["seed=1", "optimizer.lr=3e-2"], ["seed=2"]]


def together(made: list[Job]) -> list[str]:
    return [outcome.status for outcome in run_together(made, True, lambda job: None)]


def test_folders_are_those_of_single_runs(tmp_path: Path) -> None:
    for job in jobs(tmp_path / "alone", *ARMS):
        run(job, retry_failed=True)
    assert together(made := jobs(tmp_path / "together", *ARMS)) == ["done"] * 4
    assert left_by(tmp_path / "together") == left_by(tmp_path / "alone")
    assert all(job.folder.environments()[0]["replicas"] == 4 for job in made)
    assert together(made) == ["done"] * 4  # which were found finished: no further start is recorded
    assert all(len(job.folder.environments()) == 1 for job in made)


def test_a_replica_that_diverges_ends_alone(tmp_path: Path) -> None:
    arms = [*ARMS, ["seed=3", "optimizer.lr=1e30"]]
    for job in jobs(tmp_path / "alone", *arms):
        run(job, retry_failed=True)
    assert together(jobs(tmp_path / "together", *arms)) == ["done"] * 4 + ["failed"]
    assert left_by(tmp_path / "together") == left_by(tmp_path / "alone")


def test_a_stopped_group_goes_on_alone_and_in_other_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for job in jobs(tmp_path / "alone", *ARMS):
        run(job, retry_failed=True)
    made = jobs(tmp_path / "together", *ARMS)
    record = State.record

    def stop_at(step: int) -> None:
        def recorded(self: State, terms: Any) -> None:
            record(self, terms)
            if self.step == step and "seed=0" in str(self.folder.path):
                os.kill(os.getpid(), signal.SIGTERM)

        monkeypatch.setattr(State, "record", recorded)

    stop_at(25)
    assert together(made[:3]) == ["interrupted"] * 3
    stop_at(33)
    assert run(made[0], retry_failed=True).status == "interrupted"
    steps = [int(max(job.folder.path.glob("checkpoint-*")).name.split("-")[1]) for job in made[:3]]
    assert steps == [33, 25, 25]
    monkeypatch.undo()
    assert together(made) == ["done"] * 4  # from steps 33, 25, 25 and 0
    assert left_by(tmp_path / "together") == left_by(tmp_path / "alone")


def test_a_program_that_fails_goes_on_in_halves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step, seen = Replicas.step, []

    def short(self: Replicas, number: int) -> Any:
        if len(self.tasks) > 2 and number == 15:
            raise torch.OutOfMemoryError("out of memory")
        seen.append(len(self.tasks))
        return step(self, number)

    monkeypatch.setattr(Replicas, "step", short)
    assert together(jobs(tmp_path / "together", *ARMS)) == ["done"] * 4
    assert seen == [4] * 15 + [2] * 60  # each half from its checkpoint of step 10
    for job in jobs(tmp_path / "alone", *ARMS):
        run(job, retry_failed=True)
    assert left_by(tmp_path / "together") == left_by(tmp_path / "alone")


def test_groups_are_cut_to_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step, seen = Replicas.step, []

    def counted(self: Replicas, number: int) -> Any:
        seen.append(len(self.tasks))
        return step(self, number)

    monkeypatch.setattr(Replicas, "step", counted)
    monkeypatch.setattr("genreg.task.replicas.LARGEST", 3 * (2 * 16 + 16 + 16 * 2 + 2) - 1)
    assert together(jobs(tmp_path, *ARMS)) == ["done"] * 4
    assert seen == [2] * 80  # three runs would have one parameter too many


def parts(*each: list[str], replicas: Any = "auto", workers: int = 1) -> list[list[int]]:
    return groups.grouped(jobs(Path("outputs"), *each), replicas, workers)


def test_jobs_are_grouped_by_all_but_seed_and_strengths() -> None:
    seeds = [[f"seed={n}"] for n in range(6)]
    assert parts(*seeds) == [[0, 1, 2, 3, 4, 5]]
    assert parts(*seeds, workers=2) == [[0, 1, 2, 3, 4, 5]]  # two of three would be too small
    assert parts(*seeds, replicas=4) == [[0, 1, 2], [3, 4, 5]]
    assert parts(*seeds, replicas=1) == [[n] for n in range(6)]
    other = [[f"seed={n}", "regularizer.vat.power_iterations=2"] for n in range(4)]
    none = [[f"seed={n}", "regularizer.vat.weight=0"] for n in range(4)]  # is left out: another program
    assert parts(*other, *seeds[:4], *none) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    strengths = [[f"regularizer.vat.weight={w}", f"optimizer.lr={w}"] for w in (0.1, 1, 2.5, 3)]
    assert parts(*strengths) == [[0, 1, 2, 3]]


def test_players_are_grouped_by_both_optimizers() -> None:
    made = ["task=wgan", "dataset=gaussian_ring", "model=mlp_gan", "logger=none"]
    rates = [[*made, f"optimizer.lr={r}", f"generator_optimizer.lr={r}"] for r in (1e-4, 3e-4, 1e-3, 3e-3)]
    sharp = [[*rate[:-1], "optimizer@generator_optimizer=sam"] for rate in rates]
    with configs():
        alike, asking_twice = (Composer().jobs(each) for each in (rates, sharp))
    assert groups.grouped(alike, "auto", 1) == [[0, 1, 2, 3]]
    assert groups.grouped(asking_twice, "auto", 1) == [[0], [1], [2], [3]]


@pytest.mark.parametrize(("override", "why"), [
    ("precision=bf16", "precision=bf16"),
    ("optimizer=sam", "optimizer (sam)"),
    ("task=alternate", "task (Alternate)"), ("model=conv_small", "model (Conv)"),
])  # fmt: skip
def test_others_stay_alone_with_a_word_why(override: str, why: str) -> None:
    made = jobs(Path("outputs"), *([override, f"seed={n}"] for n in range(4)))
    assert {groups.reason(job.config) for job in made} == {why}
    assert groups.remarks(made, "auto") == [f"4 jobs alone: {why} is not grouped"]
    assert groups.grouped(made, "auto", 1) == [[0], [1], [2], [3]]


@pytest.mark.full
@pytest.mark.parametrize("method", ["weight_clipping", "frobenius_projection", "spectral_projection"])
def test_a_projection_beside_noise_on_the_weights_is_of_each(method: str, tmp_path: Path) -> None:
    own = [f"regularizer={method}", f"regularizer.{method}.bound=0.2", "optimizer=anti_pgd"]
    arms = [[*own, "optimizer.sigma=0.05", "optimizer.lr=0.1", f"seed={seed}"] for seed in range(4)]
    for job in jobs(tmp_path / "alone", *arms):
        run(job, retry_failed=True)
    assert together(made := jobs(tmp_path / "together", *arms)) == ["done"] * 4
    assert left_by(tmp_path / "together") == left_by(tmp_path / "alone")
    assert all(job.folder.environments()[0]["replicas"] == 4 for job in made)


def _begun(folder: Path, runs: int, processes: list[Any]) -> bool:
    return len(status(folder)) > runs and all(map(workers, processes))


@pytest.mark.slow
def test_three_launchers_of_groups_under_fire(tmp_path: Path) -> None:
    """None of 300 jobs in groups is lost when launchers and workers are killed; each is as if alone."""
    options = [option for option in RUN if not option.startswith("measure")]
    grid = [f"seed={','.join(map(str, range(100)))}", "optimizer.lr=1e-3,1e-2,1e30"]
    moons = [*options, *grid, "hydra.launcher.workers=1"]
    alone, disturbed = tmp_path / "alone", tmp_path / "disturbed"
    assert finish(alone, *moons, "hydra.launcher.replicas=1").code == 1
    draw = random.Random(0)
    for _ in range(4):
        before = len(status(disturbed))
        processes = [start(disturbed, *moons) for _ in range(3)]
        begun = partial(_begun, disturbed, before + 20, processes)
        wait_until(begun, seconds=300)
        for process in draw.sample(processes, 2):
            time.sleep(draw.uniform(0, 0.5))
            with suppress(ProcessLookupError, IndexError):  # the moment between a death and its replacement
                os.kill(draw.choice(workers(process)), signal.SIGKILL)
        for process in processes:
            time.sleep(draw.uniform(0, 0.5))
            process.kill()
            process.communicate()
    answer = finish(disturbed, *moons)
    assert "100 of 300 jobs failed" in answer.err
    ended = left_by(disturbed)
    assert len(ended) == 300
    assert ended == left_by(alone)
