"""The share of those who follow `genreg plan` after a pilot that has the power which it says.

Pilots of normal differences with standard deviation 1: the spread as it is, beside its upper bound.

    python scripts/simulate_pilots.py --pilots 1000
"""

import argparse
from collections.abc import Callable
from statistics import median

import numpy as np

from genreg.report.judge.statistics import POWER, power
from genreg.report.plan import recommended, upper_bound

CASES = ((3, 0.5), (3, 1.0), (5, 0.5), (5, 1.0), (8, 0.5))  # pairs of the pilot, wanted difference


def told(pairs: int, difference: float, sds: np.ndarray, bound: Callable[[float, int], float]) -> str:
    """Shares of pilots whose seeds have enough power, and less than half of it; the median of these seeds."""
    seeds = [recommended(difference, bound(float(sd), pairs)) or 10_000 for sd in sds]
    powers = np.array([power(difference, 1.0, n) for n in seeds])
    return (
        f"{(powers >= POWER).mean():.0%}, {(powers < POWER / 2).mean():.0%}; median {median(seeds):g} seeds"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pilots", type=int, default=1000)
    options = parser.parse_args()
    print("| pilot, wanted difference | enough | spread as it is | upper bound |\n|---|---|---|---|")
    for pairs, difference in CASES:
        draw = np.random.default_rng(0)
        sds = np.sqrt(draw.chisquare(pairs - 1, options.pilots) / (pairs - 1))
        plain, bounded = (told(pairs, difference, sds, bound) for bound in (lambda sd, _: sd, upper_bound))
        print(
            f"| {pairs} pairs, {difference:g} | {recommended(difference, 1.0)} seeds | {plain} | {bounded} |"
        )


if __name__ == "__main__":
    main()
