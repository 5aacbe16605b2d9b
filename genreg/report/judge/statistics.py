"""Tests of paired differences: intervals, corrections for several, looks at growing numbers of seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import scipy  # scipy.stats comes when it is first used: a second, which few arms alone need not pay

LEVEL = 0.05
POWER = 0.8
EXACT = 10  # pairs up to which all 2^n sign patterns are counted


By = Literal["t", "signs", "ranks", "nothing"]


@dataclass(frozen=True)
class Comparison:
    """Paired differences: their mean with its 95 % interval, and the test that decides.

    n: pairs that have a difference. pairs: those that the test saw, also such of which one run failed.
    by: `t` (Student's), `signs` (exact sign flips of differences without spread), `ranks` (sign flips of
    differences in rank) or `nothing`. p and sign are that test's. permutation: exact sign flips of the
    differences, None with more than EXACT. equivalent: p that the difference is not within the margin, NaN
    without one. adjusted, equivalent and detectable are corrected for a family by `family`. medians: of both
    arms, where ranks decide. superior: the probability that the arm is better in a pair (larger, where no
    way is better), and its interval. corrected: the mean, for having been stopped where it was large. looks:
    numbers of seeds at which the pairs were looked at, empty for once; then p is over all looks, and level
    that of the last, for intervals. remark: what to know of it.
    """

    n: int
    mean: float
    sd: float
    low: float
    high: float
    p: float
    wilcoxon: float
    permutation: float | None
    sign: int
    pairs: int
    by: By
    equivalent: float = math.nan
    adjusted: float = math.nan
    detectable: float = math.nan
    medians: tuple[float, ...] = ()
    superior: tuple[float, ...] = ()
    corrected: float = math.nan
    looks: tuple[int, ...] = ()
    level: float = LEVEL
    remark: str = ""


@dataclass(frozen=True)
class Tested:
    """One test: its p, the sign that it shows, p of both tests against a margin, and which test it is."""

    p: float
    sign: int
    equivalent: float
    by: By


def compare(differences: Sequence[float], margin: float = math.nan, level: float = LEVEL) -> Comparison:
    """Test whether the mean paired difference is zero, and whether it is within the margin.

    The interval misses with the level. Raises ValueError with fewer than two pairs.
    """
    tested = decide(differences, margin)
    d = np.asarray(differences, float)
    n, sd = len(d), spread(d)
    mean, low, high = student(d, level)
    exact = sign_flip(d) if n <= EXACT or not sd else None
    return Comparison(n, mean, sd, low, high, tested.p, _wilcoxon(d), exact, tested.sign, n,
                      tested.by, tested.equivalent, level=level)  # fmt: skip


def student(differences: Sequence[float] | np.ndarray, level: float = LEVEL) -> tuple[float, float, float]:
    """The mean and the ends of its interval, which misses with the level. ValueError with fewer than two."""
    d = np.asarray(differences, float)
    mean = float(d.mean())
    half = float(scipy.stats.t.ppf(1 - level / 2, len(d) - 1)) * spread(d) / math.sqrt(len(d))
    return mean, mean - half, mean + half


def decide(differences: Sequence[float], margin: float = math.nan) -> Tested:
    """Student's paired t, or exact sign flips where there is no spread; with a margin both one-sided tests.

    Schuirmann (1987): the difference is within the margin if it is shown to be above minus the margin and
    below the margin, each one-sided. Raises ValueError with fewer than two pairs.
    """
    d = np.asarray(differences, float)
    n, mean, sd = len(d), float(d.mean()), spread(d)
    sign = int(np.sign(mean))
    # equal differences have no error to divide by: t would be infinite from two pairs on, whereas sign flips
    # of n equal differences give 2 / 2^n, which is what so few pairs can show
    if not sd:
        inside = (sign_flip(d + margin) if abs(mean) < margin else 2.0) / 2
        return Tested(sign_flip(d), sign, math.nan if math.isnan(margin) else inside, "signs")
    error = sd / math.sqrt(n)
    p = 2 * float(scipy.stats.t.sf(abs(mean) / error, n - 1))
    # both one-sided tests must reject, so the larger of their two p counts: that of the nearer margin
    return Tested(p, sign, float(scipy.stats.t.sf((margin - abs(mean)) / error, n - 1)), "t")


def flips_at_best(pairs: int) -> float:
    """The smallest p that sign flips of so many pairs can have: the one pattern of 2^n, and its mirror."""
    return 2.0 ** (1 - pairs)


def probability(wins: float, pairs: int, level: float = LEVEL) -> tuple[float, float, float]:
    """The probability to win a pair, with the interval of Clopper and Pearson (1934). A tie is half a win."""
    beta = scipy.stats.beta.ppf
    low = float(beta(level / 2, wins, pairs - wins + 1)) if wins else 0.0
    high = float(beta(1 - level / 2, wins + 1, pairs - wins)) if wins < pairs else 1.0
    return wins / pairs, low, high


def unseen(pairs: int) -> float:
    """The largest share of failures of which so many pairs may show none, at 95 %."""
    return float(1 - LEVEL ** (1 / pairs))


def spread(differences: Sequence[float] | np.ndarray) -> float:
    """Standard deviation; 0 for differences equal up to rounding, of which t would be a ratio of errors."""
    d = np.asarray(differences, float)
    if len(d) < 2:
        raise ValueError(f"a paired test needs two pairs, got {len(d)}")
    sd = float(d.std(ddof=1))
    return sd if sd > 1e-12 * float(np.abs(d).max()) else 0.0


def is_skewed(differences: Sequence[float]) -> bool:
    """True if Student's p may be far off: skewness G beyond two of its standard errors, and n < 25 G^2.

    Cochran, Sampling Techniques (1977), section 2.15. G is the adjusted Fisher-Pearson coefficient.
    """
    n = len(differences)
    skewness = float(scipy.stats.skew(differences, bias=False))
    error = math.sqrt(6 * n * (n - 1) / ((n - 2) * (n + 1) * (n + 3)))
    return abs(skewness) > 2 * error and n < 25 * skewness**2


def sign_flip(differences: Sequence[float] | np.ndarray) -> float:
    """Two-sided p of the mean under random signs, by counting all 2^n (10,000 drawn beyond n = 20)."""
    d = np.asarray(differences, float)
    if not d.any():
        return 1.0
    result = scipy.stats.permutation_test(
        (d, np.zeros_like(d)), lambda x, y, axis: (x - y).mean(axis), permutation_type="samples",
        vectorized=True, n_resamples=np.inf if len(d) <= 2 * EXACT else 9999, rng=0,
        batch=max(1, 2_000_000 // len(d)),
    )  # fmt: skip
    return float(result.pvalue)


def family(found: Sequence[Comparison]) -> list[Comparison]:
    """Return the comparisons with Holm's p over all of them, and the difference that each t test could show.

    Differences and equivalences are two families: each has a false positive with at most the level.
    """
    many = max(1, len(found))
    # a difference and an equivalence of the same two arms cannot both be false (one of them is true), so
    # neither pays for the other: each question has its own Holm correction at the full level
    both = zip(holm([one.p for one in found]), holm([one.equivalent for one in found]), strict=True)
    return [
        replace(one, adjusted=p, equivalent=equivalent,
                detectable=detectable(one.sd, one.n, one.level / many) if one.by == "t" else math.nan)
        for one, (p, equivalent) in zip(found, both, strict=True)
    ]  # fmt: skip


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p values: a family of true nulls has a false positive with at most the level.

    NaN counts as one that was tested and shows nothing.
    """
    adjusted, largest = [math.nan] * len(p), 0.0
    for rank, index in enumerate(np.argsort(p)):  # NaN is sorted last, and still counts in len(p)
        if not math.isnan(p[index]):
            # a step-down test stops at the first p that is too large, so no later one may be adjusted to less
            largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
            adjusted[index] = largest
    return adjusted


def power(effect: float, sd: float, n: int, level: float = LEVEL) -> float:
    """Chance that the two-sided paired t test of n pairs finds a mean difference, with the right sign."""
    return _power(abs(effect) * math.sqrt(n) / sd, n, level)


def detectable(sd: float, n: int, level: float = LEVEL) -> float:
    """The mean difference found with 80 % power by n pairs whose differences have this sd."""
    return _noncentrality(n, level) * sd / math.sqrt(n)


@lru_cache
def _noncentrality(n: int, level: float) -> float:
    high = 2 * float(scipy.stats.t.ppf(1 - level / 2, n - 1)) + 10
    return float(scipy.optimize.brentq(lambda shift: _power(shift, n, level) - POWER, 0, high))


def _power(shift: float, n: int, level: float) -> float:
    return float(scipy.stats.nct.sf(scipy.stats.t.ppf(1 - level / 2, n - 1), n - 1, shift))


def _wilcoxon(d: np.ndarray) -> float:
    return float(scipy.stats.wilcoxon(d).pvalue) if d.any() else 1.0


@dataclass(frozen=True)
class Ranks:
    """Paired values by rank: p, the sign of first minus second, and the medians of both."""

    p: float
    sign: int
    medians: tuple[float, float]

    @property
    def contradicted(self) -> bool:
        """True if p is below the level and the medians go the other way."""
        first, second = self.medians
        return self.p < LEVEL and self.sign * ((first > second) - (first < second)) < 0


def compare_ranks(first: Sequence[float], second: Sequence[float]) -> Ranks:
    """p that paired values are the same, by sign flips of their differences in rank, whose mean has the sign.

    Values are ranked together; an infinite one (a time never reached, a run that failed) is behind every
    other and level with its like.
    """
    # ranks of values, not of differences as in Wilcoxon's test: there a failed run would have an infinite
    # difference, and a pair of failed runs none; here these are as far apart as there are runs, and 0
    ranks = scipy.stats.rankdata([*first, *second])
    d = ranks[: len(first)] - ranks[len(first) :]
    return Ranks(sign_flip(d), int(np.sign(d.sum())), (float(np.median(first)), float(np.median(second))))


SIMULATED = 100_000  # sweeps of true nulls
CHUNK = 10_000

Plan = tuple[int, ...]
"""The numbers of seeds at which a sweep looks, in growing order."""

Sides = Literal[1, 2]


def repeated_p(p: float, n: int, plan: Plan, sides: Sides = 2) -> float:
    """p of a look at n seeds, over all looks of the plan, where the test of these n seeds alone has `p`.

    The chance that a sweep of a true null has, at any look of the plan, a p as small for its number of seeds.
    So the chance that it is ever below a level is at most the level, wherever the plan is left.
    """
    # p / n is what looks are compared by: the level of a look grows with its seeds, so that the first looks,
    # where Student's t knows least, spend least. Added one above and below, p of a simulation is never 0
    rank = int(np.searchsorted(smallest_by_chance(plan, sides), p * plan[-1] / n, side="right"))
    return min(1.0, (rank + 1) / (SIMULATED + 1))


def level_at(n: int, plan: Plan, level: float, sides: Sides = 2) -> float:
    """The level of the look at n seeds, where the whole plan has `level`."""
    return float(np.quantile(smallest_by_chance(plan, sides), level)) * n / plan[-1]


@lru_cache(maxsize=16)
def smallest_by_chance(plan: Plan, sides: Sides) -> np.ndarray:
    """The smallest p N / n over the looks of each simulated sweep, sorted."""
    rng = np.random.default_rng(0)
    chunks = [
        _smallest(rng.standard_normal((CHUNK, plan[-1])), plan, sides) for _ in range(SIMULATED // CHUNK)
    ]
    return np.sort(np.concatenate(chunks))


def _smallest(d: np.ndarray, plan: Plan, sides: Sides) -> np.ndarray:
    # of one seed, as before a change by hand, there is no t
    n = np.array([look for look in plan if look > 1])
    # all looks see the same growing sample: their dependence is what makes this less than a sum over looks
    mean = d.cumsum(1)[:, n - 1] / n
    variance = ((d**2).cumsum(1)[:, n - 1] - n * mean**2) / (n - 1)
    t = mean * np.sqrt(n / np.maximum(variance, np.finfo(float).tiny))
    p = 2 * scipy.stats.t.sf(np.abs(t), n - 1) if sides == 2 else scipy.stats.t.sf(t, n - 1)
    smallest: np.ndarray = (p * plan[-1] / n).min(1)
    return smallest
