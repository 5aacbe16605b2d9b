"""Estimates where seeds are added until a comparison is decided: the mean at a stop is too far from zero.

A comparison is left when its difference happens to be large, so its mean exaggerates, and an average of such
means over data sets misses its level. The pairs of the first look were there before anything could be seen.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy

from genreg.report.judge.pairs import Rule, paired
from genreg.report.judge.statistics import LEVEL, Comparison, Plan, level_at
from genreg.report.read.values import Outcomes

SIMULATED = 2500  # sweeps for each effect
EFFECTS = np.geomspace(0.05, 5, 24)  # standard deviations of a difference


def unseen_differences(arm: Outcomes, base: Outcomes, rule: Rule) -> list[float]:
    """The paired differences that no result has chosen: of the first look, or all where there are none."""
    both = [key for key in paired(arm, base) if key in arm.values and key in base.values]
    first = rule.seeds[: rule.plan[0]] if rule.plan else ()
    return [arm.values[key] - base.values[key] for key in both if not rule.plan or key[0] in first]


def corrected(found: Comparison, plan: Plan) -> float:
    """The mean difference without the exaggeration that effects of its size have when they are decided.

    Whitehead (Biometrika 73, 1986) for the size, given a decision for the exaggeration: as if the comparison
    were alone, of normal differences. NaN where Student's t does not decide, or without looks.
    """
    if not plan or found.by != "t" or not found.sd:
        return math.nan
    table = _exaggeration(plan)
    seen = np.maximum.accumulate(table.seen)
    size = np.interp(abs(found.mean) / found.sd, seen, EFFECTS, right=math.inf)
    return float(found.mean / np.interp(size, EFFECTS, table.factor, right=1.0))


@dataclass(frozen=True)
class Exaggeration:
    """For each of EFFECTS: the expected mean / sd at the stop, and by what factor decided means exceed it."""

    seen: np.ndarray
    factor: np.ndarray


@lru_cache(maxsize=16)
def _exaggeration(plan: Plan) -> Exaggeration:
    noise = np.random.default_rng(0).standard_normal((SIMULATED, plan[-1]))
    ends = [stopped(noise + effect, plan) for effect in EFFECTS]
    seen = [(mean / sd).mean() for mean, sd, _ in ends]
    shown = [mean[decided & (mean > 0)].mean() for mean, _, decided in ends]
    return Exaggeration(np.array(seen), np.array(shown) / EFFECTS)


def stopped(d: np.ndarray, plan: Plan) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, sd and whether it is decided, at the stop of each sweep (sweeps, plan[-1])."""
    n = np.array([look for look in plan if look > 1])
    means = d.cumsum(1)[:, n - 1] / n
    sds = np.sqrt(((d**2).cumsum(1)[:, n - 1] - n * means**2) / (n - 1))
    bounds = [scipy.stats.t.ppf(1 - level_at(k, plan, LEVEL) / 2, k - 1) for k in n]
    shown = np.abs(means) * np.sqrt(n) > bounds * sds
    at = np.where(shown.any(1), shown.argmax(1), len(n) - 1)[:, None]
    mean, sd, decided = (np.take_along_axis(a, at, 1)[:, 0] for a in (means, sds, shown))
    return mean, sd, decided
