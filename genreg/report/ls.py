"""`genreg ls`: a line for each arm, with its runs, seeds, metrics and code."""

import json
import math
import statistics as simple
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from genreg.errors import InputError, nearest
from genreg.report.output.numbers import (
    as_table,
    blocks,
    filled,
    finite,
    in_text,
    number,
    readable,
    terminal,
    titled,
)
from genreg.report.read.find import plain_parts, value_words
from genreg.run.code import recorded
from genreg.run.find import some_runs
from genreg.run.folder import MARKS, printable
from genreg.run.metric import Metric, judged, metric_of
from genreg.run.read import Run, remarks, short_commit
from genreg.study.model import Arm

FORMATS = ("table", "csv", "json")


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
    lines = list(lines_of(folder, where))
    if sort:
        lines = _sorted(lines, key, backwards=sort.startswith("-"))
    rows = [{c.key: c.value(line) for c in columns} for line in lines] if form != "table" else []
    if form == "json":
        print(json.dumps(finite(rows), indent=1))
    elif form == "csv":
        print(as_table(rows), end="")
    elif lines:
        console = terminal()
        console.print(_table(lines, columns, console.width), markup=False)
    else:
        print(_none(folder, where))
    for remark in remarks(run for line in lines for run in line.arm.runs.values()):
        print(f"note: {remark}", file=sys.stderr)


@dataclass(frozen=True)
class Line:
    """An arm and where it lies, relative to the folder that is listed."""

    arm: Arm
    name: str

    @property
    def status(self) -> dict[str, int]:
        """The number of runs in each status, finished ones first, those left out for other data last."""
        counts = Counter(run.status for run in self.arm.runs.values())
        found = dict(sorted(counts.items(), key=lambda item: (item[0] != "done", item[0])))
        return found | ({"of other data": len(self.arm.other)} if self.arm.other else {})

    @property
    def status_words(self) -> str:
        """`8 done, 2 failed`."""
        return ", ".join(f"{n} {printable(status)}" for status, n in self.status.items())

    @property
    def seeds(self) -> str:
        """`0-9` or `0-2,5`."""
        found = sorted(self.arm.runs)
        starts = [seed for seed in found if seed - 1 not in self.arm.runs]
        ends = [seed for seed in found if seed + 1 not in self.arm.runs]
        return ",".join(f"{a}-{b}" if a < b else f"{a}" for a, b in zip(starts, ends, strict=True))

    @cached_property
    def metric(self) -> str | None:
        """The metric that chose the steps; without one, the first of the last row that has a better way."""
        found = next(filter(None, (judged(run.summary) for run in self.arm.done)), None)
        return found[0] if found else None

    @property
    def test(self) -> str | None:
        """The same measure in the family that is reported."""
        found = self.metric and self.describe(self.metric)
        return f"{found.family.reported}/{found.name}" if found and found.chooses else None

    @cached_property
    def seconds(self) -> float | None:
        return self.arm.seconds

    @cached_property
    def values(self) -> dict[str, list[float]]:
        """The values of each metric in finished runs, at the step that validation chose or at the last."""
        found: dict[str, list[float]] = {}
        for run in self.arm.done:
            for name, value in (run.best or run.last or {}).items():
                if "/" in name and not isinstance(value, str) and math.isfinite(value):
                    found.setdefault(name, []).append(value)
        return found

    def mean(self, metric: str | None) -> float | None:
        values = self.values.get(metric or "")
        return simple.fmean(values) if values else None

    def sd(self, metric: str | None) -> float | None:
        values = self.values.get(metric or "", [])
        return simple.stdev(values) if len(values) > 1 else None

    def describe(self, metric: str) -> Metric:
        """The metric, as the first finished run describes it."""
        return metric_of(metric, self.arm.done[0].summary.get("metrics"))

    @cached_property
    def code(self) -> str:
        """The commit, of runs without one a digest of the code that they used; `mixed` where these differ."""
        found = {_code(run) for run in self.arm.runs.values()} - {("", "")}
        if len(found) > 1:
            return "mixed"
        return next((commit or digest for commit, digest in found), "")

    @cached_property
    def touched(self) -> datetime | None:
        """The last time at which a run of it wrote a row or its summary."""
        paths = (run.path / mark for run in self.arm.runs.values() for mark in MARKS)
        times = [time for path in paths if (time := _written(path))]
        return datetime.fromtimestamp(max(times), UTC).astimezone() if times else None


@dataclass(frozen=True)
class Column:
    """One thing about each line: `key` in CSV and JSON, `title` in the table.

    text: in the table, where that is not the value. of: the metric whose mean and sd the table shows. last:
    it stands behind every metric there.
    """

    key: str
    value: Callable[[Line], Any]
    title: str = ""
    text: Callable[[Line], str] | None = None
    of: Callable[[Line], str | None] | None = None
    last: bool = False


COLUMNS = [
    Column("arm", lambda line: line.name, "arm"),
    Column("folder", lambda line: str(line.arm.folder)),
    Column("values", lambda line: line.arm.values, "values", lambda line: ", ".join(value_words(line.arm))),
    Column("status", lambda line: line.status, "runs", lambda line: line.status_words),
    Column("seeds", lambda line: line.seeds, "seeds"),
    Column("metric", lambda line: line.metric),
    Column("mean", lambda line: line.mean(line.metric), "metric", of=lambda line: line.metric),
    Column("sd", lambda line: line.sd(line.metric)),
    Column("test_mean", lambda line: line.mean(line.test), "on test", of=lambda line: line.test),
    Column("test_sd", lambda line: line.sd(line.test)),
    Column("seconds", lambda line: line.seconds, "seconds", last=True),
    Column("code", lambda line: line.code, "code", last=True),
    Column("touched", lambda line: line.touched and line.touched.isoformat(timespec="seconds"), "touched",
           lambda line: _age(line.touched), last=True),
    Column("broken", lambda line: line.arm.broken or None, "broken", last=True),
]  # fmt: skip
"""The order is that of CSV and JSON, which others read: a new one goes to the end."""

SORTS: dict[str, Callable[[Line], Any]] = {
    "name": lambda line: line.name, "seeds": lambda line: len(line.arm.runs),
    "seconds": lambda line: line.seconds, "touched": lambda line: line.touched,
}  # fmt: skip
"""Orders of lines other than by a metric, smallest first."""


def _code(run: Run) -> tuple[str, str]:
    """Commit and digest of what the last start of a run recorded."""
    starts = run.environments
    commit = str(starts[-1].get("commit") or "") if starts else ""
    used = sorted(set(recorded(run.starts)))
    return short_commit(commit), sha256(repr(used).encode()).hexdigest()[:8] if used else ""


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _age(time: datetime | None) -> str:
    """The time since then: `5 min`."""
    seconds = (datetime.now(UTC) - time).total_seconds() if time else math.nan
    units = ((86400, "d"), (3600, "h"), (60, "min"), (0, "s"))
    return next((f"{seconds / (unit or 1):.0f} {word}" for unit, word in units if seconds >= unit), "")


def lines_of(folder: Path, where: Sequence[str]) -> Iterator[Line]:
    """A line for each arm that has runs for which all conditions hold."""
    arms = [arm for part in plain_parts({folder: some_runs(folder)}) for arm in part.arms]
    if where:
        from genreg.report.where import chosen  # a list of all needs no groups

        arms = chosen(arms, where)
    root = folder.resolve()
    for arm in arms:
        place = (arm.folder or folder).resolve()
        inside = place.relative_to(root) if place.is_relative_to(root) else Path()
        yield Line(arm, printable(inside if inside.parts else place.name))


def _sorted(lines: list[Line], key: str, backwards: bool) -> list[Line]:
    """Sort by a metric, best first, or by a column, smallest first; lines without a value come last."""
    known = {*SORTS, *(name for line in lines for name in line.values)}
    if lines and key not in known:
        raise InputError("--sort", "a column or a metric of the runs", key, nearest(key, known))
    value: Callable[[Line], Any] = SORTS.get(key) or (lambda line: line.mean(key))
    having = [line for line in lines if value(line) is not None]
    if key not in SORTS and having and having[0].describe(key).better == "max":
        backwards = not backwards
    return sorted(having, key=value, reverse=backwards) + [line for line in lines if value(line) is None]


def _none(folder: Path, where: Sequence[str]) -> str:
    """The line that says that no run has all of this."""
    from genreg.report.where import none_has

    return none_has([arm for part in plain_parts({folder: some_runs(folder)}) for arm in part.arms], where)


def _table(lines: Sequence[Line], columns: Sequence[Column], width: int) -> Table | Text:
    """A table of all but empty columns; on a terminal that is too narrow for it, rows below one another."""
    found: dict[str, list[str]] = {}
    for column in sorted(columns, key=lambda column: column.last):
        found |= _texts(lines, column)
    shown = {title: cells for title, cells in found.items() if title and any(cells)}
    if not readable(shown, width):
        return Text(blocks(shown))
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
