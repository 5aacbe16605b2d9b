"""Paired tests that look at the seeds again and again, as a plan of looks says.

A plan names the numbers of seeds at which it looks, (5, 6, ..., 20). At a look at n of at most N seeds a test
has the level c n / N, with the one c for which all looks together have a false positive in 5 % of sweeps of
true nulls: a group-sequential test (Jennison and Turnbull, Group Sequential Methods, 2000, chapters 2 and 4)
whose levels grow in proportion to the seeds, so that the first looks, where Student's t knows least, count
least. c is found by simulation of t statistics of normal differences, so nothing is taken from large samples.
"""

from functools import lru_cache
from typing import Literal

import numpy as np
from scipy import stats

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
    rank = int(np.searchsorted(_null(plan, sides), p * plan[-1] / n, side="right"))
    return min(1.0, (rank + 1) / (SIMULATED + 1))


def level_at(n: int, plan: Plan, level: float, sides: Sides = 2) -> float:
    """The level of the look at n seeds, where the whole plan has `level`."""
    return float(np.quantile(_null(plan, sides), level)) * n / plan[-1]


@lru_cache(maxsize=16)
def _null(plan: Plan, sides: Sides) -> np.ndarray:
    """Sorted, of each simulated sweep: the smallest of p N / n over the looks."""
    rng = np.random.default_rng(0)
    chunks = [
        _smallest(rng.standard_normal((CHUNK, plan[-1])), plan, sides) for _ in range(SIMULATED // CHUNK)
    ]
    return np.sort(np.concatenate(chunks))


def _smallest(d: np.ndarray, plan: Plan, sides: Sides) -> np.ndarray:
    n = np.array(plan)
    mean = d.cumsum(1)[:, n - 1] / n
    variance = ((d**2).cumsum(1)[:, n - 1] - n * mean**2) / (n - 1)
    t = mean * np.sqrt(n / np.maximum(variance, np.finfo(float).tiny))
    p = 2 * stats.t.sf(np.abs(t), n - 1) if sides == 2 else stats.t.sf(t, n - 1)
    smallest: np.ndarray = (p * plan[-1] / n).min(1)
    return smallest
