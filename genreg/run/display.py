"""Progress on the terminal, and the curves of a finished run as a picture."""

import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from genreg.files import write_atomic
from genreg.run.folder import Row, printable
from genreg.run.metric import GAP, metric_of

INTERVAL = 5.0  # seconds between plain lines
FEW = 3  # metrics in the line of a run whose step none has chosen
BAR, SPEED, LEFT, GAPS = 40, len("12345 steps/s"), len("12:34:56"), 4
"""Columns of the longest bar, and of what stands between it and the values."""


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
        self.gauge = BarColumn()
        columns = (
            self.gauge,
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[values]}"),
        )
        return Progress(*columns, console=self.console, transient=True)

    def _fit(self, values: Sequence[str], speed: str = "") -> str:
        """The values, from the first on, for which the line has room; the bar takes its share."""
        room = self.console.width - 2 * len(str(self.steps)) - 1 - max(SPEED, len(speed)) - LEFT - GAPS
        self.gauge.bar_width = max(3, min(BAR, room, max(10, room // 3)))
        kept = list(values)
        while kept and len("  ".join(kept)) > room - self.gauge.bar_width:
            kept.pop()
        return "  ".join(kept)

    def __enter__(self) -> "Display":
        if self.bar:
            self.bar.start()
            self.task = self.bar.add_task("", total=self.steps, speed="", values=self._fit([]))
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
            value, of_both = row[self.selection[0]], max if self.selection[1] == "max" else min
            self.best = value if self.best is None else of_both(self.best, value)
        now, step = time.monotonic(), row["step"]
        self.start = self.start or (step, now)
        rate = (step - self.start[0]) / (now - self.start[1]) if now > self.start[1] else 0.0
        speed = f"{rate:{'.0f' if rate >= 10 else '.2g'}} steps/s" if rate else ""
        shown = {name.removeprefix("train/"): value for name, value in self.latest.items()}
        best = {} if self.best is None else {"best": self.best}
        values = [f"{name} {value:.4g}" for name, value in (best | shown).items()]
        if self.bar:
            self.bar.update(self.task, completed=step, speed=speed, values=self._fit(values, speed))
        elif now - self.shown > INTERVAL or step == self.steps:
            self.shown = now
            print(f"step {step}/{self.steps}  {speed}  {'  '.join(values)}", file=sys.stderr, flush=True)


def _told(row: Row, summary: Row) -> list[str]:
    """The names of a row without those that follow from others by the gap on test."""
    selected = (summary.get("selection") or [""])[0].rsplit("/", 1)[-1]
    follow = {f"labeled/{selected}", f"validation/{GAP}"} if f"test/{GAP}" in row else set()
    return [name for name in row if name not in {"step", *follow}]


def print_line(summary: Row, path: str) -> None:
    """One line for one run of a sweep: the metric that chose the step, on validation and test.

    Where nothing chose it, as of a landscape, the first few.
    """
    chosen = summary.get("best") or summary.get("last") or {}
    names = [name.rsplit("/", 1)[-1] for name in (summary.get("selection") or [])[:1]]
    told = _told(chosen, summary)
    found = {key: metric_of(key, summary.get("metrics")) for key in told}
    judged = [key for key, one in found.items() if one.name in names and not one.family.stderr_of]
    judged = judged or [key for key in told if isinstance(chosen[key], int | float)][:FEW]
    metrics = "  ".join(f"{key} {chosen[key]:.4f}" for key in judged)
    print(f"{path}: {metrics}  at step {chosen['step']}, {summary['seconds']:.1f} s", flush=True)


def print_summary(summary: Row, path: str) -> None:
    """The table at the end of a run: what was selected, and what it is worth."""
    best, last = summary.get("best") or {}, summary.get("last") or {}
    table = Table(title=f"{summary['step']} steps in {summary['seconds']:.1f} s", title_justify="left")
    table.add_column("metric", overflow="fold")
    if best:
        table.add_column(f"best (step {best['step']})", justify="right")
    table.add_column("last", justify="right")
    for name in _told(last, summary):
        found = [row.get(name, "") for row in ([best, last] if best else [last])]  # best may be older code's
        table.add_row(name, *(value if isinstance(value, str) else f"{value:.4f}" for value in found))
    console = Console()
    console.print(table)
    console.print(f"recorded in {path}", soft_wrap=True, markup=False, highlight=False)


TERMS = "training terms"
WIDTH, HEIGHT = 4.0, 2.7
BEFORE, BEHIND, ABOVE, BELOW, NAME = 0.85, 0.15, 0.35, 0.55, 0.35
"""Inches of a panel, around it, and of the run's name above all. Fixed, since a layout that finds them draws
everything a second time."""


def draw(rows: list[Row], summary: Row, path: Path) -> None:
    """Training terms and metrics against steps as a PNG; a dashed line marks the selected step."""
    from matplotlib.figure import Figure

    best = summary["best"]
    panels = _panels(rows, summary)
    columns = 3 if len(panels) > 4 else min(max(len(panels), 1), 2)  # as wide as high, about
    rows_of_panels = -(-len(panels) // columns)
    width, height = columns * (BEFORE + WIDTH + BEHIND), rows_of_panels * (ABOVE + HEIGHT + BELOW) + NAME
    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(BEFORE / width, BELOW / height, 1 - BEHIND / width, 1 - (ABOVE + NAME) / height,
                           (BEFORE + BEHIND) / WIDTH, (ABOVE + BELOW) / HEIGHT)  # fmt: skip
    figure.suptitle(_name(path.parent), x=BEFORE / width, y=1 - 0.12 / height, ha="left", va="top",
                    parse_math=False)  # fmt: skip
    for place, (title, lines) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(rows_of_panels, columns, place)
        for label, name in lines.items():
            shown = metric_of(name, summary.get("metrics"))
            points = [(row["step"], row[name] * shown.scale) for row in rows if name in row]
            mark = "o" if len(points) == 1 else ""  # a line of one point is none
            axes.plot(*zip(*points, strict=True), mark, label=label.replace("_", " "), linewidth=1.5)
        if best:
            axes.axvline(best["step"], color="0.5", linestyle="--", linewidth=1, label="selected step")
        axes.set_title(title.replace("_", " "))
        axes.set_xlabel("step")
        axes.set_ylabel(shown.unit)  # the same of all lines: a panel is one metric
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    with write_atomic(path) as file:
        figure.savefig(file, dpi=120, format="png")


def _panels(rows: list[Row], summary: Row) -> dict[str, dict[str, str]]:
    """The metric of each label by title of its panel: what chose the step first, training terms last."""
    panels: dict[str, dict[str, str]] = {}
    for name in sorted({name for row in rows for name in row if "/" in name}):
        if metric_of(name, summary.get("metrics")).family.stderr_of:
            continue
        split, metric = name.split("/", 1)
        title, label = (TERMS, metric) if split == "train" else (metric, split)
        panels.setdefault(title, {})[label] = name
    chose = (summary.get("selection") or [""])[0].partition("/")[2]
    return dict(sorted(panels.items(), key=lambda panel: (panel[0] != chose, panel[0] == TERMS)))


def _name(folder: Path) -> str:
    """`digits/vat-1a2b3c4d, seed 0`: the run as its folder says it."""
    experiment, arm, seed = ("", "", *folder.resolve().parts)[-3:]
    return printable(f"{experiment}/{arm}, {seed.replace('=', ' ')}")
