"""What a sweep tells, and the launcher that a file chooses for it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Result
from rich.console import Console

from genreg.cli import sweep
from genreg.cli.compose import configs
from genreg.cli.jobs import Composer
from genreg.study.batch import _estimate
from genreg.study.job import Outcome
from genreg.study.table import Table, clock

Genreg = Callable[..., Result]

TINY = ["experiment=anti_pgd_valley/anti_pgd", "model.replicas=2", "model.d=3", "steps=4", "eval_every=2",
        "log_every=2", "logger=none", "device=cpu"]  # fmt: skip


@pytest.mark.full
def test_the_table_has_a_row_for_each_arm(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the mean of its metric so far and the first reason of a failure; the rest in one row."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("LINES", "40")
    lists = [
        [*TINY, f"optimizer.sigma={arm / 10}", f"seed={seed}"] for seed in (0, 1) for arm in range(1, 31)
    ]
    with configs():
        jobs = Composer().jobs(lists)
    summaries = [{"selection": ["validation/loss", "min"], "best": {"validation/loss": value}, "seconds": 1}
                 for value in (0.25, 0.75)]  # fmt: skip
    table = Table(jobs, [Outcome("done", summary=summaries[0]), *[None] * 59])
    table.console = Console(width=200, height=40)
    for number, outcome in (
        (30, Outcome("done", summary=summaries[1])),
        (28, Outcome("failed", "too big\n!")),
    ):
        table.started(jobs[number])
        table.live = True  # type: ignore[assignment]  # nothing is printed
        table.ended(jobs[number], outcome)
    with table.console.capture() as shown:
        table.console.print(table._rendered())
    lines = [re.split(" {2,}", line.strip()) for line in shown.get().splitlines()]
    cells = {line[0]: line[1:] for line in lines}
    first, failed = (f"anti_pgd_valley/anti_pgd optimizer.sigma={sigma}" for sigma in (0.1, 2.9))
    assert cells["arm"] == ["running", "done", "failed", "left", "mean validation/loss"]
    assert cells[first] == ["0", "2", "0", "0", "0.5"]
    assert cells[failed] == ["0", "0", "1", "1"]
    assert cells["10 more arms"] == ["0", "0", "0", "20"]
    assert cells["all"] == ["0", "2", "1", "57"]
    assert sum(name.startswith("anti_pgd_valley") and len(line) > 3 for name, line in cells.items()) == 20
    assert f"{failed} failed: too big" in cells


def test_the_time_left_is_that_of_the_open_jobs_at_the_speed_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of 60 were over before; three ended here in 90 s, one of them failed; 55 are open, one runs."""
    monkeypatch.setenv("COLUMNS", "200")
    with configs():
        jobs = Composer().jobs([[*TINY, f"seed={seed}"] for seed in range(60)])
    done = Outcome("done", summary={"selection": None, "seconds": 1})
    table = Table(jobs, [done, done, *[None] * 58])
    table.live = True  # type: ignore[assignment]
    for number, outcome in enumerate([done, Outcome("failed", "!"), done], start=2):
        table.started(jobs[number])
        table.ended(jobs[number], outcome)
    table.started(jobs[5])
    table.started(jobs[6])
    table.ended(jobs[6], Outcome("interrupted"))  # goes back, and says nothing of the speed
    monkeypatch.setattr("time.monotonic", lambda: table.started_at + 90)
    assert table._rendered().title == f"0:01:30, {clock(90 / 3 * 55)} left"


def test_a_dry_run_expects_what_jobs_of_the_same_arm_took() -> None:
    """Arm 1: 10 and 30 s, one left; arm 2: 100 s, two left; arm 3: none, one left: the mean of all jobs."""
    with configs():
        arms = [(arm, seed) for arm, seeds in ((1, 3), (2, 3), (3, 1)) for seed in range(seeds)]
        jobs = Composer().jobs([[*TINY, f"optimizer.sigma={arm / 10}", f"seed={seed}"] for arm, seed in arms])
    took = [10, 30, None, 100, None, None, None]
    outcomes = [None if s is None else Outcome("done", summary={"seconds": s}) for s in took]
    total = 20 + 2 * 100 + 140 / 3
    for workers in (1, 4):
        told = _estimate(jobs, outcomes, lambda left: workers if len(left) == 4 else 0)  # noqa: B023
        assert told == f"estimated time: {clock(total / workers)} with {workers} at once, from 3 finished"
    assert "unknown" in _estimate(jobs, [None] * 7, lambda _: 1)


@pytest.mark.full
def test_equal_reasons_are_told_once(genreg: Genreg) -> None:
    grid = [
        "train",
        "-m",
        "experiment=anti_pgd_valley/gd",
        *TINY[1:],
        "optimizer.lr=1e9,0.01",
        "seed=range(5)",
    ]
    answer = genreg(*grid, "steps=40")
    assert answer.code == 1
    assert answer.err.count("diverged: ") == 1
    assert "(5 jobs)" in answer.err
    assert answer.err.count("  genreg train ") == 3
    assert "\n  ... 2 more\n" in answer.err
    assert answer.err.endswith("genreg: 5 of 10 jobs failed\n")
    assert answer.out.endswith("\nnext: genreg report outputs\n")


def test_clock() -> None:
    assert [clock(s) for s in (0, 59.6, 3661)] == ["0:00:00", "0:01:00", "1:01:01"]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


VALLEY = """# @package _global_
# own arm
defaults: [override /task: landscape, _self_]
model: {replicas: 2, d: 3}
steps: 4
eval_every: 2
log_every: 2
"""
ONE = "hydra: {launcher: {workers: 1, threads: 3}}\n"
FILES = {"one": VALLEY + ONE, "same": VALLEY + "name: same\n" + ONE,
         "two": VALLEY + "hydra: {launcher: {workers: 2}}\n",
         "none": VALLEY + "name: other\n", "params": VALLEY + "hydra: {sweeper: {params: {seed: '4,5'}}}\n",
         "slurm": VALLEY.replace("_self_", "override /hydra/launcher: slurm, _self_"),
         "basic": VALLEY.replace("_self_", "override /hydra/launcher: basic, _self_"),
         "place": VALLEY + "hydra: {sweep: {dir: elsewhere}}\n"}  # fmt: skip
LAUNCHERS: list[tuple[str, list[Any]]] = [
    ("one", [1, 3]),
    ("one,same", [1, 3]),
    ("none", ["auto", 1]),
    ("one hydra.launcher.threads=2", [1, 2]),
    ("one,two", ["hydra.launcher: expected one launcher"]),
    ("one,none", ["hydra.launcher: expected one launcher"]),
    ("params,none", ["hydra.sweeper: expected one sweeper"]),
    ("slurm", ["hydra/launcher: expected a machine with SLURM"]),
    ("place", ["hydra.sweep.dir: expected output_dir"]),
]


@pytest.mark.full
@pytest.mark.parametrize(("typed", "expected"), LAUNCHERS)
def test_the_launcher_of_a_file(
    genreg: Genreg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, expected: list[Any]
) -> None:
    """It is that of the sweep, or the sweep is refused in one line."""
    used: list[Any] = []

    def run(pool: Any) -> list[Any]:
        used.extend([pool.options.workers, pool.options.threads])
        return [Outcome("in use")] * len(pool.jobs)

    monkeypatch.setattr("genreg.study.local.Pool.run", run)
    monkeypatch.setenv("PATH", "")
    for name, text in FILES.items():
        _write(tmp_path / "mine" / "experiment" / f"{name}.yaml", text)
    given = ["logger=none", "device=cpu", *f"experiment={typed}".split()]
    answer = genreg("train", "--config-dir", "mine", "-m", *given)
    if len(expected) == 2:
        assert (answer.code, used) == (0, expected), answer
    else:
        assert (answer.code, len(answer.err.splitlines())) == (2, 1), answer
        assert expected[0] in answer.err
        assert used == []


@pytest.mark.full
def test_the_grid_of_a_file(genreg: Genreg, tmp_path: Path) -> None:
    _write(tmp_path / "mine" / "experiment" / "params.yaml", FILES["params"])
    given = ["train", "--config-dir", "mine", "-m", "--dry-run", "experiment=params", "logger=none"]
    assert genreg(*given).out.count(" seed=") == 2
    assert genreg(*given, "seed=range(3)").out.count(" seed=") == 3


@pytest.mark.parametrize(
    ("typed", "place"),
    [
        (["-m", "seed=0,1", "output_dir=runs"], "runs"),
        (["--config-dir", "own", "sweep=two", "output_dir=runs"], "runs"),
        (["--config-dir", "own", "sweep=two"], "outputs/two"),
    ],
)
def test_launchers_of_hydra_write_their_own_files_below_output_dir(
    genreg: Genreg, monkeypatch: pytest.MonkeyPatch, typed: list[str], place: str
) -> None:
    """Those of submitit and joblib make theirs in hydra.sweep.dir."""
    seen, real = [], sweep.launcher_of
    Path("own/sweep").mkdir(parents=True)
    Path("own/sweep/two.yaml").write_text(
        "seeds: 2\nparts: {one: {arms: {none: [regularizer=none]}, metric: test/accuracy}}\n"
    )

    def launcher_of(master: Any) -> Any:
        seen.append(master.hydra.sweep.dir)
        return real(master)

    monkeypatch.setattr(sweep, "launcher_of", launcher_of)
    assert genreg("train", *typed, "logger=none", "--dry-run").code == 0
    assert set(seen) == {place}
