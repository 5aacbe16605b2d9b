"""Figures over steps: metrics of each arm, and how many runs have reached the threshold."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from genreg.report.draw.lines import LETTERS, Chart, HeatMap, Line
from genreg.report.draw.svg import wide_range
from genreg.report.judge.result import ArmResult, PartResult, plotted_arms
from genreg.report.output.numbers import labels, titled
from genreg.run import replicas
from genreg.run.read import Run

SEEDS = 50  # shown of an arm


@dataclass(frozen=True)
class Figure:
    """A picture with what it shows; legend: color and name of each arm in it, in full. source: its data."""

    caption: str
    image: Markup
    legend: Sequence[tuple[int, str]] = ()
    source: Chart | HeatMap | None = None

    @classmethod
    def of(cls, source: Chart | HeatMap, legend: Sequence[tuple[int, str]] = ()) -> "Figure":
        return cls(source.title, source.svg(), legend, source)


def some_of(shown: int, result: PartResult, others: bool = False) -> str:
    """The end of a caption where not all arms are shown: the best, or those that have such values.

    others: of arms that are held against the baseline, which is then none of them.
    """
    arms, plotted = len(result.arms) - others, len(plotted_arms(result)) - others
    if shown >= arms:
        return ""
    which = "the best" if shown == plotted else "those that have such values"
    return f"; {shown} of {arms} arms{' besides the baseline' if others else ''}, {which}"


def unnamed(found: Sequence[tuple[int, str]]) -> Sequence[tuple[int, str]]:
    """The legend of a chart that names its lines: all of them, if one does not stand there in full."""
    names = [name for _, name in found]
    return found if labels(names, LETTERS) != names else []


BANDS = 6  # arms beyond which bands would hide one another

History = tuple[np.ndarray, np.ndarray]
"""Steps (E,), and the values of a metric there, (runs or replicas, E)."""


def curves(result: PartResult) -> list[Figure]:
    """The reported metric against steps, and the one that chose them where it measures something else."""
    part, seen = result.part, set[str]()
    found = []
    for metric in filter(None, (part.metric, part.select, (part.threshold or {}).get("metric"))):
        name = part.describe(metric).name
        figure = None if name in seen else _curves(result, metric)
        if figure:  # test and validation look alike: the first that there are rows of
            found.append(figure)
            seen.add(name)
    return found


def _curves(result: PartResult, metric: str) -> Figure | None:
    described = result.part.describe(metric)
    found = []
    for color, arm in plotted_arms(result):
        runs = arm.arm.done[:SEEDS]
        x, y = _of_replicas(runs, metric) if result.replicas else _of_runs(runs, metric)
        if len(x):
            found.append((color, arm.arm.name, x, y * described.scale))
    if not any(len(x) > 1 for _, _, x, _ in found):
        return None
    robust = any(_crosses_zero(y) for *_, y in found)
    banded = len(found) <= BANDS
    lines = [_line(color, name, x, y, robust, banded) for color, name, x, y in found]
    what = "replicas" if result.replicas else "seeds"
    center, spread = ("median", " and the middle half") if robust else ("mean", " and standard deviation")
    caption = f"{metric} against steps, {center}{spread if banded else ''} over {what}"
    caption += some_of(len(found), result)
    log = wide_range([v for line in lines for v in line.y])
    source = Chart(caption, "step", titled(metric, described), lines, log_y=log)
    return Figure.of(source, unnamed([(color, name) for color, name, *_ in found]))


def _crosses_zero(y: np.ndarray) -> bool:
    """True if a band of one standard deviation would reach below zero where no value does."""
    return len(y) > 1 and bool((y >= 0).all() and (y.mean(0) < y.std(0, ddof=1)).any())


def _line(color: int, name: str, x: np.ndarray, y: np.ndarray, robust: bool, banded: bool) -> Line:
    if robust:
        low, center, high = np.quantile(y, [0.25, 0.5, 0.75], axis=0)
    else:
        center, sd = y.mean(0), y.std(0, ddof=1) if len(y) > 1 else np.zeros(len(x))
        low, high = center - sd, center + sd
    band = banded and len(y) > 1
    return Line(color, x.tolist(), center.tolist(), low.tolist() if band else [],
                high.tolist() if band else [], name)  # fmt: skip


def _of_runs(runs: Sequence[Run], metric: str) -> History:
    """The values of each run, at the steps that all of them have."""
    found = [{row["step"]: row[metric] for row in run.folder.rows_with(metric)} for run in runs]
    found = [row for row in found if row]
    common = sorted(set.intersection(*(set(row) for row in found))) if found else []
    values = [[row[step] for step in common] for row in found]
    return np.array(common), np.array(values, float).reshape(len(found), len(common))


def _of_replicas(runs: Sequence[Run], metric: str) -> History:
    """The replicas of all runs that stayed finite; none where runs were evaluated at different steps."""
    found = [a for run in runs if (a := replicas.arrays(run.path, ["step", metric]))]
    if len({a["step"].tobytes() for a in found}) != 1:
        return np.zeros(0), np.zeros((0, 0))
    y = np.concatenate([a[metric].T for a in found]).astype(float)
    return found[0]["step"], y[np.isfinite(y).all(1)]


def times(result: PartResult) -> Figure | None:
    """A line for each arm, up by one run at its first evaluation beyond the threshold."""
    threshold = result.part.threshold
    found = [(color, arm) for color, arm in plotted_arms(result) if arm.times]
    if not threshold or not any(arm.reached for _, arm in found):
        return None
    end = max(_last_step(arm) for _, arm in found)
    lines = [_time_line(color, arm, end) for color, arm in found]
    caption = f"runs in which {threshold['metric']} has passed {threshold['value']:g}, against steps; "
    caption += "failed runs never do" + some_of(len(found), result)
    source = Chart(caption, "step", "runs %", lines, log_y=False, within=[0, 100])
    return Figure.of(source, unnamed([(color, arm.arm.name) for color, arm in found]))


def _last_step(arm: ArmResult) -> float:
    reached = [time.steps for time in arm.times.values() if math.isfinite(time.steps)]
    return max([float(run.summary.get("step") or 0) for run in arm.arm.done] + reached, default=0.0)


def _time_line(color: int, arm: ArmResult, end: float) -> Line:
    x, y = [0.0], [0.0]
    reached = sorted(time.steps for time in arm.times.values() if math.isfinite(time.steps))
    for count, step in enumerate(reached, start=1):
        x += [step, step]
        y += [y[-1], 100 * count / len(arm.times)]
    return Line(color, [*x, end], [*y, y[-1]], name=arm.arm.name)
