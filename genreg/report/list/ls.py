"""`genreg ls`: a line for each arm below a folder."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from genreg.errors import InputError, nearest
from genreg.report.list.line import COLUMNS, Column, Line
from genreg.report.read.grouping import plain_parts
from genreg.report.tell.numbers import as_table, filled, finite, in_text, number, terminal, titled
from genreg.run.folder import printable, some_runs

FORMATS = ("table", "csv", "json")
SORTS: dict[str, Callable[[Line], Any]] = {
    "name": lambda line: line.name, "seeds": lambda line: len(line.arm.runs),
    "seconds": lambda line: line.seconds, "touched": lambda line: line.touched,
}  # fmt: skip
"""The order of lines beside that by a metric, smallest first."""


def ls(folder: Path, where: Sequence[str], sort: str | None, form: str) -> None:
    """Print a line for each arm at or below `folder`, as a table, CSV or JSON.

    Raises InputError for a folder without runs, an unknown format, and a key or a metric that no run has.
    """
    if form not in FORMATS:
        raise InputError("--format", f"one of {', '.join(FORMATS)}", form, nearest(form, FORMATS))
    key = (sort or "name").removeprefix("-")
    columns = COLUMNS
    if key not in SORTS:
        columns = [*COLUMNS, Column(key, lambda line: line.mean(key), key, of=lambda line: key)]
    lines = list(_lines(folder, where))
    if sort:
        lines = _sorted(lines, key, backwards=sort.startswith("-"))
    rows = [{c.key: c.value(line) for c in columns} for line in lines] if form != "table" else []
    if form == "json":
        print(json.dumps(finite(rows), indent=1))
    elif form == "csv":
        print(as_table(rows), end="")
    else:
        terminal().print(_table(lines, columns) if lines else f"no run has {', '.join(where)}", markup=False)


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
    known = {*SORTS, *(name for line in lines for name in line.values)}
    if lines and key not in known:
        raise InputError("--sort", "a column or a metric of the runs", key, nearest(key, known))
    value: Callable[[Line], Any] = SORTS.get(key) or (lambda line: line.mean(key))
    having = [line for line in lines if value(line) is not None]
    if key not in SORTS and having and having[0].describe(key).better == "max":
        backwards = not backwards
    return sorted(having, key=value, reverse=backwards) + [line for line in lines if value(line) is None]


def _table(lines: Sequence[Line], columns: Sequence[Column]) -> Table:
    """The widest columns are folded first where the terminal is too narrow; only empty ones are left out."""
    found: dict[str, list[str]] = {}
    for column in sorted(columns, key=lambda column: column.last):
        found |= _texts(lines, column)
    shown = {title: cells for title, cells in found.items() if title and any(cells)}
    return filled(Table(box=None, padding=(0, 2, 0, 0)), shown, zip(*shown.values(), strict=True))


def _texts(lines: Sequence[Line], column: Column) -> dict[str, list[str]]:
    """The texts by title; that of mean and standard deviation is their metric, unless there are several."""
    title, of = column.title, column.of
    if not of:
        return {title: [column.text(line) if column.text else in_text(column.value(line)) for line in lines]}
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
