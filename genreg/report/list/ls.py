"""`genreg ls`: a line for each arm below a folder."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from genreg.errors import InputError, nearest
from genreg.report.list.line import Line
from genreg.report.read.grouping import plain_parts, value_words
from genreg.report.tell.numbers import as_table, finite, number, titled
from genreg.report.tell.terminal import terminal
from genreg.run.folder import printable, some_runs

FORMATS = ("table", "csv", "json")
COLUMNS: dict[str, Callable[[Line], Any]] = {
    "name": lambda line: line.name, "seeds": lambda line: len(line.arm.runs),
    "seconds": lambda line: line.seconds, "touched": lambda line: line.touched,
}  # fmt: skip
"""What lines are sorted by beside metrics, smallest first."""


def ls(folder: Path, where: Sequence[str], sort: str | None, form: str) -> None:
    """Print a line for each arm at or below `folder`, as a table, CSV or JSON.

    Raises InputError for a folder without runs, an unknown format, and a key or a metric that no run has.
    """
    if form not in FORMATS:
        raise InputError("--format", f"one of {', '.join(FORMATS)}", form, nearest(form, FORMATS))
    key = (sort or "name").removeprefix("-")
    more = None if key in COLUMNS else key
    lines = list(_lines(folder, where))
    if sort:
        lines = _sorted(lines, key, backwards=sort.startswith("-"))
    rows = [line.row(more) for line in lines] if form != "table" else []
    if form == "json":
        print(json.dumps(finite(rows), indent=1))
    elif form == "csv":
        print(as_table(rows), end="")
    else:
        terminal().print(_table(lines, more) if lines else f"no run has {', '.join(where)}", markup=False)


def _lines(folder: Path, where: Sequence[str]) -> Iterator[Line]:
    """A line for each arm that has runs for which all conditions hold."""
    arms = [arm for part in plain_parts({folder: some_runs(folder)}) for arm in part.arms]
    if where:
        from genreg.report.list.where import chosen  # a list of all needs no groups

        arms = chosen(arms, where)
    root = folder.resolve()
    for arm in arms:
        place = arm.folder.resolve()
        inside = place.relative_to(root) if place.is_relative_to(root) else Path()
        yield Line(arm, printable(inside if inside.parts else place.name))


def _sorted(lines: list[Line], key: str, backwards: bool) -> list[Line]:
    """Best first as the runs say, or smallest first; lines without a value last in any case."""
    known = {*COLUMNS, *(name for line in lines for name in line.values)}
    if lines and key not in known:
        raise InputError("--sort", "a column or a metric of the runs", key, nearest(key, known))
    value: Callable[[Line], Any] = COLUMNS.get(key) or (lambda line: line.mean(key))
    having = [line for line in lines if value(line) is not None]
    if key not in COLUMNS and having and having[0].describe(key).better == "max":
        backwards = not backwards
    return sorted(having, key=value, reverse=backwards) + [line for line in lines if value(line) is None]


def _table(lines: Sequence[Line], more: str | None) -> Table:
    """The widest columns are folded first where the terminal is too narrow; nothing is left out."""
    columns = {
        "arm": [line.name for line in lines],
        "values": [", ".join(value_words(line.arm)) for line in lines],
        "runs": [line.status_words for line in lines],
        "seeds": [line.seeds for line in lines],
        **_numbers(lines, "metric", lambda line: line.metric),
        **_numbers(lines, "on test", lambda line: line.test),
        **_numbers(lines, "", lambda line: more),
        "seconds": ["" if line.seconds is None else number(line.seconds) for line in lines],
        "code": [line.code for line in lines],
        "touched": [_age(line.touched) for line in lines],
    }
    shown = {title: cells for title, cells in columns.items() if any(cells)}
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in shown:
        table.add_column(Text(title), overflow="fold")
    for cells in zip(*shown.values(), strict=True):
        table.add_row(*map(Text, cells))
    return table


def _numbers(lines: Sequence[Line], title: str, of: Callable[[Line], str | None]) -> dict[str, list[str]]:
    """A column of means and standard deviations, named by its metric; where there are several, by `title`."""
    first = {metric: line for line in lines if (metric := of(line)) in line.values}
    for metric, line in first.items() if len(first) == 1 else ():
        title = titled(str(metric), line.describe(str(metric)))
    return {title: [_mean(line, of(line), named=len(first) > 1) for line in lines]}


def _mean(line: Line, metric: str | None, named: bool) -> str:
    """`94.52 (2.71)`, with the metric's name or not."""
    mean, sd = line.mean(metric), line.sd(metric)
    if metric is None or mean is None:
        return ""
    described = line.describe(metric)
    name = f"{titled(metric, described)} " if named else ""
    return name + number(mean, described) + (f" ({number(sd, described)})" if sd is not None else "")


def _age(time: datetime | None) -> str:
    """How long ago: `5 min`."""
    seconds = (datetime.now(UTC) - time).total_seconds() if time else math.nan
    units = ((86400, "d"), (3600, "h"), (60, "min"), (0, "s"))
    return next((f"{seconds / (unit or 1):.0f} {word}" for unit, word in units if seconds >= unit), "")
