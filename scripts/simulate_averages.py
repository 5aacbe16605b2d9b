"""Coverage of averages over data sets, and exaggeration of effects, where seeds are added until decided.

Five data sets, each with one comparison; effects in standard deviations of a paired difference. The first
look is what `genreg report` averages; the ends are what one would average without thinking of the looks.

    python scripts/simulate_averages.py --sweeps 4000
"""

import argparse

import numpy as np
from simulate_studies import holm, over_looks

from genreg.report.judge.result import average
from genreg.report.judge.statistics import LEVEL, Comparison, Plan
from genreg.report.judge.stopping import corrected, stopped

PLAN: Plan = tuple(range(5, 21))
SETS = 5
EFFECTS = (0.0, 0.3, 0.5, 0.8, 1.2)
SPREAD = 0.5
"""The standard deviation of effects over data sets like these, where there is one."""


def ends(d: np.ndarray) -> np.ndarray:
    """The number of seeds of each comparison (sweeps, data sets) at its end, Holm over the data sets."""
    p, _ = over_looks(d, PLAN)
    at = np.zeros(d.shape[:2], int)
    while True:
        open_still = holm(np.take_along_axis(p, at[..., None], -1)[..., 0]) >= LEVEL
        on = open_still & (at < len(PLAN) - 1)
        if not on.any():
            return np.array(PLAN)[at]
        at += on


def covered(d: np.ndarray, n: np.ndarray, these: np.ndarray, such: float) -> tuple[float, float]:
    """Shares of sweeps whose intervals cover the mean effect of these data sets, and of such data sets."""
    found = [average([own[:k] for own, k in zip(one, of, strict=True)]) for one, of in zip(d, n, strict=True)]
    inside = [(a.low <= t <= a.high, a.wide_low <= such <= a.wide_high)
              for a, t in zip(found, these, strict=True) if a]  # fmt: skip
    first, second = np.mean(inside, 0)
    return float(first), float(second)


def coverage(sweeps: int) -> None:
    print("| effect | spread | rule | these: ends | these: first look | such: ends | such: first look |")
    print("|---|---|---|---|---|---|---|")
    for effect in EFFECTS:
        for spread in (0.0, SPREAD):
            rng = np.random.default_rng(0)
            true = effect + spread * rng.standard_normal((sweeps, SETS))
            d = true[..., None] + rng.standard_normal((sweeps, SETS, PLAN[-1]))
            for rule, last in (("until decided", ends(d)), ("20 seeds", np.full(true.shape, PLAN[-1]))):
                first = np.full(true.shape, PLAN[0]) if rule == "until decided" else last
                both = [covered(d, n, true.mean(1), effect) for n in (last, first)]
                cells = [f"{value:.1%}" for pair in zip(*both, strict=True) for value in pair]
                print(f"| {effect:g} | {spread:g} | {rule} | {' | '.join(cells)} |", flush=True)


def exaggeration(sweeps: int) -> None:
    """Mean effects of one comparison that was shown, over the true one: as printed, and corrected."""
    print("\n| effect | shown | printed / true | corrected / true |\n|---|---|---|---|")
    for effect in (0.3, *EFFECTS[2:], 2.0):
        draw = np.random.default_rng(1).standard_normal((sweeps, PLAN[-1]))
        means, sds, decided = stopped(draw + effect, PLAN)
        nan = float("nan")
        found = [Comparison(9, m, s, nan, nan, nan, nan, None, 1, 9, "t")
                 for m, s in zip(means[decided], sds[decided], strict=True)]  # fmt: skip
        after = np.mean([corrected(one, PLAN) for one in found]) / effect
        print(f"| {effect:g} | {decided.mean():.0%} | {means[decided].mean() / effect:.2f} | {after:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=4000)
    sweeps = parser.parse_args().sweeps
    coverage(sweeps)
    exaggeration(sweeps)


if __name__ == "__main__":
    main()
