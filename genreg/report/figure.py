"""`genreg figure`: one picture of a report as a paper prints it."""

import io
import logging
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genreg.errors import InputError, nearest
from genreg.groups import files
from genreg.report.command import read_results, write
from genreg.report.draw import paper
from genreg.report.draw.lines import Chart, HeatMap
from genreg.report.figures.curves import curves, times
from genreg.report.figures.effects import effects
from genreg.report.figures.grids import grids
from genreg.report.judge.result import PartResult
from genreg.study import archive

SUFFIXES = (".pdf", ".svg", ".png")
COLUMN, TEXT, LARGEST = 3.25, 5.5, 40.0  # inches: a column of two, of one, and what no page has
DOTS = 300  # of a PNG, in an inch


@dataclass(frozen=True)
class Picture:
    """Axes beside one another, each with its drawing; inches of the whole, of which the height may scale."""

    draws: Sequence[Callable[[Any], None]]
    width: float
    height: float
    scales: bool = True


def figure(
    kind: str,
    folders: Sequence[Path],
    output: Path,
    part: str | None = None,
    size: tuple[float | None, float | None] = (None, None),
    baseline: str | None = None,
    metric: str | None = None,
    select: str | None = None,
    rename: str | None = None,
) -> None:
    """Draw a picture of `size` inches and write it as PDF, SVG or PNG.

    Raises InputError for an unknown kind, suffix, part or size, and where the runs lack what is drawn.
    """
    if kind not in KINDS:
        raise InputError("KIND", f"one of {', '.join(KINDS)}", kind, nearest(kind, KINDS))
    if output.suffix not in SUFFIXES:
        raise InputError("--output", f"a name that ends in {', '.join(SUFFIXES)}", str(output))
    for key, inches in zip(("--width", "--height"), size, strict=True):
        if inches is not None and not 0 < inches <= LARGEST:
            raise InputError(key, f"inches, more than 0 and at most {LARGEST:g}", inches)
    with archive.opened(folders) as places:
        results = read_results(places, baseline, metric, select, rename, as_in_papers())
        shown = _of_part(results, part, kind)
        draw, missing = KINDS[kind]
        picture = draw(shown)
    if not picture:
        raise InputError("FOLDER", missing, ", ".join(result.part.name for result in shown))
    write(_written(picture, *size, output.suffix[1:]), output)


def as_in_papers() -> dict[str, str]:
    """Each method and optimizer as papers call it: by its YAML's first comment, its class, or in capitals."""
    found = {}
    for name, path in (files("regularizer") | files("optimizer")).items():
        text = path.read_text()
        lines = [r"^# ([\w -]+):", *([r"^_target_: .*\.([A-Z]\w+)"] if "_" not in name else [])]
        called = [match[1] for line in lines if (match := re.search(line, text, re.MULTILINE))]
        short = name.upper() if len(name) < 4 and "_target_" in text else name
        found[name] = next((one for one in called if _plain(one) == _plain(name)), short)
    return found


def _plain(name: str) -> str:
    return re.sub(r"\W|_", "", name).casefold()


def _of_part(results: Sequence[PartResult], part: str | None, kind: str) -> Sequence[PartResult]:
    """The part to draw; of effects, all of them."""
    names = [result.part.name for result in results]
    if part is None and (len(results) == 1 or kind == "effects"):
        return results
    if part not in names:
        raise InputError("--part", f"one of {', '.join(names)}", part or "none", nearest(part or "", names))
    return [result for result in results if result.part.name == part]


def _effects(results: Sequence[PartResult]) -> Picture | None:
    found = effects(results)
    if not found:
        return None
    rows = len(found.effects) + (len(found.groups) if len(found.groups) > 1 else 0)
    return Picture([lambda axes: paper.draw_forest(found, axes)], TEXT, 0.17 * rows + 0.75, scales=False)


def _curves(results: Sequence[PartResult]) -> Picture | None:
    return _of_sources([figure.source for figure in curves(results[0])][:1])


def _grid(results: Sequence[PartResult]) -> Picture | None:
    return _of_sources([figure.source for figure in grids(results[0])])


def _times(results: Sequence[PartResult]) -> Picture | None:
    found = times(results[0])
    return _of_sources([found.source] if found else [])


def _of_sources(sources: Sequence[Chart | HeatMap | None]) -> Picture | None:
    def draw(source: Chart | HeatMap) -> Callable[[Any], None]:
        if isinstance(source, HeatMap):
            return lambda axes: paper.draw_heat_map(source, axes)
        return lambda axes: paper.draw_chart(source, axes)

    found = [draw(source) for source in sources if source]
    return Picture(found, COLUMN * min(2, len(found)), 0.75 * COLUMN) if found else None


KINDS: dict[str, tuple[Callable[[Sequence[PartResult]], Picture | None], str]] = {
    "effects": (_effects, "runs of arms that are compared with a baseline"),
    "curves": (_curves, "runs with several evaluations of the metric"),
    "grid": (_grid, "arms of one method in which one or two numbers vary (grid: of a sweep file)"),
    "times": (_times, "a part with a threshold (of a sweep file) that a run has passed"),
}
"""The picture of each kind, and what it needs."""


def _written(picture: Picture, width: float | None, height: float | None, form: str) -> bytes:
    """The picture in this size, as a file."""
    from matplotlib.figure import Figure

    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of every letter of a PDF
    high = height or picture.height * ((width or picture.width) / picture.width if picture.scales else 1)
    with paper.style():
        drawn = Figure(figsize=(width or picture.width, high), layout="constrained")
        places = drawn.subplots(1, len(picture.draws), squeeze=False)[0]
        for draw, axes in zip(picture.draws, places, strict=True):
            draw(axes)
        return _saved(drawn, form)


def _saved(drawn: Any, form: str) -> bytes:
    """The file, the same at every time; what matplotlib warns of is refused, or one line."""
    buffer, dated = io.BytesIO(), {"pdf": "CreationDate", "svg": "Date"}.get(form)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            drawn.savefig(buffer, format=form, dpi=DOTS, metadata={dated: None} if dated else None)
        except ValueError as error:  # of the mathematics in a name
            expected = "names whose $...$ is mathematics (or others, by --rename)"
            raise InputError("figure", expected, str(error).split("\n")[0]) from error
    said = dict.fromkeys(str(warning.message) for warning in heard)
    if any("collapsed" in text for text in said):
        size = " x ".join(f"{inches:g}" for inches in drawn.get_size_inches())
        raise InputError("--width, --height", "inches in which names and numbers have room", size)
    for text in said:  # a letter that the font lacks
        print(f"genreg: {text}", file=sys.stderr)
    return buffer.getvalue()
