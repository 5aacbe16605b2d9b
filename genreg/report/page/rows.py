"""A row of a part's table: what is always seen, and what opens below it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from genreg.report.draw.rows import interval
from genreg.report.judge.best import drawn
from genreg.report.judge.result import ArmResult, PartResult
from genreg.report.page.runs import RunLine, runs
from genreg.report.page.tests import tests
from genreg.report.tell.cells import Cell, columns, difference, p_value
from genreg.report.tell.numbers import number, titled


@dataclass(frozen=True)
class Row:
    """One arm. Cells that sort hold their number; more: what opens, as terms with their texts."""

    id: str
    name: str
    color: int | None
    mean: Cell
    sd: str
    n: int
    difference: Cell
    picture: Markup | None
    p: Cell
    verdict: str
    remark: str
    more: list[tuple[str, str]]
    runs: list[RunLine]

    @property
    def count(self) -> str:
        return f"{len(self.runs)} run{'s' if len(self.runs) != 1 else ''}"


def rows(number_of: int, result: PartResult, base: Path) -> list[Row]:
    """The rows of a part, in the table's order."""
    colors = {id(arm): color for color, arm in drawn(result)}
    reach = _reach(result)
    return [
        _row(f"arm-{number_of}-{k}", result, arm, colors.get(id(arm)), reach, base)
        for k, arm in enumerate(result.arms)
    ]


def _row(id: str, result: PartResult, arm: ArmResult, color: int | None, reach: float, base: Path) -> Row:
    found, metric = arm.comparison, result.metric
    verdict = "baseline" if arm.arm.name == result.part.baseline else arm.verdict
    return Row(
        id, arm.arm.name, color, Cell(number(arm.mean, metric), _sortable(arm.mean)), number(arm.sd, metric),
        len(arm.values),
        Cell(difference(found, metric), _sortable(found.mean)) if found else Cell(""),
        _picture(result, arm, reach), p_value(found.adjusted if found else None), verdict,
        arm.remark, list(_more(result, arm)), runs(result, arm, base),
    )  # fmt: skip


def _sortable(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _reach(result: PartResult) -> float:
    """How far the drawn intervals go from zero."""
    found = [arm.comparison for arm in result.arms if arm.comparison]
    ends = [abs(v) for one in found for v in (one.low, one.high) if math.isfinite(v)]
    return max(ends, default=1.0) or 1.0


def _picture(result: PartResult, arm: ArmResult, reach: float) -> Markup | None:
    found = arm.comparison
    if not found or not math.isfinite(found.low):
        return None
    word = "open" if found.by == "ranks" else arm.verdict.split()[0]  # the verdict is not of what is drawn
    return interval(found.low, found.mean, found.high, reach, word, result.rule.margin)


def _more(result: PartResult, arm: ArmResult) -> Iterator[tuple[str, str]]:
    """The columns that do not stand in the row, then every test."""
    seen = {titled("mean", result.metric), "sd", "n", "p (Holm)"}
    for column in columns(result):
        text = column.cell(arm).text
        if column.kind == "number" and column.title not in seen and text:
            yield column.title, text
    yield from tests(result, arm)
