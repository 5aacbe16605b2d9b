"""A part's table: each arm's values, comparison and verdict; and one method over several data sets."""

import math
import statistics as simple
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy

from genreg.report.judge.pairs import ONCE, OTHER_WAY, Rule
from genreg.report.judge.statistics import LEVEL, Comparison, Ranks, spread
from genreg.report.judge.stopping import unseen_differences
from genreg.report.judge.tuning import TuningResult
from genreg.report.read.values import Key, Outcomes, Reach
from genreg.run.metric import Metric
from genreg.study.model import Arm, Part

TELLING = 5
"""Values of a range that were tried, from which on a winner at its end is news."""


@dataclass
class ArmResult:
    """One line of a part's table. outcomes: of each run (or replica) in the metric, by its key; of studies.

    apart: why it is not compared with the baseline; empty where it is. of_runs: of each run, also where
    studies are judged. failed: runs that failed, and replicas or values of finished ones that did.
    condition: what the verdict rests on, if on more than usual. time_ranks: of the steps until the threshold
    against the baseline's. tunings: the tuning of each study, if anything was tuned.
    """

    arm: Arm
    outcomes: Outcomes
    of_runs: Outcomes
    chosen: list[float]  # the selection metric at the chosen step
    failed: int
    unfinished: int
    apart: str = ""
    comparison: Comparison | None = None
    verdict: str = ""
    condition: str = ""
    times: dict[int, Reach] = field(default_factory=dict)
    time_ranks: Ranks | None = None
    tunings: Sequence[TuningResult] = ()

    @property
    def tuning(self) -> TuningResult | None:
        """The tuning, of the first study."""
        return self.tunings[0] if self.tunings else None

    @property
    def luck(self) -> float:
        """The luck of the winner, on average over the studies that are over; NaN of none."""
        known = [found.luck for found in self.tunings if not math.isnan(found.luck)]
        return simple.fmean(known) if known else math.nan

    @property
    def judgement(self) -> str:
        """The verdict with its condition."""
        return ", ".join(filter(None, [self.verdict, self.condition]))

    @property
    def at_end(self) -> str:
        """The ends of ranges at which the winners of tuning lie, in words; of studies, of half of them."""
        many = len(self.tunings)
        found = Counter(key for tuning in self.tunings for key in tuning.edges(TELLING))
        keys = {key: times for key, times in found.items() if 2 * times >= many}
        each = ", ".join(f"{key} in {times} of {many}" if many > 1 else key for key, times in keys.items())
        return f"{self.arm.name} at an end of {each}" if keys else ""

    @property
    def values(self) -> dict[Key, float]:
        """The metric of each finished run, replica or study, by its key."""
        return self.outcomes.values

    @property
    def time_way(self) -> str:
        """`earlier` or `later` than the baseline, by the ranks that gave the p of times; else nothing."""
        return {-1: "earlier", 1: "later"}.get(self.time_ranks.sign, "") if self.time_ranks else ""

    @property
    def remark(self) -> str:
        """Remarks on the verdict and on the times."""
        contradicted = self.time_ranks and self.time_ranks.contradicted
        of_times = f"times are compared {OTHER_WAY}" if contradicted else ""
        return "; ".join(
            filter(None, [self.apart, self.comparison.remark if self.comparison else "", of_times])
        )

    @property
    def mean(self) -> float:
        return simple.fmean(self.values.values()) if self.values else math.nan

    @property
    def sd(self) -> float:
        return simple.stdev(self.values.values()) if len(self.values) > 1 else math.nan

    @property
    def median(self) -> float:
        return simple.median(self.values.values()) if self.values else math.nan

    @property
    def reached(self) -> int:
        return sum(math.isfinite(time.steps) for time in self.times.values())

    def median_time(self, unit: str) -> float:
        """The median time in `steps` or `seconds`; infinite where half of the runs never got there."""
        return simple.median(getattr(time, unit) for time in self.times.values()) if self.times else math.nan


@dataclass
class PartResult:
    """A part with its table.

    metric: what is reported. replicas: values are of replicas, several in a run. rule: how pairs are judged.
    family: so many comparisons are corrected together, those of other data sets among them.
    """

    part: Part
    metric: Metric
    arms: list[ArmResult]
    replicas: bool
    notes: list[str]
    claims: list[Any] = field(default_factory=list)
    rule: Rule = ONCE
    family: int = 0

    @property
    def selection(self) -> str | None:
        """The metric that chose the steps, where it is another than the one reported."""
        return self.part.select if self.part.select != self.part.metric else None

    def find(self, name: str) -> ArmResult | None:
        return next((result for result in self.arms if result.arm.name == name), None)


COLORS = 8


def plotted_arms(result: PartResult) -> list[tuple[int, ArmResult]]:
    """The arms that pictures show, each with its color: the baseline and the best others, in table order.

    The baseline has color 0, which no other arm takes in its place.
    """
    base = result.find(result.part.baseline)
    others = [arm for arm in result.arms if arm.arm.runs and arm is not base]
    best = [id(arm) for arm in sorted(others, key=lambda arm: _rank(result, arm))[: COLORS - 1]]
    first = [base] if base and base.arm.runs else []
    return list(enumerate([*first, *(arm for arm in others if id(arm) in best)], start=0 if first else 1))


def _rank(result: PartResult, arm: ArmResult) -> tuple[bool, bool, int, float]:
    """A key that sorts the best arm first; a failure is the worst value. Without a better way, as they stand.

    Arms that are not compared with the baseline come last: their values cannot be compared with its own.
    """
    sign = {"max": -1, "min": 1, None: 0}[result.metric.better]
    return (
        bool(arm.apart),
        math.isnan(arm.mean),
        arm.failed if sign else 0,
        sign * arm.mean if arm.values else 0,
    )


@dataclass(frozen=True)
class Average:
    """The mean over data sets of an arm's paired differences, each data set counted once.

    Where seeds are added until decided, it is of the pairs of the first look: means at a stop exaggerate.
    low, high: 95 % interval for these data sets, of training seeds (Welch and Satterthwaite). wide_low,
    wide_high: for data sets like these, Student's over the data sets; NaN with fewer than three.
    """

    mean: float
    low: float
    high: float
    wide_low: float
    wide_high: float


@dataclass(frozen=True)
class MatrixRow:
    """An arm in each data set (None where it has no values), its mean rank (1 is best), its average."""

    arm: str
    cells: Sequence[ArmResult | None]
    rank: float
    average: Average | None


@dataclass(frozen=True)
class Matrix:
    """friedman: p that all arms have the same ranks; NaN with fewer than three arms or data sets."""

    group: str
    results: Sequence[PartResult]
    rows: Sequence[MatrixRow]
    friedman: float

    @property
    def datasets(self) -> list[str]:
        return [result.part.dataset for result in self.results]


def matrices(results: Sequence[PartResult]) -> list[Matrix]:
    """One for each group of parts that has several data sets and reports one metric."""
    groups: dict[str, list[PartResult]] = {}
    for result in results:
        if result.part.group:
            groups.setdefault(result.part.group, []).append(result)
    alike = {name: own for name, own in groups.items() if len(own) > 1 and len({r.metric for r in own}) == 1}
    return [_matrix(name, own) for name, own in alike.items()]


def _matrix(group: str, results: Sequence[PartResult]) -> Matrix:
    names = list(dict.fromkeys(arm.arm.name for result in results for arm in result.arms))
    ranks = _ranks(names, results)
    rows = []
    for name, own in zip(names, ranks, strict=True):
        found = [result.find(name) for result in results]
        cells = [arm if arm and arm.values and not arm.apart else None for arm in found]
        rank = float(np.mean(own)) if not np.isnan(own).any() else math.nan
        rows.append(MatrixRow(name, cells, rank, _average(results, cells)))
    complete = not np.isnan(ranks).any() and min(ranks.shape) > 2
    friedman = float(scipy.stats.friedmanchisquare(*ranks).pvalue) if complete else math.nan
    return Matrix(group, results, rows, friedman)


def _average(results: Sequence[PartResult], cells: Sequence[ArmResult | None]) -> Average | None:
    """The average over the data sets in which the arm is compared, of pairs that no look has chosen."""
    found = []
    for result, cell in zip(results, cells, strict=True):
        base = result.find(result.part.baseline)
        if cell is None or base is None or cell is base:
            continue
        if cell.comparison is None or math.isnan(cell.comparison.sd):
            return None
        found.append(unseen_differences(cell.outcomes, base.outcomes, result.rule))
    return average(found)


def _ranks(names: Sequence[str], results: Sequence[PartResult]) -> np.ndarray:
    """The place of each arm's mean, 1 the best, (arms, data sets); NaN where not all arms have values."""
    columns = []
    for result in results:
        found = [result.find(name) for name in names]
        way = -1 if result.metric.better == "max" else 1
        means = [way * arm.mean if arm and not arm.apart else math.nan for arm in found]
        lost = any(map(math.isnan, means)) or result.metric.better is None
        columns.append([math.nan] * len(names) if lost else scipy.stats.rankdata(means))
    return np.array(columns, float).T


def average(differences: Sequence[Sequence[float]]) -> Average | None:
    """The average of an arm's paired differences, given for each data set; None where one has no spread."""
    d = [np.asarray(one, float) for one in differences]
    if len(d) < 2 or any(len(one) < 2 or not np.isfinite(one).all() for one in d):
        return None
    means = np.array([one.mean() for one in d])
    n = np.array([len(one) for one in d])
    errors = np.array([spread(one) ** 2 for one in d]) / n
    # each data set counts once, however many seeds it has: the question is about data sets, not about seeds
    mean, error = float(means.mean()), math.sqrt(errors.sum()) / len(means)
    freedom = float(errors.sum() ** 2 / (errors**2 / (n - 1)).sum()) if errors.any() else 1.0
    half = float(scipy.stats.t.ppf(1 - LEVEL / 2, freedom)) * error
    wide = math.nan  # of two data sets the t interval has one degree of freedom and says nothing
    if len(means) > 2:
        wide = float(scipy.stats.t.ppf(1 - LEVEL / 2, len(means) - 1) * scipy.stats.sem(means))
    return Average(mean, mean - half, mean + half, mean - wide, mean + wide)
