"""The rows of a part's table on the page: the cells of each, and the tests and runs that it opens."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from genreg.report.draw.forest import interval
from genreg.report.judge.pairs import is_judged
from genreg.report.judge.result import ArmResult, PartResult, plotted_arms
from genreg.report.judge.statistics import Comparison
from genreg.report.output.columns import COLUMNS, Column, columns, p_is
from genreg.report.output.notes import numbers
from genreg.report.output.numbers import number
from genreg.report.output.tuned import best_three, tuned
from genreg.run.folder import printable
from genreg.run.read import Run

ALWAYS = ("arm", "n", "mean", "sd", "difference_mean", "difference_adjusted", "verdict", "remark")
"""The columns that the template puts into every row; all others open below it."""

TESTS = {"t": "paired t test", "signs": "sign flips", "ranks": "sign flips of differences in rank"}


@dataclass(frozen=True)
class Cell:
    """A text, and the number that it stands for (to sort by)."""

    text: str
    value: float | None


@dataclass(frozen=True)
class RunLine:
    """One run in the list that a row opens."""

    seed: int
    status: str
    value: str
    seconds: str
    link: str
    folder: str
    command: str


@dataclass(frozen=True)
class TableRow:
    """One arm. cells: those of ALWAYS, by key. more: what opens, as terms with their texts.

    condition: what the verdict rests on, if on more than usual.
    """

    id: str
    color: int | None
    cells: dict[str, Cell]
    picture: Markup | None
    more: list[tuple[str, str]]
    runs: list[RunLine]
    verdict: str
    condition: str


def rows(number_of: int, result: PartResult, base: Path | None) -> list[TableRow]:
    """The rows of a part, in the table's order."""
    colors = {id(arm): color for color, arm in plotted_arms(result)}
    reach = _reach(result)
    hidden = [one for one in columns(result) if one.column.key not in ALWAYS]
    return [
        TableRow(f"arm-{number_of}-{k}", colors.get(id(arm)),
            {column.key: _cell(column, result, arm) for column in COLUMNS if column.key in ALWAYS},
            _picture(result, arm, reach),
            [*((one.title, one.texts[k]) for one in hidden if one.texts[k]), *tests(result, arm)],
            runs(result, arm, base), arm.verdict, arm.condition)
        for k, arm in enumerate(result.arms)
    ]  # fmt: skip


def _cell(column: Column, result: PartResult, arm: ArmResult) -> Cell:
    value = column.value(arm)
    finite = isinstance(value, int | float) and math.isfinite(value)
    return Cell(column.words(result, arm), value if finite else None)


def _reach(result: PartResult) -> float:
    """The largest distance of an interval's end from zero."""
    found = [arm.comparison for arm in result.arms if arm.comparison]
    ends = [abs(v) for one in found for v in (one.low, one.high) if math.isfinite(v)]
    return max(ends, default=1.0) or 1.0


def _picture(result: PartResult, arm: ArmResult, reach: float) -> Markup | None:
    found = arm.comparison
    if not found or not math.isfinite(found.low):
        return None
    word = "open" if found.by == "ranks" else arm.verdict.split()[0]  # the verdict is not of what is drawn
    return interval(found.low, found.mean, found.high, reach, word, result.rule.margin)


def tests(result: PartResult, arm: ArmResult) -> Iterator[tuple[str, str]]:
    """The terms below a row, each with its text: the tests, and the tuning."""
    found = arm.comparison
    if found:
        yield from _compared(result, arm, found)
    if arm.tuning:
        yield "tuning", tuned(arm)
        of = " of the first study" if arm.arm.again else ""
        yield f"best three trials{of}", best_three(arm.tuning)


def _compared(result: PartResult, arm: ArmResult, found: Comparison) -> Iterator[tuple[str, str]]:
    metric = result.metric
    words = f"{found.n} that both finished"
    if math.isfinite(found.sd):
        words += f", their differences {number(found.mean, metric, '+')} with sd {number(found.sd, metric)}"
    yield "pairs", words
    yield "test", _test(arm, found)
    if found.looks:
        yield (
            "looks",
            f"at {numbers(found.looks)} {result.part.unit_plural}; the last at level {found.level:.2g}",
        )
    if not math.isnan(found.equivalent):
        within = f"{number(result.rule.margin, metric)}{' points' if metric.percent else ''}"
        yield "equivalent", f"within {within}: {p_is(found.equivalent)}"
    if math.isfinite(found.low):
        of = "studies: tuning and training seeds" if result.part.fresh else "training seeds"
        yield "interval", f"of {of}, {100 * (1 - found.level):.3g} %"
        half = of_items(result, arm)
        if not math.isnan(half):
            yield (
                "test sample",
                f"alone adds at most ±{number(half, metric)} at 95 %, were errors independent",
            )


def _test(arm: ArmResult, found: Comparison) -> str:
    if not is_judged(found):
        return arm.verdict
    over = " over all looks" if found.looks else ""
    words = [
        f"{TESTS[found.by]}, {found.pairs} pairs: p = {found.p:.3g}{over}, {found.adjusted:.3g} after Holm"
    ]
    if not math.isnan(found.wilcoxon):
        words.append(f"Wilcoxon p = {found.wilcoxon:.3g}")
    if found.permutation is not None:
        words.append(f"exact sign flips p = {found.permutation:.3g}")
    return "; ".join(words)


def of_items(result: PartResult, arm: ArmResult) -> float:
    """Half of a 95 % interval, at most, that the sample of items alone adds to a difference of two shares.

    1.96 sqrt(p1 (1 - p1) / N + p2 (1 - p2) / N), were the errors of both arms independent; arms that err on
    the same items have a smaller one. NaN where the runs do not say of how many items a share is.
    """
    base = result.find(result.part.baseline)
    n = _items(result)
    if not base or not n or not result.metric.percent:
        return math.nan
    shares = [arm.mean, base.mean]
    if not all(0 <= p <= 1 for p in shares):
        return math.nan
    return 1.96 * math.sqrt(sum(p * (1 - p) / n for p in shares))


def _items(result: PartResult) -> int:
    """The fewest items of the metric's split that a run has; 0 where none says it.

    Only of the measure that the runs chose their step by: if that is a share, it is one of items. Others, as
    the precision of a generator, are of its samples.
    """
    split, _, name = result.part.metric.partition("/")
    runs = [run for run in result.part.runs() if run.selection and run.selection[0].endswith(f"/{name}")]
    found = [run.summary.get("items") for run in runs]
    counts = [items[split] for items in found if isinstance(items, dict) and split in items]
    return min((n for n in counts if isinstance(n, int) and n > 0), default=0)


def runs(result: PartResult, arm: ArmResult, base: Path | None) -> list[RunLine]:
    """The runs of an arm, by seed; links are relative to `base`, none without it."""
    values: dict[int, list[float]] = {}
    for (seed, _), value in arm.of_runs.values.items():
        values.setdefault(seed, []).append(value)
    return [
        _line(run, values.get(run.seed, []), result, arm.arm.command_of(run.seed), base)
        for run in arm.arm.runs.values()
    ]


def _line(run: Run, values: list[float], result: PartResult, command: str, base: Path | None) -> RunLine:
    mean = sum(values) / len(values) if values else math.nan
    status = f"{run.status}: {run.reason}" if run.status in ("failed", "broken") else run.status
    folder = os.path.relpath(run.path, base) if base else str(run.path)
    seconds = run.summary.get("seconds")
    shown = f"{seconds:.1f}" if isinstance(seconds, int | float) else ""
    # a relative path whatever the name: never another scheme
    link = "./" + quote(os.fsencode(folder)) if base else ""
    name = printable(folder)
    return RunLine(run.seed, status, number(mean, result.metric), shown, link, name, command)
