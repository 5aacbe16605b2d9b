"""What a run says on the terminal."""

import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from genreg.run.folder import Row

INTERVAL = 5.0  # seconds between plain lines


class Display(AbstractContextManager["Display"]):
    """A progress bar on a terminal, plain lines at intervals elsewhere, nothing if `quiet`.

    names: the metrics shown beside the step; best: the metric of which the best so far is shown.
    """

    def __init__(
        self, steps: int, names: Sequence[str], selection: tuple[str, str] | None, quiet: bool = False
    ) -> None:
        self.steps, self.names, self.selection, self.quiet = steps, names, selection, quiet
        self.latest: dict[str, float] = {}
        self.best: float | None = None
        self.shown = 0.0
        self.console = Console(stderr=True)
        self.bar = None if quiet or not self.console.is_terminal else self._make_bar()
        self.start: tuple[int, float] | None = None

    def _make_bar(self) -> Progress:
        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[values]}"),
        )
        return Progress(*columns, console=self.console, transient=True)

    def __enter__(self) -> "Display":
        if self.bar:
            self.bar.start()
            self.task = self.bar.add_task("", total=self.steps, speed="", values="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar:
            self.bar.stop()

    def show(self, row: Row, pictures: dict[str, Path]) -> None:
        """Take a row; show it if it is time to."""
        if self.quiet:
            return
        self.latest |= {name: row[name] for name in row if name.startswith("train/") or name in self.names}
        if self.selection and self.selection[0] in row:
            value, best = row[self.selection[0]], max if self.selection[1] == "max" else min
            self.best = value if self.best is None else best(self.best, value)
        now, step = time.monotonic(), row["step"]
        self.start = self.start or (step, now)
        rate = (step - self.start[0]) / (now - self.start[1]) if now > self.start[1] else 0.0
        speed = f"{rate:.0f} steps/s" if rate else ""
        shown = {name.removeprefix("train/"): value for name, value in self.latest.items()}
        values = "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
        if self.best is not None:
            values += f"  best {self.best:.4g}"
        if self.bar:
            self.bar.update(self.task, completed=step, speed=speed, values=values)
        elif now - self.shown > INTERVAL or step == self.steps:
            self.shown = now
            print(f"step {step}/{self.steps}  {speed}  {values}", file=sys.stderr, flush=True)


def print_line(summary: Row, path: str) -> None:
    """One line for one run of a sweep: the metric that chose the step, on every split."""
    chosen = summary.get("best") or summary.get("last") or {}
    names = [name.rsplit("/", 1)[-1] for name in (summary.get("selection") or [])[:1]]
    judged = [key for key in chosen if key.rsplit("/", 1)[-1] in names and "_stderr/" not in key]
    metrics = "  ".join(f"{key} {chosen[key]:.4f}" for key in judged)
    print(f"{path}: {metrics}  at step {chosen['step']}, {summary['seconds']:.1f} s", flush=True)


def print_summary(summary: Row, path: str) -> None:
    """The table at the end of a run: what was selected, and what it is worth."""
    best, last = summary.get("best") or {}, summary.get("last") or {}
    table = Table(title=f"{summary['step']} steps in {summary['seconds']:.1f} s", title_justify="left")
    table.add_column("metric")
    if best:
        table.add_column(f"best (step {best['step']})", justify="right")
    table.add_column("last", justify="right")
    for name in (name for name in last if name != "step"):
        rows = [best, last] if best else [last]
        cells = [row[name] if isinstance(row[name], str) else f"{row[name]:.4f}" for row in rows]
        table.add_row(name, *cells)
    console = Console()
    console.print(table)
    console.print(f"recorded in {path}", soft_wrap=True, markup=False, highlight=False)
