"""Learning curves."""

from collections.abc import Sequence

import numpy as np

from genreg.report.draw.axis import wide_range
from genreg.report.draw.lines import Line, chart
from genreg.report.figures.arms import SEEDS, Figure, some_of, unnamed
from genreg.report.judge.best import drawn
from genreg.report.judge.result import PartResult
from genreg.report.read.runs import Run
from genreg.report.tell.numbers import titled
from genreg.run import replicas

BANDS = 6  # arms beyond which bands would hide one another

History = tuple[np.ndarray, np.ndarray]
"""Steps (E,), and the values of a metric there, (runs or replicas, E)."""


def curves(result: PartResult) -> list[Figure]:
    """The reported metric against steps, and the one that chose them where it measures something else."""
    part, seen = result.part, set[str]()
    found = []
    for metric in filter(None, (part.metric, part.select, (part.threshold or {}).get("metric"))):
        figure = None if _name(metric) in seen else _curves(result, metric)
        if figure:  # test and validation look alike: the first that there are rows of
            found.append(figure)
            seen.add(_name(metric))
    return found


def _name(metric: str) -> str:
    return metric.partition("/")[2] or metric


def _curves(result: PartResult, metric: str) -> Figure | None:
    described = result.part.describe(metric)
    found = []
    for color, arm in drawn(result):
        runs = arm.arm.done[:SEEDS]
        x, y = _of_replicas(runs, metric) if result.replicas else _of_runs(runs, metric)
        if len(x) > 1:
            found.append((color, arm.arm.name, x, y * described.scale))
    if not found:
        return None
    robust = any(_crosses_zero(y) for *_, y in found)
    banded = len(found) <= BANDS
    lines = [_line(color, name, x, y, robust, banded) for color, name, x, y in found]
    what = "replicas" if result.replicas else "seeds"
    center, spread = ("median", " and the middle half") if robust else ("mean", " and standard deviation")
    caption = f"{metric} against steps, {center}{spread if banded else ''} over {what}"
    caption += some_of(len(found), result)
    log = wide_range([v for line in lines for v in line.y])
    image = chart(caption, "step", titled(metric, described), lines, log_y=log)
    return Figure(caption, image, unnamed([(color, name) for color, name, *_ in found]))


def _crosses_zero(y: np.ndarray) -> bool:
    """Whether one standard deviation below the mean of values that are never negative is."""
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
    """At the steps that all runs have."""
    found = [{row["step"]: row[metric] for row in run.folder.rows_with(metric)} for run in runs]
    found = [row for row in found if row]
    common = sorted(set.intersection(*(set(row) for row in found))) if found else []
    values = [[row[step] for step in common] for row in found]
    return np.array(common), np.array(values, float).reshape(len(found), len(common))


def _of_replicas(runs: Sequence[Run], metric: str) -> History:
    """Those of all runs that stayed finite; none where runs were evaluated at different steps."""
    found = [a for run in runs if (a := replicas.arrays(run.path, ["step", metric]))]
    if len({a["step"].tobytes() for a in found}) != 1:
        return np.zeros(0), np.zeros((0, 0))
    y = np.concatenate([a[metric].T for a in found]).astype(float)
    return found[0]["step"], y[np.isfinite(y).all(1)]
