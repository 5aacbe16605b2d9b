"""What a sweep says on the terminal."""

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table as RichTable

from genreg.launcher.job import Job, Outcome
from genreg.run.display import print_line

COLUMNS = ("running", "done", "failed", "in use", "left")


class Table(AbstractContextManager["Table"]):
    """One live table of all jobs on a terminal; elsewhere one line for each job that ends."""

    def __init__(self, jobs: Sequence[Job], outcomes: Sequence[Outcome | None]) -> None:
        """outcomes: of the jobs that were over before, None for the others."""
        self.counts: dict[str, Counter[str]] = {job.group: Counter() for job in jobs}
        for job, outcome in zip(jobs, outcomes, strict=True):
            self.counts[job.group][outcome.status if outcome else "left"] += 1
        self.quiet = all(job.settings.quiet for job in jobs)
        self.started_at, self.ended_here = time.monotonic(), 0
        self.console = Console(stderr=True)
        live = self.console.is_terminal and not self.quiet
        self.live = Live(console=self.console, auto_refresh=False) if live else None  # no thread: we fork

    def __enter__(self) -> "Table":
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            self.show()
            self.live.stop()

    def started(self, job: Job) -> None:
        self._move(job, "left", "running")

    def put_back(self, job: Job) -> None:
        self._move(job, "running", "left")

    def ended(self, job: Job, outcome: Outcome) -> None:
        """Count a job's end, and tell it."""
        self._move(job, "running", "left" if outcome.status == "interrupted" else outcome.status)
        self.ended_here += outcome.status in ("done", "failed")
        if job.settings.quiet or self.live:
            return
        if outcome.status == "done":
            print_line(outcome.summary, str(job.folder.path))
        else:
            print(f"{job.folder.path}: {outcome.status}: {outcome.reason.splitlines()[0]}", flush=True)

    def _move(self, job: Job, before: str, after: str) -> None:
        self.counts[job.group][before] -= 1
        self.counts[job.group][after] += 1

    def show(self) -> None:
        if self.live:
            self.live.update(self._rendered(), refresh=True)

    def _rendered(self) -> RichTable:
        total: Counter[str] = sum(self.counts.values(), Counter())
        seconds = time.monotonic() - self.started_at
        open_jobs = total["left"] + total["running"]
        left = f", {clock(seconds / self.ended_here * open_jobs)} left" if self.ended_here else ""
        table = RichTable(title=f"{clock(seconds)}{left}", title_justify="left")
        table.add_column("experiment")
        for column in COLUMNS:
            table.add_column(column, justify="right")
        rows = [*self.counts.items(), *([("all", total)] if len(self.counts) > 1 else [])]
        for name, counts in rows:
            table.add_row(name, *(str(counts[column]) for column in COLUMNS))
        return table


def clock(seconds: float) -> str:
    """Hours, minutes and seconds as 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
