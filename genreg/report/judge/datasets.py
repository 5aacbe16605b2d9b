"""One comparison over several data sets: the matrix of arms by data sets, ranks, and the average.

The average decides, not Friedman's test of the ranks: a rank forgets by how much an arm wins, and with the
three to six data sets that a person can afford its critical difference (Demsar, JMLR 7, 2006) is nearly the
whole range of ranks. Ranks and Friedman's p stand beside it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from genreg.report.judge.result import ArmResult, PartResult
from genreg.report.judge.statistics import LEVEL


@dataclass(frozen=True)
class Average:
    """The mean over data sets of an arm's paired differences, each data set counted once.

    low, high: 95 % interval for these data sets, of training seeds (Welch and Satterthwaite). wide_low,
    wide_high: for data sets like these, Student's over the data sets; NaN with fewer than three.
    """

    mean: float
    low: float
    high: float
    wide_low: float
    wide_high: float


@dataclass(frozen=True)
class Row:
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
    rows: Sequence[Row]
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
        rows.append(Row(name, cells, rank, average([cell for cell in cells if cell])))
    whole = not np.isnan(ranks).any() and min(ranks.shape) > 2
    return Matrix(group, results, rows, float(stats.friedmanchisquare(*ranks).pvalue) if whole else math.nan)


def _ranks(names: Sequence[str], results: Sequence[PartResult]) -> np.ndarray:
    """(arms, data sets): the place of each arm's mean, 1 the best; NaN where not all arms have values."""
    columns = []
    for result in results:
        found = [result.find(name) for name in names]
        way = -1 if result.metric.better == "max" else 1
        means = [way * arm.mean if arm and not arm.apart else math.nan for arm in found]
        lost = any(map(math.isnan, means)) or result.metric.better is None
        columns.append([math.nan] * len(names) if lost else stats.rankdata(means))
    return np.array(columns, float).T


def average(arms: Sequence[ArmResult]) -> Average | None:
    """The average of an arm's differences over data sets; None where one of them has no spread."""
    found = [arm.comparison for arm in arms]
    if len(found) < 2 or any(one is None or math.isnan(one.sd) for one in found):
        return None
    means = np.array([one.mean for one in found if one])
    errors = np.array([one.sd**2 / one.n for one in found if one])
    n = np.array([one.n for one in found if one])
    mean, error = float(means.mean()), math.sqrt(errors.sum()) / len(means)
    freedom = float(errors.sum() ** 2 / (errors**2 / (n - 1)).sum()) if errors.any() else 1.0
    half = float(stats.t.ppf(1 - LEVEL / 2, freedom)) * error
    wide = math.nan
    if len(means) > 2:
        wide = float(stats.t.ppf(1 - LEVEL / 2, len(means) - 1) * stats.sem(means))
    return Average(mean, mean - half, mean + half, mean - wide, mean + wide)
