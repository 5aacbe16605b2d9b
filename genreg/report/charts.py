"""What of a part is drawn: learning curves, grids of values, paths on a landscape, samples."""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from genreg.report.cells import number, titled
from genreg.report.result import ArmResult, PartResult
from genreg.report.runs import Run
from genreg.report.svg import COLORS, Line, chart, heat_map, wide_range
from genreg.report.values import chosen_row
from genreg.run import replicas

SEEDS, PATHS = 50, 4  # drawn of an arm
BANDS = 6  # arms beyond which bands would hide one another
BYTES = 1_000_000  # of a sample grid

History = tuple[np.ndarray, np.ndarray]
"""Steps (E,), and the values of a metric there, (runs or replicas, E)."""


@dataclass(frozen=True)
class Figure:
    """A chart with what it shows; legend: color and name of each arm in it."""

    caption: str
    image: Markup
    legend: Sequence[tuple[int, str]] = ()


@dataclass(frozen=True)
class Samples:
    """A grid of samples as the page embeds it."""

    caption: str
    uri: str


def figures(result: PartResult) -> list[Figure]:
    """Everything that this part has to show, most telling first."""
    part = result.part
    metrics = dict.fromkeys([part.metric, part.select, (part.threshold or {}).get("metric")])
    curves = [_curves(result, metric) for metric in metrics if metric]
    return [figure for figure in (*_grids(result), *curves, _paths(result)) if figure]


def drawn(result: PartResult) -> list[tuple[int, ArmResult]]:
    """The baseline and as many other arms as there are colors, each with its color."""
    first = sorted(result.arms, key=lambda arm: arm.arm.name != result.part.baseline)
    kept = [arm for arm in first if arm.arm.runs][:COLORS]
    return list(enumerate(kept))


def _curves(result: PartResult, metric: str) -> Figure | None:
    described = result.part.describe(metric)
    lines, legend = [], []
    for color, arm in drawn(result):
        runs = arm.arm.done[:SEEDS]
        x, y = _of_replicas(runs, metric) if result.replicas else _of_runs(runs, metric)
        if len(x) > 1:
            mean = y.mean(0) * described.scale
            sd = y.std(0, ddof=1) * described.scale if len(y) > 1 else np.zeros_like(mean)
            many = len(result.arms) > BANDS or len(y) < 2
            band = ([], []) if many else ((mean - sd).tolist(), (mean + sd).tolist())
            lines.append(Line(color, x.tolist(), mean.tolist(), *band))
            legend.append((color, arm.arm.name))
    if not lines:
        return None
    what = "replicas" if result.replicas else "seeds"
    spread = "" if len(result.arms) > BANDS else " and standard deviation"
    caption = f"{metric} against steps, mean{spread} over {what}"
    if len(legend) < len(result.arms):
        caption += f"; {len(legend)} of {len(result.arms)} arms"
    return Figure(caption, chart(caption, "step", titled(metric, described), lines), legend)


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


def _grids(result: PartResult) -> list[Figure]:
    """A heat map of two varied numbers or a line over one, for each method that was varied."""
    methods: dict[str, list[ArmResult]] = {}
    for arm in result.arms:
        if arm.arm.values and arm.values:
            methods.setdefault(arm.arm.name.split(",")[0], []).append(arm)
    found = []
    for name, arms in methods.items():
        keys = [key for key in arms[0].arm.values if _varies(key, arms)]
        if len(keys) == 2 and len({key for arm in arms for key in arm.arm.values if _varies(key, arms)}) == 2:
            found.append(_heat(result, name, arms, keys[0], keys[1]))
        elif len(keys) == 1:
            found.append(_against(result, name, arms, keys[0]))
    return found


def _varies(key: str, arms: Sequence[ArmResult]) -> bool:
    values = [arm.arm.values.get(key) for arm in arms]
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values)
    return numbers and len(set(values)) > 1


def _heat(result: PartResult, name: str, arms: Sequence[ArmResult], x: str, y: str) -> Figure:
    columns, rows = (sorted({arm.arm.values[key] for arm in arms}) for key in (x, y))
    values = {}
    for arm in arms:
        place = (columns.index(arm.arm.values[x]), len(rows) - 1 - rows.index(arm.arm.values[y]))
        values[place] = (arm.mean, number(arm.mean, result.metric) + ("†" if arm.failed else ""))
    caption = f"{name}: mean {titled(result.part.metric, result.metric)}, {_key(x)} against {_key(y)}"
    caption += "; †: some runs failed, the mean is of the others" if any(a.failed for a in arms) else ""
    image = heat_map(
        caption, _key(x), _key(y), [f"{v:g}" for v in columns], [f"{v:g}" for v in reversed(rows)], values
    )
    return Figure(caption, image)


def _against(result: PartResult, name: str, arms: Sequence[ArmResult], key: str) -> Figure:
    ordered = sorted(arms, key=lambda arm: arm.arm.values[key])
    scale = result.metric.scale
    x, mean = [arm.arm.values[key] for arm in ordered], [arm.mean * scale for arm in ordered]
    sd = [arm.sd * scale if math.isfinite(arm.sd) else 0.0 for arm in ordered]
    low, high = ([m + sign * s for m, s in zip(mean, sd, strict=True)] for sign in (-1, 1))
    caption = f"{name}: {result.part.metric} against {_key(key)}, mean and standard deviation"
    caption += " of the runs that finished" if any(a.failed for a in arms) else ""
    line = Line(0, x, mean, low, high)
    label = titled(result.part.metric, result.metric)
    return Figure(caption, chart(caption, _key(key), label, [line], log_x=wide_range(x)))


def _key(key: str) -> str:
    return key.rsplit(".", 1)[-1]


def _paths(result: PartResult) -> Figure | None:
    """Where replicas went, on a landscape of two coordinates."""
    lines: list[Line] = []
    legend, names = [], None
    for color, arm in drawn(result):
        run = next(iter(arm.arm.done), None)
        names = (run and replicas.coordinates(run.path)) or names
        arrays = replicas.arrays(run.path, names) if run and names and len(names) == 2 else None
        if arrays:
            legend.append((color, arm.arm.name))
            x, y = (arrays[name][:, :PATHS].astype(float).T for name in names or ())
            alive = np.isfinite(x).all(1) & np.isfinite(y).all(1)
            lines += [
                Line(color, a.tolist(), b.tolist(), thin=True)
                for a, b in zip(x[alive], y[alive], strict=True)
            ]
    if not lines or not names:
        return None
    caption = f"paths of up to {PATHS} replicas of one seed, from the first evaluation to the dot"
    return Figure(caption, chart(caption, names[0], names[1], lines, mark_ends=True), legend)


def samples(result: PartResult) -> list[Samples]:
    """The newest sample grid of each arm's first finished run, or the one at the step that was chosen."""
    found = []
    for arm in result.arms:
        run = next((run for run in arm.arm.done if _grid_files(run)), None)
        if run:
            files, row = _grid_files(run), chosen_row(result.part, run) or {}
            step = row.get("step") if row.get("step") in files else max(files)
            data = files[step].read_bytes()
            if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) <= BYTES:
                uri = "data:image/png;base64," + base64.b64encode(data).decode()
                found.append(Samples(f"{arm.arm.name}, seed {run.seed}, step {step}", uri))
    return found


def _grid_files(run: Run) -> dict[Any, Path]:
    """samples/step=<n>.png of a run, by step."""
    files = (run.path / "samples").glob("step=*.png")
    return {int(n): path for path in files if (n := path.stem.removeprefix("step=")).isdigit()}
