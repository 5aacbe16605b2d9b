"""The table of a running sweep on the terminal."""

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table as RichTable

from genreg.run.display import print_line
from genreg.run.identity import experiment_name
from genreg.run.metric import judged
from genreg.study.job import LOST, Job, Outcome, key

COLUMNS = ("running", "done", "failed", "broken", "in use", "left")
RARE = ("broken", "in use")  # columns that are shown where there is something in them
ROWS = 20  # arms at most; the others are summed in one row


class ArmStatus:
    """The row of one arm: counts of its jobs, the values so far, the reason of its first failure."""

    def __init__(self, name: str) -> None:
        self.name, self.reason = name, ""
        self.counts: Counter[str] = Counter()
        self.values: list[tuple[str, float]] = []

    def take(self, outcome: Outcome) -> None:
        """Note how a job ended."""
        if outcome.status in LOST:
            self.reason = self.reason or f"{outcome.status}: {outcome.reason.splitlines()[0]}"
        elif outcome.status == "done" and (found := judged(outcome.summary)):
            self.values.append(found[:2])

    def mean(self, named: bool) -> str:
        """The mean of the metric that chose the steps, with its name or not."""
        if not self.values:
            return ""
        mean = sum(value for _, value in self.values) / len(self.values)
        return f"{self.values[0][0]} {mean:.4g}" if named else f"{mean:.4g}"


class Table(AbstractContextManager["Table"]):
    """One live table of all arms on a terminal; elsewhere one line for each job that ends."""

    def __init__(self, jobs: Sequence[Job], outcomes: Sequence[Outcome | None]) -> None:
        """outcomes: of the jobs that were over before, None for the others."""
        self.arms = {path: ArmStatus(name) for path, name in arm_names(jobs).items()}
        for job, outcome in zip(jobs, outcomes, strict=True):
            self._arm(job).counts[outcome.status if outcome else "left"] += 1
            if outcome:
                self._arm(job).take(outcome)
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
        """Count the end of a job; without a live table, print a line of it."""
        self._move(job, "running", "left" if outcome.status == "interrupted" else outcome.status)
        self._arm(job).take(outcome)
        self.ended_here += outcome.status in ("done", *LOST)
        if job.settings.quiet or self.live:
            return
        if outcome.status == "done":
            print_line(outcome.summary, str(job.folder.path))
        else:
            print(f"{job.folder.path}: {outcome.status}: {outcome.reason.splitlines()[0]}", flush=True)

    def _arm(self, job: Job) -> ArmStatus:
        return self.arms[job.folder.path.parent]

    def _move(self, job: Job, before: str, after: str) -> None:
        self._arm(job).counts[before] -= 1
        self._arm(job).counts[after] += 1

    def show(self) -> None:
        if self.live:
            self.live.update(self._rendered(), refresh=True)

    def _rendered(self) -> RichTable:
        arms = list(self.arms.values())
        total: Counter[str] = sum((arm.counts for arm in arms), Counter())
        seconds = time.monotonic() - self.started_at
        open_jobs = total["left"] + total["running"]
        left = f", {clock(seconds / self.ended_here * open_jobs)} left" if self.ended_here else ""
        columns = [column for column in COLUMNS if column not in RARE or total[column]]
        metrics = {name for arm in arms for name, _ in arm.values}
        shown = self._shown(arms)
        hidden = [arm for arm in arms if arm not in shown]
        rows = [(arm.name, arm.counts, arm.mean(len(metrics) > 1)) for arm in shown]
        if hidden:
            rows.append((f"{len(hidden)} more arms", sum((arm.counts for arm in hidden), Counter()), ""))
        rows += [("all", total, "")] if len(arms) > 1 else []
        table = RichTable(title=f"{clock(seconds)}{left}", title_justify="left", box=SIMPLE_HEAD,
                          caption=_reasons(arms), caption_justify="left")  # fmt: skip
        table.add_column("arm", overflow="fold")
        for column in [*columns, f"mean {''.join(metrics)}" if len(metrics) == 1 else "mean so far"]:
            table.add_column(column, justify="right", no_wrap=True)
        for name, counts, mean in rows:
            table.add_row(escape(name), *(str(counts[column]) for column in columns), mean)
        return table

    def _shown(self, arms: list[ArmStatus]) -> list[ArmStatus]:
        """The arms that there is room for, in their order; those that run or have failed come first."""
        room = max(3, min(ROWS, self.console.height - 11))
        chosen = sorted(arms, key=lambda arm: not (arm.counts["running"] or arm.reason))[:room]
        return [arm for arm in arms if arm in chosen]


def _reasons(arms: list[ArmStatus]) -> str | None:
    """The first reason of each arm that has failures, equal ones once; three at most."""
    first: dict[str, str] = {}
    for arm in arms:
        first.setdefault(arm.reason, arm.name)
    lines = [escape(f"{name} {reason}") for reason, name in first.items() if reason]
    return "\n".join(lines[:3]) or None


def arm_names(jobs: Sequence[Job]) -> dict[Path, str]:
    """The name of each arm by its folder, with the overrides that not every arm of this name has."""
    overrides = {job.folder.path.parent: [o for o in job.overrides if key(o) != "seed"] for job in jobs}
    names = {job.folder.path.parent: experiment_name(job.config) for job in jobs}
    alike: dict[str, list[list[str]]] = {}
    for path, name in names.items():
        alike.setdefault(name, []).append(overrides[path])
    shared = {name: set.intersection(*map(set, lists)) for name, lists in alike.items()}
    return {
        path: " ".join([name, *(o for o in overrides[path] if o not in shared[name])])
        for path, name in names.items()
    }


def clock(seconds: float) -> str:
    """Hours, minutes and seconds as 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
