"""The model of a study: its parts, their arms, the trials of their tuning, and runs.

Planning makes it of a sweep file (study/file.py), running gives its arms and trials their folders
(study/stages.py) and writes them to sweep.json (study/record.py), judging reads their runs. A report reads
it from sweep.json, or makes it of the folders that it finds (report/read/find.py).
"""

import math
import statistics
from collections import ChainMap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from genreg.errors import InputError
from genreg.run.folder import Row, printable
from genreg.run.metric import Better, Described, Metric, metric_of
from genreg.run.read import Data, Run, data_of, of_one_data, read_run

FEWEST = 5
"""Pairs below which nothing is decided: three differences that happen to be alike make any p of Student's."""

TOGETHER: Final = "together"
EACH: Final = "each"
"""The comparisons of a part's data sets are corrected together, or those of each by themselves."""

PER_STEP = "seconds_per_step"
STEPS, SECONDS = "steps_to_threshold", "seconds_to_threshold"
TIMES = {name: Metric(name, "min") for name in (PER_STEP, STEPS, SECONDS)}
"""What the report itself measures of a run."""


@dataclass
class Trial:
    """One point of an arm's space. folder: of its runs, one for each tuning seed; None before they start."""

    values: Row
    folder: Path | None = None
    runs: list[Run] = field(default_factory=list)


@dataclass
class Tuning:
    """The tuning of one arm.

    metric: of validation, whose mean over `seeds` decides. planned: how many trials there are to be. space:
    of each key a list of values, or {low, high, log}. trials: so far, in their order.
    """

    metric: str
    planned: int
    seeds: Sequence[int]
    space: Row
    sampler: str = "sobol"
    trials: list[Trial] = field(default_factory=list)


@dataclass
class Arm:
    """One configuration over its seeds.

    folder: where its runs lie, None until its tuning is over. values: of what was varied. command: how to
    make a run, with seed=N. seeds: those that it has so far. overrides: what makes it, in a sweep file.
    winner: the values that tuning chose, {} where nothing is tuned, None until it is over. runs: by seed, as
    `with_runs` found them. other: runs of other data than the newest, left out of everything. files: sha256
    by name of what `runs` read. again: the arm in the studies after the first, each tuned anew, with trials,
    folder and seeds of its own; their runs are among `runs`.
    """

    name: str
    folder: Path | None = None
    values: Row = field(default_factory=dict)
    command: str = ""
    seeds: Sequence[int] = ()
    tuning: Tuning | None = None
    overrides: Sequence[str] = ()
    winner: Row | None = None
    runs: dict[int, Run] = field(default_factory=dict)
    other: dict[int, Run] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    again: list["Arm"] = field(default_factory=list)

    @property
    def studies(self) -> list["Arm"]:
        """The arm in each study: of a part without studies, itself alone."""
        return [self, *self.again]

    @property
    def done(self) -> list[Run]:
        return [run for run in self.runs.values() if run.status == "done"]

    @property
    def failed(self) -> list[Run]:
        return [run for run in self.runs.values() if run.status == "failed"]

    @property
    def broken(self) -> str:
        """The runs that the machine ended, with the cause: `seed 3: No space left on device`."""
        trials = [trial for one in self.studies if one.tuning for trial in one.tuning.trials]
        runs = [("seed", run) for one in self.studies for run in one.runs.values()]
        runs += [(f"tuning {_typed(trial.values)} seed", run) for trial in trials for run in trial.runs]
        found: dict[tuple[str, str], list[int]] = {}
        for what, run in runs:
            if run.status == "broken":
                found.setdefault((what, run.reason), []).append(run.seed)
        return "; ".join(
            f"{what} {', '.join(map(str, seeds))}: {reason}" for (what, reason), seeds in found.items()
        )

    @property
    def tried(self) -> list[Run]:
        """The runs of tuning, in all studies."""
        tunings = [one.tuning for one in self.studies if one.tuning]
        return [run for tuning in tunings for trial in tuning.trials for run in trial.runs]

    @property
    def seconds(self) -> float | None:
        """The mean seconds of a finished run."""
        took = [run.summary["seconds"] for run in self.done if "seconds" in run.summary]
        return statistics.fmean(took) if took else None

    @cached_property
    def config(self) -> Row:
        """The configuration, but for what differs between its runs; `{}` where none of them has one."""
        found = (run.folder.config() for run in self.runs.values())
        return next(filter(None, found), {})

    @cached_property
    def data(self) -> Data:
        """The data of its runs."""
        return data_of(self.config, self.files)

    def command_of(self, seed: int) -> str:
        """The command that makes that run: the study's, or what the run itself recorded."""
        own = next((one for one in self.again if one.folder and seed in one.seeds), self)
        given = own.command.replace("seed=N", f"seed={seed}")
        return given or self.runs[seed].command


@dataclass
class Part:
    """Arms that are compared with one another on one metric.

    mode: `max` or `min` is better, where the sweep file says it; otherwise the runs do. select: the metric of
    validation that chooses the step of a run; reselect: anew from its rows. threshold: metric, value and
    mode. margin: a difference that is not worth having, in its unit (`points` of a share, or `absolute`).
    seeds: all that an arm may have. fresh: so many of them belong to each study; 0 where nothing is tuned
    more than once. looks: numbers of seeds, or of studies, at which they are looked at; planned: beforehand,
    or by hand. group: what parts of several data sets have in common, dataset: which one this is; family:
    their comparisons are corrected TOGETHER, or those of EACH alone. command, question: of the whole study.
    """

    name: str
    arms: list[Arm]
    baseline: str
    metric: str
    mode: Better | None
    select: str | None
    threshold: Row | None = None
    command: str = ""
    reselect: bool = False
    notes: list[str] = field(default_factory=list)
    margin: tuple[float, str] | None = None
    looks: tuple[int, ...] = ()
    planned: bool = True
    seeds: tuple[int, ...] = ()
    fresh: int = 0
    family: str = TOGETHER
    group: str = ""
    dataset: str = ""
    question: str = ""

    @property
    def units(self) -> tuple[int, ...]:
        """The numbers of what is paired and counted: seeds, or studies."""
        return tuple(range(len(self.seeds) // self.fresh)) if self.fresh else self.seeds

    @property
    def unit(self) -> str:
        return "study" if self.fresh else "seed"

    @property
    def unit_plural(self) -> str:
        return "studies" if self.fresh else "seeds"

    def seeds_of(self, study: int) -> tuple[int, ...]:
        """The seeds on which the arms of that study are compared."""
        return self.seeds[study * self.fresh : (study + 1) * self.fresh]

    def with_runs(self) -> "Part":
        """A copy whose arms and trials have their runs, as they stand in their folders now."""
        return replace(self, arms=[_with_runs(arm) for arm in self.arms], notes=[*self.notes])

    def runs(self) -> Iterator[Run]:
        """The runs of the comparison."""
        return (run for arm in self.arms for run in arm.runs.values())

    def margin_in(self, metric: Metric) -> float:
        """The margin in the metric's own scale, NaN without one; InputError for points of no share."""
        check_margin(self.margin, metric, f"part {self.name}: margin")
        if self.margin is None:
            return math.nan
        value, unit = self.margin
        return value / 100 if unit == "points" else value

    @cached_property
    def described(self) -> list[Described]:
        """The runs' descriptions of their metrics, each distinct one once."""
        found: list[Described] = []
        for run in (run for arm in self.arms for run in (*arm.runs.values(), *arm.tried)):
            if (metrics := run.summary.get("metrics")) is not None and metrics not in found:
                found.append(metrics)
        return found

    def describe(self, key: str) -> Metric:
        """The metric under `key` of a row, as the first run that knows it says; `mode` of the part wins."""
        metric = TIMES.get(key) or metric_of(key, ChainMap(*self.described) if self.described else None)
        return replace(metric, better=self.mode) if self.mode and key == self.metric else metric


def _typed(values: Row) -> str:
    return printable(" ".join(f"{key}={value}" for key, value in values.items()))


def _with_runs(arm: Arm) -> Arm:
    found = {seed: run for one in arm.studies for seed, run in _runs(one.folder, one.seeds).items()}
    runs, other, files = of_one_data(found)
    again = [replace(one, tuning=_with_trials(one.tuning)) for one in arm.again]
    return replace(arm, runs=runs, other=other, files=files, tuning=_with_trials(arm.tuning), again=again)


def _with_trials(tuning: Tuning | None) -> Tuning | None:
    return tuning and replace(
        tuning,
        trials=[
            replace(trial, runs=list(_runs(trial.folder, tuning.seeds).values())) for trial in tuning.trials
        ],
    )


def _runs(folder: Path | None, seeds: Sequence[int]) -> dict[int, Run]:
    return {seed: read_run(folder / f"seed={seed}") for seed in seeds} if folder else {}


@dataclass
class Study:
    """All parts of a sweep file. root: the folder of sweep.json and of all runs. command: as it was typed."""

    name: str
    parts: list[Part]
    root: Path = Path()
    command: str = ""
    question: str = ""


def same_data(arms: Iterable[Arm]) -> list[tuple[Data, list[Arm]]]:
    """The arms by their data, in their order; one of unknown data is among the first that it may have."""
    groups: list[tuple[Data, list[Arm]]] = []
    for arm in arms:
        place = next((n for n, (data, _) in enumerate(groups) if not data.differs(arm.data)), len(groups))
        data, own = groups[place] if place < len(groups) else (arm.data, [])
        groups[place : place + 1] = [(data | arm.data, [*own, arm])]
    return groups


def tell_apart(part: Part) -> None:
    """Add the folder's own name to arms of one name, so that no two of a part have the same."""
    names = [arm.name for arm in part.arms]
    for name in sorted({name for name in names if names.count(name) > 1}):
        twins = [arm for arm in part.arms if arm.name == name]
        part.notes.append(f"{len(twins)} arms are called {name}: told apart by their folders")
        for number, arm in enumerate(twins, start=1):
            own = printable(arm.folder.name if arm.folder else name)
            arm.name = own if len({twin.folder for twin in twins}) == len(twins) else f"{own} ({number})"


def check_margin(margin: tuple[float, str] | None, metric: Metric, key: str) -> None:
    """Refuse points of what is no share."""
    if margin and margin[1] == "points" and not metric.percent:
        raise InputError(key, f"absolute: {metric.name} is no share", f"{margin[0]:g} points")
