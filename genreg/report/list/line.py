"""The line that `genreg ls` prints for one arm."""

import math
import statistics as simple
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from genreg.report.read.grouping import value_words
from genreg.report.read.parts import Arm
from genreg.report.read.runs import Run, short_commit
from genreg.run.code import recorded
from genreg.run.folder import MARKS, printable
from genreg.run.metric import Metric, judged, metric_of


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
        """The same measure on test."""
        split, _, name = (self.metric or "").partition("/")
        return f"test/{name}" if split.startswith("validation") else None

    @cached_property
    def seconds(self) -> float | None:
        return self.arm.seconds

    @cached_property
    def values(self) -> dict[str, list[float]]:
        """Each metric of the finished runs, at the step that validation chose or at the last one."""
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
    """One thing to say of each line: under `key` to machines, under `title` to people.

    text: where that is not the value. of: the metric whose mean and sd people see. last: they see it after
    every metric.
    """

    key: str
    value: Callable[[Line], Any]
    title: str = ""
    text: Callable[[Line], str] | None = None
    of: Callable[[Line], str | None] | None = None
    last: bool = False


def _code(run: Run) -> tuple[str, str]:
    """Commit and digest of what the last start of a run recorded."""
    starts = run.folder.environments()
    commit = str(starts[-1].get("commit") or "") if starts else ""
    used = sorted(set(recorded(run.folder)))
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
]  # fmt: skip
"""In the order of CSV and JSON, which others read: a new one goes to the end."""
