"""False positives and power of a verdict that rests on one tuning, and of one that rests on studies.

Methods are tuned by random trials and compared on fresh seeds. The quality of a trial falls with the squared
distance from the optimum in two dimensions; every run adds noise of standard deviation 1, the unit of all
effects. With one tuning, seeds are added until decided; with studies, whole studies, each tuned anew.

    python scripts/simulate_studies.py --sweeps 10000
"""

import argparse
from dataclasses import dataclass
from itertools import product

import numpy as np
import scipy

from genreg.report.judge.statistics import LEVEL, Plan, smallest_by_chance

SEEDS: Plan = tuple(range(5, 21))
STUDIES: Plan = tuple(range(5, 16))
OPTIMA = {"flat": 0.3, "sharp": 3.0}
"""The standard deviation, over the space, of the quality of a trial."""
SQUARED = np.sqrt(1 / 90)  # standard deviation of the squared distance of a uniform point from the middle
BUDGETS = ((10, 2), (10, 1), (4, 1))  # trials, and seeds of each


CHUNK = 1000  # sweeps at once, for memory


@dataclass(frozen=True)
class Setting:
    """Trials, seeds of each, the sharpness of the optimum, the arms beside the baseline, and their gain."""

    trials: int
    seeds: int
    sharp: float
    arms: int = 1
    gain: float = 0.0

    @property
    def tuning(self) -> int:
        """The runs of one tuning of an arm."""
        return self.trials * self.seeds

    @property
    def more(self) -> Plan:
        """As many looks as the rule of seeds has, up to as many runs as studies may take."""
        most = STUDIES[-1] * (self.tuning + 1) - self.tuning
        return tuple(int(n) for n in np.linspace(5, most, len(SEEDS)).round())


@dataclass(frozen=True)
class End:
    """The end of each sweep. way: of each comparison (sweeps, arms), 0 where none is shown; used: seeds."""

    way: np.ndarray
    used: np.ndarray


def simulated(setting: Setting, plan: Plan, anew: bool, sweeps: int) -> End:
    """The ends of so many sweeps. anew: tuned in each unit of the plan, not once."""
    rng = np.random.default_rng(0)
    sizes = [CHUNK] * (sweeps // CHUNK) + [sweeps % CHUNK] * (sweeps % CHUNK > 0)
    ends = [until_decided(differences(rng, setting, size, plan[-1], anew), plan) for size in sizes]
    return End(np.concatenate([end.way for end in ends]), np.concatenate([end.used for end in ends]))


def tuned(rng: np.random.Generator, shape: tuple[int, ...], setting: Setting) -> np.ndarray:
    """The true quality of the winner of as many tunings as `shape` says."""
    points = rng.random((*shape, setting.trials, 2))
    quality = -setting.sharp / SQUARED * ((points - 0.5) ** 2).sum(-1)
    seen = quality + rng.standard_normal(quality.shape) / np.sqrt(setting.seeds)
    return np.take_along_axis(quality, seen.argmax(-1)[..., None], -1)[..., 0]


def differences(rng: np.random.Generator, setting: Setting, sweeps: int, many: int, anew: bool) -> np.ndarray:
    """Arm minus baseline (sweeps, arms, seeds or studies). anew: tuned for each of them."""
    quality = tuned(rng, (sweeps, setting.arms + 1, many if anew else 1), setting)
    values = quality + rng.standard_normal((sweeps, setting.arms + 1, many))
    return np.asarray(values[:, 1:] - values[:, :1]) + setting.gain


def until_decided(d: np.ndarray, plan: Plan) -> End:
    """The end of sweeps with these differences (sweeps, arms, plan[-1]), by the rule of genreg.

    At each look an arm whose difference is not shown, Holm over the arms, gets more seeds.
    """
    n = np.array(plan)
    p, sign = over_looks(d, plan)
    at = np.zeros(d.shape[:2], int)  # the look of each arm
    while True:
        now = np.take_along_axis(p, at[..., None], -1)[..., 0]
        shown = holm(now) < LEVEL
        on = ~shown & (at < len(plan) - 1)
        if not on.any():
            way = np.take_along_axis(sign, at[..., None], -1)[..., 0]
            return End(np.where(shown, way, 0), n[at])
        at += on


def over_looks(d: np.ndarray, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """The p over all looks and the sign of the mean, at each look: the last axis of `d` becomes looks."""
    n = np.array(plan)
    mean = d.cumsum(-1)[..., n - 1] / n
    variance = ((d**2).cumsum(-1)[..., n - 1] - n * mean**2) / (n - 1)
    once = 2 * scipy.stats.t.sf(np.abs(mean) * np.sqrt(n / variance), n - 1)
    null = smallest_by_chance(plan, 2)
    rank = np.searchsorted(null, once * plan[-1] / n, side="right")
    return np.minimum(1.0, (rank + 1) / (len(null) + 1)), np.sign(mean)


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's adjusted p over the last axis."""
    order = p.argsort(-1)
    left = p.shape[-1] - np.arange(p.shape[-1])
    grown = np.minimum(1, np.maximum.accumulate(left * np.take_along_axis(p, order, -1), -1))
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, grown, -1)
    return adjusted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=10_000)
    sweeps = parser.parse_args().sweeps
    print(
        f"{sweeps} sweeps each. Seeds: one tuning, looks at {SEEDS[0]} to {SEEDS[-1]} seeds. More seeds: as"
    )
    print("many looks, up to the runs of all studies. Studies: looks at", end=" ")
    print(f"{STUDIES[0]} to {STUDIES[-1]}, one fresh seed in each.")
    false_positives(sweeps)
    power(sweeps)


def rules(setting: Setting) -> list[tuple[Plan, bool]]:
    """The three rules that stand beside one another."""
    return [(SEEDS, False), (setting.more, False), (STUDIES, True)]


def false_positives(sweeps: int) -> None:
    """Equal methods of which any is called better or worse."""
    print()
    print("| trials x seeds | optimum | arms | seeds | more seeds | studies |")
    print("|---|---|---|---|---|---|")
    for (trials, seeds), (name, sharp), arms in product(BUDGETS, OPTIMA.items(), (1, 3, 8)):
        setting = Setting(trials, seeds, sharp, arms)
        ends = [simulated(setting, plan, anew, sweeps) for plan, anew in rules(setting)]
        cells = [f"{(end.way != 0).any(-1).mean():.1%}" for end in ends]
        print(f"| {trials} x {seeds} | {name} | {arms} | {' | '.join(cells)} |", flush=True)


def power(sweeps: int) -> None:
    """One arm that is better: how often it is shown as better, as worse, and the runs of an arm."""
    print()
    print("| trials x seeds | optimum | effect | seeds | more seeds | studies |")
    print("|---|---|---|---|---|---|")
    for (trials, seeds), (name, sharp), gain in product(BUDGETS, OPTIMA.items(), (1.0, 2.0)):
        setting = Setting(trials, seeds, sharp, gain=gain)
        cells = [shown(setting, plan, anew, sweeps) for plan, anew in rules(setting)]
        print(f"| {trials} x {seeds} | {name} | {gain:g} | {' | '.join(cells)} |", flush=True)


def shown(setting: Setting, plan: Plan, anew: bool, sweeps: int) -> str:
    """`60.2%, 8.8%; 33`: better, worse, and the mean number of runs of an arm."""
    end = simulated(setting, plan, anew, sweeps)
    tunings = end.used if anew else np.ones(())
    runs = (end.used + tunings * setting.tuning).mean()
    return f"{(end.way > 0).mean():.1%}, {(end.way < 0).mean():.1%}; {runs:.0f}"


if __name__ == "__main__":
    main()
