"""`genreg plan`: how many seeds and minutes a wanted difference takes, from the runs that have finished."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table
from rich.text import Text

from genreg.errors import InputError
from genreg.report.evaluate import evaluate
from genreg.report.judge.result import PartResult
from genreg.report.judge.sequential import level_at
from genreg.report.judge.statistics import LEVEL, POWER, power
from genreg.report.read.find import read_parts
from genreg.report.tell.numbers import number
from genreg.report.tell.terminal import terminal

MOST = 10_000  # seeds, beyond which nobody waits


@dataclass(frozen=True)
class Needed:
    """What the comparison of an arm with the baseline takes.

    sd: of the paired differences so far; pairs: how many of them there are. seeds: those that find the wanted
    difference with 80 % power, None beyond MOST; minutes: of all their runs, one after the other.
    """

    part: str
    arm: str
    sd: float
    pairs: int
    seeds: int | None
    minutes: float


def needed(result: PartResult, difference: float) -> Iterator[Needed]:
    """For each arm that has two pairs; as many comparisons as the part has share the level (Holm's first)."""
    base = result.find(result.part.baseline)
    arms = [arm for arm in result.arms if arm.comparison and arm.comparison.sd > 0]
    if base is None:
        return
    for arm in arms:
        found = arm.comparison
        assert found is not None
        level = _level(result) / len([a for a in result.arms if a is not base])
        seeds = seeds_for(difference, found.sd, level)
        took = [one.arm.seconds or math.nan for one in (arm, base)]
        minutes = (seeds or math.nan) * sum(took) / 60
        yield Needed(result.part.name, arm.arm.name, found.sd, found.n, seeds, minutes)


def seeds_for(difference: float, sd: float, level: float = LEVEL) -> int | None:
    """The fewest pairs with 80 % power for the difference; None if more than MOST."""
    low, high = 1, 2
    while power(difference, sd, high, level) < POWER:
        low, high = high, 2 * high
        if low > MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(difference, sd, middle, level) >= POWER else (middle, high)
    return high


def _level(result: PartResult) -> float:
    """That of the last look of a plan: the other looks take the rest."""
    plan = result.rule.plan
    return level_at(plan[-1], plan, LEVEL) if plan else LEVEL


def plan(folder: Path, difference: float) -> None:
    """Print what the difference takes in each part of `folder`; in points of a share, else in the own unit.

    Raises InputError for a folder without runs, or in which no arm has two pairs yet.
    """
    if difference <= 0:
        raise InputError("--difference", "a number above 0", difference)
    results = [evaluate(part) for part in read_parts([folder])]
    rows = [(r, one) for r in results for one in needed(r, difference / r.metric.scale)]
    if not rows:
        raise InputError("plan", "a folder in which two seeds of an arm and of its baseline have finished",
                         str(folder))  # fmt: skip
    _show(rows, difference)


def _show(rows: Sequence[tuple[PartResult, Needed]], difference: float) -> None:
    table = Table(title=f"for a difference of {difference:g} with 80 % power", title_justify="left")
    for title in ("part", "arm", "against", "sd of differences", "pairs so far", "seeds", "minutes"):
        table.add_column(title, justify="left" if title in ("part", "arm", "against") else "right")
    for result, one in rows:
        seeds = f"> {MOST}" if one.seeds is None else str(one.seeds)
        minutes = "" if math.isnan(one.minutes) else f"{one.minutes:.1f}"
        sd, pairs = number(one.sd, result.metric), str(one.pairs)
        row = (one.part, one.arm, result.part.baseline, sd, pairs, seeds, minutes)
        table.add_row(*map(Text, row))
    console = terminal()
    console.print(table)
    console.print("minutes: of both arms' runs, one after the other")
    console.print("the spread of few pairs is itself uncertain, and with it the number of seeds")
