"""Parts and arms: which runs are compared, and on what."""

import math
import statistics as simple
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from genreg.errors import InputError, nearest
from genreg.report.read.runs import Data, Run, data_of
from genreg.run.folder import Row, printable
from genreg.run.metric import Better, Described, Metric, metric_of

PER_STEP = "seconds_per_step"
STEPS, SECONDS = "steps_to_threshold", "seconds_to_threshold"
TIMES = {name: Metric(name, "min") for name in (PER_STEP, STEPS, SECONDS)}
"""What the report itself measures of a run."""


@dataclass(frozen=True)
class Tried:
    """The trials of an arm that a sweep file names: values, and runs over the tuning seeds."""

    metric: str
    planned: int
    space: Row
    trials: list[tuple[Row, list[Run]]]


@dataclass
class Arm:
    """One configuration over its seeds. values: what was varied. command: how to make it, with seed=N.

    other: runs of other data than the newest, left out of everything. files: sha256 of what `runs` read.
    """

    name: str
    folder: Path
    runs: dict[int, Run]
    values: Row = field(default_factory=dict)
    command: str = ""
    tuning: Tried | None = None
    other: dict[int, Run] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def done(self) -> list[Run]:
        return [run for run in self.runs.values() if run.status == "done"]

    @cached_property
    def config(self) -> Row:
        """The configuration, but for what differs between its runs; `{}` where none of them has one."""
        found = (run.folder.config() for run in self.runs.values())
        return next(filter(None, found), {})

    @cached_property
    def data(self) -> Data:
        """The data of its runs."""
        return data_of(self.config, self.files)

    @property
    def failed(self) -> list[Run]:
        return [run for run in self.runs.values() if run.status == "failed"]

    @property
    def seconds(self) -> float | None:
        """The mean seconds of a finished run."""
        took = [run.summary["seconds"] for run in self.done if "seconds" in run.summary]
        return simple.fmean(took) if took else None

    @property
    def tried(self) -> list[Run]:
        """The runs of tuning."""
        return [run for _, runs in self.tuning.trials for run in runs] if self.tuning else []

    def command_of(self, seed: int) -> str:
        """The command that makes that run: the sweep's, or what the run itself recorded."""
        given = self.command.replace("seed=N", f"seed={seed}")
        return given or self.runs[seed].command


@dataclass
class Part:
    """Arms that are compared with one another on one metric.

    mode: `max` or `min` is better, where the sweep file says it; otherwise the runs do. margin: a difference
    that is not worth having, in its unit (`points` of a share, or `absolute`). looks: how the seeds
    came about: numbers of them at which they are looked at; planned: beforehand, or by hand. group: what
    parts of several data sets have in common, dataset: which one this is. question: of the whole sweep.
    """

    name: str
    arms: list[Arm]
    baseline: str
    metric: str
    mode: Better | None
    select: str | None
    threshold: Row | None = None
    command: str = ""
    reselect: bool = False  # rows are chosen anew by `select`
    notes: list[str] = field(default_factory=list)
    margin: tuple[float, str] | None = None
    looks: tuple[int, ...] = ()
    planned: bool = True
    seeds: tuple[int, ...] = ()
    group: str = ""
    dataset: str = ""
    question: str = ""

    def margin_in(self, metric: Metric) -> float:
        """The margin in the metric's own scale, NaN without one; InputError for points of no share."""
        check_margin(self.margin, metric, f"part {self.name}: margin")
        if self.margin is None:
            return math.nan
        value, unit = self.margin
        return value / 100 if unit == "points" else value

    def runs(self) -> Iterator[Run]:
        return (run for arm in self.arms for run in arm.runs.values())

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


def same_data(arms: Iterable[Arm]) -> list[tuple[Data, list[Arm]]]:
    """The arms by their data, in their order; one of unknown data is among the first that it may have."""
    groups: list[tuple[Data, list[Arm]]] = []
    for arm in arms:
        place = next((n for n, (data, _) in enumerate(groups) if not data.differs(arm.data)), len(groups))
        data, own = groups[place] if place < len(groups) else (arm.data, [])
        groups[place : place + 1] = [(data | arm.data, [*own, arm])]
    return groups


def in_words(metric: Metric) -> str:
    """Words on which way is better."""
    words = {"max": "larger is better", "min": "smaller is better"}
    return words[metric.better] if metric.better else "neither way is said to be better"


def check_select(metric: object, key: str) -> None:
    """Refuse to choose steps by anything but validation."""
    if metric is not None and not metric_of(str(metric), None).chooses:
        raise InputError(key, "a validation metric (test data are for reporting, not for choosing)", metric)


def check_reported(part: Part, reported: Mapping[str, Metric], of: str, prefix: str = "") -> None:
    """Refuse a part whose metrics are not among what is reported, or cannot choose what they are to choose.

    reported: by key of a row; empty: nothing is known of it. of: who reports it. prefix: of the keys.
    """
    if not reported:
        return
    threshold = part.threshold or {}
    chosen = {"select": part.select, "threshold.metric": threshold.get("metric")}
    tuned = {arm.tuning.metric for arm in part.arms if arm.tuning}
    for key, name in [*chosen.items(), *(("tune.metric", name) for name in sorted(tuned))]:
        ways = key == "threshold.metric" and threshold.get("mode")
        if name and _known(part, name, reported, of, prefix + key).better is None and not ways:
            raise InputError(prefix + key, f"a metric of which {of} say which way is better", name)
    own = TIMES if threshold else {PER_STEP: TIMES[PER_STEP]}
    metric = _known(part, part.metric, {**reported, **own}, of, f"{prefix}metric")
    check_margin(part.margin, metric, f"{prefix}margin")


def _known(part: Part, name: str, reported: Mapping[str, Metric], of: str, key: str) -> Metric:
    """The metric that is called so, or that stands for it."""
    metric = part.describe(name)
    for known in metric.family.keys(name):
        if known in reported:
            return reported[known]
    near = nearest(name, [other for other in reported if part.describe(other).chooses or not metric.chooses])
    raise InputError(key, f"a metric of {of}", name, near)


def check_margin(margin: tuple[float, str] | None, metric: Metric, key: str) -> None:
    """Refuse points of what is no share."""
    if margin and margin[1] == "points" and not metric.percent:
        raise InputError(key, f"absolute: {metric.name} is no share", f"{margin[0]:g} points")


def tell_apart(part: Part) -> None:
    """No two arms of a part have the same name: the folder's own name is added to both."""
    names = [arm.name for arm in part.arms]
    for name in sorted({name for name in names if names.count(name) > 1}):
        twins = [arm for arm in part.arms if arm.name == name]
        part.notes.append(f"{len(twins)} arms are called {name}: told apart by their folders")
        for number, arm in enumerate(twins, start=1):
            own = printable(arm.folder.name)
            arm.name = own if len({twin.folder for twin in twins}) == len(twins) else f"{own} ({number})"
