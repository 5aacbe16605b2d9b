"""Pictures of what was trained: paths on a landscape, and samples of a generator."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from genreg.files import read_bytes
from genreg.report.draw.lines import Chart, Line
from genreg.report.draw.svg import Axis, tag
from genreg.report.figures.curves import Figure
from genreg.report.judge.result import PartResult, plotted_arms
from genreg.report.read.values import chosen_row
from genreg.run import replicas
from genreg.run.read import Run

PATHS = 4  # shown of an arm
LEVELS = 9
DECADES = 4  # below the highest contour

Contour = tuple[int, np.ndarray]
"""The number of its level, and its points (k, 2)."""


def paths(result: PartResult) -> Figure | None:
    """Paths of the first replicas of each arm's first run."""
    lines: list[Line] = []
    legend, names, folders = [], list[str](), []
    for color, arm in plotted_arms(result):
        run = next(iter(arm.arm.done), None)
        names = (replicas.coordinates(run.path, run.summary.get("metrics")) if run else []) or names
        arrays = replicas.arrays(run.path, names) if run and len(names) == 2 else None
        if run and arrays:
            legend.append((color, arm.arm.name))
            folders.append(run.path)
            lines += _paths(color, *(arrays[name][:, :PATHS].astype(float).T for name in names))
    if not lines:
        return None
    found = contours(folders, names)
    caption = f"paths of up to {PATHS} replicas of one seed, from the first evaluation to the dot"
    caption += ", over contours of the loss" if found else ""
    source = Chart(
        caption, names[0], names[1], lines, mark_ends=True, log_y=False,
        back=lambda x, y: [_contour(level, points, x, y) for level, points in found],
    )  # fmt: skip
    return Figure.of(source, legend)


def _paths(color: int, x: np.ndarray, y: np.ndarray) -> list[Line]:
    alive = np.isfinite(x).all(1) & np.isfinite(y).all(1)
    return [Line(color, a.tolist(), b.tolist(), thin=True) for a, b in zip(x[alive], y[alive], strict=True)]


def contours(folders: Sequence[Path], names: Sequence[str]) -> list[Contour]:
    """Lines of equal loss, at levels common to all runs: of the widest grid, then of what the others add."""
    found = [g for folder in folders if (g := replicas.contours(folder, names))]
    found.sort(key=lambda grid: -float(np.ptp(grid[0]) * np.ptp(grid[1])))
    if not found:
        return []
    from contourpy import contour_generator

    top = max(float(np.nanmax(z)) for _, _, z in found)
    low = max(min(float(z[z > 0].min()) for _, _, z in found if (z > 0).any()), top / 10**DECADES)
    levels = np.geomspace(low, top, LEVELS + 1)[:-1]
    lines: list[Contour] = []
    for k, (x, y, z) in enumerate(found):
        hidden = np.zeros(z.shape, bool)
        for a, b, _ in found[:k]:
            hidden |= _inside(y, b)[:, None] & _inside(x, a)[None]
        generator = contour_generator(x, y, np.ma.array(z, mask=hidden))
        for n, level in enumerate(levels):
            lines += [(n, np.asarray(points)) for points in generator.lines(level)]
    return lines


def _inside(at: np.ndarray, other: np.ndarray) -> np.ndarray:
    """True for each that is within another grid by a step at least, so that lines of both meet."""
    step = at[1] - at[0]
    found: np.ndarray = (at >= other[0] + step) & (at <= other[-1] - step)
    return found


def _contour(level: int, points: np.ndarray, x: Axis, y: Axis) -> Markup:
    places = " ".join(f"{x.inside(a):.1f},{y.inside(b):.1f}" for a, b in points)
    return tag("polyline", points=places, class_=f"contour l{level}")


BYTES = 1_000_000  # of a file that is read
EXACT = 20_000  # bytes up to which a picture is embedded without loss
PIXELS = 4_000_000


@dataclass(frozen=True)
class Samples:
    """A grid of samples as the page embeds it."""

    caption: str
    uri: str


def samples(result: PartResult) -> list[Samples]:
    """Pictures of samples from the first finished run of each plotted arm.

    All steps in one picture if there is one, else the step that was chosen, or the newest.
    """
    found = []
    for _, arm in plotted_arms(result):
        run = next((run for run in arm.arm.done if _files(run)), None)
        if run:
            which, path = _shown(run, chosen_row(result.part, run) or {})
            if uri := embedded(path):
                found.append(Samples(f"{arm.arm.name}, seed {run.seed}{which}", uri))
    return found


def _shown(run: Run, row: dict[str, Any]) -> tuple[str, Path]:
    """The picture that stands for a run, in words and as a file."""
    if (together := run.path / "samples.png").is_file():
        return "", together
    files = _files(run)
    step = row.get("step") if row.get("step") in files else max(files)
    return f", step {step}", files[step]


def _files(run: Run) -> dict[Any, Path]:
    """samples/step=<n>.png of a run, by step."""
    files = (run.path / "samples").glob("step=*.png")
    return {int(n): path for path in files if (n := path.stem.removeprefix("step=")).isdigit()}


def embedded(path: Path) -> str:
    """The picture as a data URI, in WebP, without loss if that is small; nothing if it is no picture."""
    from PIL import Image

    try:
        data = read_bytes(path)
    except OSError:
        return ""
    if not data.startswith(b"\x89PNG\r\n\x1a\n") or len(data) > BYTES:
        return ""
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.width * image.height > PIXELS:
                return ""
            exact, near = io.BytesIO(), io.BytesIO()
            image.save(exact, "WEBP", lossless=True)
            if exact.tell() > EXACT:
                image.save(near, "WEBP", quality=80)
    except (OSError, ValueError, SyntaxError):
        return ""
    smallest = min(filter(None, (exact.getvalue(), near.getvalue())), key=len)
    return "data:image/webp;base64," + base64.b64encode(smallest).decode()
