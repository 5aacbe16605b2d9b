"""`genreg plan`: how many seeds and minutes a wanted difference takes, from the runs that have finished."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import scipy
from rich.table import Table
from rich.text import Text

from genreg.errors import InputError
from genreg.report.evaluate import evaluate_all, families
from genreg.report.judge import FEWEST
from genreg.report.judge.result import PartResult
from genreg.report.judge.statistics import LEVEL, POWER, level_at, power
from genreg.report.output.notes import run_notes
from genreg.report.output.numbers import number, terminal
from genreg.report.read.find import read_parts
from genreg.study.model import Arm, Part


def plan(folder: Path, difference: float) -> None:
    """Print what the difference takes in each part of `folder`; in points of a share, else in the own unit.

    Raises InputError for a folder without runs, or in which no arm has two pairs yet.
    """
    if not 0 < difference < math.inf:
        raise InputError("--difference", "a number above 0", difference)
    results = evaluate_all(read_parts([folder]))
    rows = [
        (r, one)
        for own in families(results) for r in own
        for one in estimates(r, difference / r.metric.scale, sum(len(r.arms) - 1 for r in own))
    ]  # fmt: skip
    if not rows:
        words = "a folder in which two seeds (or studies) of an arm and of its baseline have finished"
        raise InputError("plan", words, str(folder))
    _show(rows, difference)
    for note in (note for result in results for arm in result.arms for note in run_notes(arm)):
        print(f"left out: {note}")


MOST = 10_000  # seeds, beyond which nobody waits
SURE = 0.8
"""The share of pilots whose spread is at most its upper bound, and so whose seeds have the promised power.

After Browne (Statistics in Medicine 14, 1995): with a pilot's spread taken as it is, half of them or fewer.
"""
COLUMNS = ("part", "arm", "against", "pairs so far", "sd so far", "sd at most", "seeds", "runs", "minutes",
           "if sd so far")  # fmt: skip


@dataclass(frozen=True)
class Estimate:
    """The seeds, runs and minutes that the comparison of an arm with the baseline takes.

    sd: of the paired differences so far; pairs: how many of them there are. at_most: the upper bound of the
    true sd. seeds: those (or the studies) that find the wanted difference with 80 % power at that bound, and
    as many as a verdict needs; plain: were the true sd the one so far. None beyond MOST. runs: of both arms,
    with those of tuning in each study. minutes: of these runs, one after the other; of runs that were trained
    in one program, their share of its time.
    """

    part: str
    arm: str
    sd: float
    pairs: int
    at_most: float
    seeds: int | None
    plain: int | None
    runs: int | None
    minutes: float


def estimates(result: PartResult, difference: float, many: int | None = None) -> Iterator[Estimate]:
    """The seeds (or studies) of each arm that has two pairs.

    All comparisons of its family, of which there are `many` (by default those of the part), share the level
    evenly, which is what the first of Holm's steps asks for.
    """
    base = result.find(result.part.baseline)
    arms = [arm for arm in result.arms if arm.comparison and arm.comparison.sd > 0]
    if base is None:
        return
    for arm in arms:
        found = arm.comparison
        assert found is not None
        level = _level(result) / (many or len(result.arms) - 1)
        at_most = upper_bound(found.sd, found.n)
        seeds, plain = (recommended(difference, sd, level) for sd in (at_most, found.sd))
        units = [unit_of(result.part, one.arm) for one in (arm, base)]
        runs = seeds and seeds * sum(runs for runs, _ in units)
        minutes = (seeds or math.nan) * sum(seconds for _, seconds in units) / 60
        yield Estimate(
            result.part.name, arm.arm.name, found.sd, found.n, at_most, seeds, plain, runs, minutes
        )


def unit_of(part: Part, arm: Arm) -> tuple[int, float]:
    """The runs and the seconds of an arm that one more pair takes: a run, or a study with its tuning."""
    each = arm.seconds or math.nan
    if not part.fresh:
        return 1, each
    tuning = arm.tuning.planned * len(arm.tuning.seeds) if arm.tuning else 0
    took = [run.summary["seconds"] for run in arm.tried if "seconds" in run.summary]
    return tuning + part.fresh, part.fresh * each + tuning * (fmean(took) if took else each)


def upper_bound(sd: float, pairs: int) -> float:
    """The upper bound of the true standard deviation, which holds in SURE of all pilots of so many pairs."""
    return sd * math.sqrt((pairs - 1) / float(scipy.stats.chi2.ppf(1 - SURE, pairs - 1)))


def recommended(difference: float, sd: float, level: float = LEVEL) -> int | None:
    """The fewest pairs with 80 % power of which the report makes a verdict; None if more than MOST."""
    seeds = seeds_for(difference, sd, level)
    return seeds and max(FEWEST, seeds)


def seeds_for(difference: float, sd: float, level: float = LEVEL) -> int | None:
    """The fewest pairs with 80 % power for the difference; None if more than MOST."""
    low, high = 1, 2  # power grows with the pairs: double until it is enough, then halve the gap
    while power(difference, sd, high, level) < POWER:
        low, high = high, 2 * high
        if low > MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(difference, sd, middle, level) >= POWER else (middle, high)
    return high


def _level(result: PartResult) -> float:
    """The level of one comparison; where looks are planned, the level of the last of them."""
    plan = result.rule.plan
    return level_at(plan[-1], plan, LEVEL) if plan else LEVEL


def _show(rows: Sequence[tuple[PartResult, Estimate]], difference: float) -> None:
    table = Table(title=f"for a difference of {difference:g} with 80 % power", title_justify="left")
    for title in COLUMNS:
        table.add_column(title, justify="left" if title in ("part", "arm", "against") else "right")
    for result, one in rows:
        unit = " studies" if result.part.fresh else ""
        seeds, plain = (f"> {MOST}" if n is None else f"{n}{unit}" for n in (one.seeds, one.plain))
        runs = "" if one.runs is None else str(one.runs)
        minutes = "" if math.isnan(one.minutes) else f"{one.minutes:.1f}"
        sd, at_most = (number(sd, result.metric) for sd in (one.sd, one.at_most))
        row = (
            one.part,
            one.arm,
            result.part.baseline,
            str(one.pairs),
            sd,
            at_most,
            seeds,
            runs,
            minutes,
            plain,
        )
        table.add_row(*map(Text, row))
    console = terminal()
    console.print(table)
    words = (
        f"sd: of paired differences; the true one is below `sd at most` in {SURE:.0%} of pilots like this",
        f"seeds: enough at that bound, {FEWEST} at least; of studies, each with its own tuning",
        "minutes: of both arms' runs, one after the other; of runs trained in one program, their share",
        "if sd so far: seeds, were the true sd the one so far: few pairs put it too low more often than not",
    )
    console.print(*words, sep="\n")
