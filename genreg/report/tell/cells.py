"""The columns of a table, the same in every format."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from genreg.report.judge.result import ArmResult, PartResult
from genreg.report.judge.statistics import LEVEL, Comparison
from genreg.report.read.parts import in_words
from genreg.report.tell.numbers import number, titled
from genreg.run.metric import Metric


@dataclass(frozen=True)
class Cell:
    """A text, and the number that it stands for (to sort by)."""

    text: str
    value: float | None = None


@dataclass(frozen=True)
class Column:
    """A title, and what stands below it for each arm.

    kind: `difference` is the number that is also drawn around zero; names, verdicts and texts are words.
    """

    title: str
    cell: Callable[[ArmResult], Cell]
    kind: Literal["name", "number", "difference", "verdict", "text"] = "number"

    @property
    def numeric(self) -> bool:
        return self.kind in ("number", "difference")


def columns(result: PartResult) -> list[Column]:
    """The table of a part."""
    part, metric = result.part, result.metric
    remarks = [Column("remark", lambda arm: Cell(arm.remark), "text")]
    found = [
        Column("arm", lambda arm: Cell(arm.arm.name), "name"),
        Column("n", lambda arm: Cell(str(len(arm.values)), len(arm.values))),
        Column("failed", _lost),
        Column(titled("mean", metric), lambda arm: _value(arm.mean, metric)),
        Column("sd", lambda arm: _value(arm.sd, metric)),
        Column("median", lambda arm: _value(arm.median, metric)),
    ]
    if result.selection:
        selection = part.describe(result.selection)
        found.append(Column(titled(result.selection, selection), lambda arm: _selected(arm, selection)))
    return [
        *found,
        *(TIMES if part.threshold else []),
        Column(
            f"minus {part.baseline} [{'level of the last look' if part.looks else '95 %'}]",
            lambda arm: _difference(arm, metric),
            "difference",
        ),
        Column("p (Holm)", lambda arm: p_value(arm.comparison.adjusted if arm.comparison else None)),
        Column("could show", lambda arm: _detectable(arm, metric)),
        Column("verdict", lambda arm: Cell(arm.verdict), "verdict"),
        *(remarks if any(arm.remark for arm in result.arms) else []),
    ]


def difference(found: Comparison, metric: Metric) -> str:
    """Mean and interval, as far as there are any."""
    mean, low, high = (number(value, metric, "+") for value in (found.mean, found.low, found.high))
    return f"{mean} [{low}, {high}]" if low else mean


def p_value(p: float | None) -> Cell:
    """Two digits, which never hide on which side of 0.05 it lies."""
    if p is None or math.isnan(p):
        return Cell("")
    text = f"{p:.2g}"
    if text == "0.05" and p < LEVEL:
        text = "< 0.05"
    return Cell("< 1e-4" if p < 1e-4 else text, p)


def caption(result: PartResult) -> str:
    """What the table shows: the metric, at which step, and what a unit is."""
    part = result.part
    step = f"at the step that {part.select} chose" if part.select else "at the last step"
    unit = "replicas" if result.replicas else "runs"
    words = f"{part.metric} {step}, over {unit}; {in_words(result.metric)}"
    if part.threshold:
        words += f"; time until {part.threshold['metric']} passes {part.threshold['value']}"
    return words


def _lost(arm: ArmResult) -> Cell:
    return Cell(f"{arm.failed}" + (f" + {arm.unfinished} unfinished" if arm.unfinished else ""), arm.failed)


def _value(value: float, metric: Metric) -> Cell:
    return Cell(number(value, metric), None if math.isnan(value) else value * metric.scale)


def _selected(arm: ArmResult, metric: Metric) -> Cell:
    return _value(sum(arm.chosen) / len(arm.chosen) if arm.chosen else math.nan, metric)


def _difference(arm: ArmResult, metric: Metric) -> Cell:
    found = arm.comparison
    if not found:
        return Cell("")
    return Cell(difference(found, metric), None if math.isnan(found.mean) else found.mean)


def _detectable(arm: ArmResult, metric: Metric) -> Cell:
    found = arm.comparison
    return _value(found.detectable, metric) if found else Cell("")


def _reached(arm: ArmResult) -> Cell:
    return Cell(f"{arm.reached} of {len(arm.times)}", arm.reached)


def _time(value: float) -> Cell:
    return Cell("never" if math.isinf(value) else number(value), value if not math.isnan(value) else None)


def _time_p(arm: ArmResult) -> Cell:
    """p and which way the same ranks go."""
    if not arm.time_ranks:
        return Cell("")
    cell = p_value(arm.time_ranks.p)
    return Cell(f"{cell.text} {arm.time_way}".rstrip(), cell.value)


TIMES = [
    Column("reached", _reached),
    Column("median steps", lambda arm: _time(arm.median_time("steps"))),
    Column("median s", lambda arm: _time(arm.median_time("seconds"))),
    Column("time p", _time_p),
]
