"""False positives, power and mean number of seeds of a comparison that is looked at again and again.

Differences of both arms are drawn seed by seed; the comparison stops at the first look that decides: better,
worse, or equivalent within the margin of one standard deviation. Beside it the same number of seeds at once.

    python scripts/simulate_looks.py --sweeps 4000
"""

import argparse
from collections.abc import Callable

import numpy as np

from genreg.report.judge.statistics import LEVEL, decide, repeated_p

PLAN = tuple(range(5, 21))
ITEMS, RATE = 500, 0.85
MARGIN = 1.0  # standard deviations of a difference
Draw = Callable[[np.random.Generator, int], np.ndarray]

DIFFERENCES: dict[str, Draw] = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "binomial, 500 items": lambda rng, n: (
        np.subtract(*rng.binomial(ITEMS, RATE, (2, n))) / np.sqrt(2 * ITEMS * RATE * (1 - RATE))
    ),
    "heavy tails (t, 3 df)": lambda rng, n: rng.standard_t(3, n) / np.sqrt(3),
    "skewed (lognormal)": lambda rng, n: (rng.lognormal(0, 1, n) - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e),
}
"""Each with mean 0 and standard deviation 1."""


def stopped(d: np.ndarray, margin: float) -> tuple[str, int]:
    """The verdict and the number of seeds at which it came."""
    for n in PLAN:
        found = decide(d[:n], margin)
        if repeated_p(found.p, n, PLAN) < LEVEL:
            return ("better" if found.sign > 0 else "worse"), n
        if margin and repeated_p(found.equivalent, n, PLAN, 1) < LEVEL:
            return "equivalent", n
    return "not decided", PLAN[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=2000)
    sweeps = parser.parse_args().sweeps
    print(f"{sweeps} sweeps each, looks at {PLAN[0]} to {PLAN[-1]}; effects and margin in sd of a difference")
    print()
    print("| differences | effect | shown, looks | mean seeds | shown, 20 at once | any look, uncorrected |")
    print("|---|---|---|---|---|---|")
    for name, draw in DIFFERENCES.items():
        for effect in (0.0, 0.5, 0.8, 1.2):
            differences(name, effect, [d + effect for d in drawn(draw, sweeps, 0)])
    print()
    print(f"| differences | effect | equivalent within {MARGIN:g} | better or worse | mean seeds |")
    print("|---|---|---|---|---|")
    for name, draw in DIFFERENCES.items():
        for effect in (0.0, 0.5, MARGIN):
            equivalences(name, effect, [d + effect for d in drawn(draw, sweeps, 1)])


def drawn(draw: Draw, sweeps: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [draw(rng, PLAN[-1]) for _ in range(sweeps)]


def differences(name: str, effect: float, samples: list[np.ndarray]) -> None:
    found = [stopped(d, 0.0) for d in samples]
    shown = np.mean([word != "not decided" for word, _ in found])
    seeds = np.mean([n for _, n in found])
    once = np.mean([decide(d).p < LEVEL for d in samples])
    free = np.mean([any(decide(d[:n]).p < LEVEL for n in PLAN) for d in samples])
    row = (name, f"{effect:g}", f"{shown:.1%}", f"{seeds:.1f}", f"{once:.1%}", f"{free:.1%}")
    print(f"| {' | '.join(row)} |", flush=True)


def equivalences(name: str, effect: float, samples: list[np.ndarray]) -> None:
    found = [stopped(d, MARGIN) for d in samples]
    inside = np.mean([word == "equivalent" for word, _ in found])
    other = np.mean([word in ("better", "worse") for word, _ in found])
    row = (name, f"{effect:g}", f"{inside:.1%}", f"{other:.1%}", f"{np.mean([n for _, n in found]):.1f}")
    print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
