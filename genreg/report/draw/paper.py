"""The same pictures for papers, by matplotlib: text stays text, no title inside, lines told apart in gray."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genreg.report.draw.forest import SHAPES, Effect, Forest, beyond
from genreg.report.draw.lines import Chart, HeatMap, Line
from genreg.report.draw.svg import MARGIN
from genreg.report.output.numbers import labels

CSS = (Path(__file__).parents[1] / "page/page.css").read_text()
LIGHT = dict(re.findall(r"--([\w-]+): (#\w{6})", CSS.partition("@media")[0]))
DASHES = {int(k): [int(v) / 2 for v in dash.split()]
          for k, dash in re.findall(r"\.line\.c(\d) \{ stroke-dasharray: ([\d ]+);", CSS)}  # fmt: skip
"""Colors and dashes are those of the page."""
MARKERS = "o^sDvP<>"
SIGNS = dict(zip((*SHAPES, "open"), "^vDso", strict=True))
VERDICTS = {"better": "good", "worse": "bad"}
STYLE: Any = {
    "pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "genreg", "font.size": 8, "axes.titlesize": 8,
    "axes.labelsize": 8, "legend.fontsize": 7, "xtick.labelsize": 7, "ytick.labelsize": 7,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6, "lines.linewidth": 1.2,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6, "lines.markersize": 4,
}  # fmt: skip
"""Fonts are embedded whole (42, TrueType), or left to the viewer of an SVG; sizes are those of captions."""


@contextmanager
def style() -> Iterator[None]:
    """The settings of matplotlib in which a picture is drawn and written."""
    from matplotlib import rc_context

    with rc_context(STYLE):
        yield


def spoken(text: str) -> str:
    """`test accuracy (%)` for `test/accuracy %`."""
    words = text.replace("/", " ").replace("_", " ")
    return words.removesuffix(" %") + " (%)" * words.endswith(" %")


def draw_chart(chart: Chart, axes: Any) -> None:
    """Draw lines with their bands and a legend."""
    for line in chart.lines:
        _line(line, axes)
    axes.set_xscale("log" if chart.log_x else "linear")
    axes.set_yscale("log" if chart.log else "linear")
    if chart.within:
        axes.set_ylim(min(chart.within) - 3, max(chart.within) + 3)
    axes.set_xlabel(spoken(chart.x_label))
    axes.set_ylabel(spoken(chart.y_label))
    if len(chart.lines) > 1:
        names = [name.replace("_", " ") for name in labels([line.name for line in chart.lines], 40)]
        axes.legend(axes.lines, names, frameon=False, handlelength=2.4, ncols=1 + (len(names) > 5))


def _line(line: Line, axes: Any) -> None:
    color = LIGHT[f"c{line.color}"]
    few = len(line.x) < 2 or line.dots
    (drawn,) = axes.plot(line.x, line.y, color=color, marker=MARKERS[line.color] if few else "",
                         linestyle="none" if line.dots else "-")  # fmt: skip
    if line.color in DASHES and not line.dots:
        drawn.set_dashes(DASHES[line.color])
    if line.low:
        axes.fill_between(line.x, line.low, line.high, color=color, alpha=0.15, linewidth=0)


def draw_heat_map(heat: HeatMap, axes: Any) -> None:
    """Draw cells with their texts, as vectors."""
    import numpy as np

    shades = np.full((len(heat.y), len(heat.x)), np.nan)
    for (column, row), shade in heat.shades().items():
        shades[row, column] = 0.05 + 0.75 * shade
        dark = "white" if shade > 0.82 else "black"
        axes.text(column, row, heat.values[column, row][1], ha="center", va="center", color=dark, fontsize=7)
    edges = (np.arange(n + 1) - 0.5 for n in (len(heat.x), len(heat.y)))
    axes.pcolormesh(*edges, np.ma.masked_invalid(shades), cmap="Blues", vmin=0, vmax=1, edgecolors="white")
    axes.set_xticks(range(len(heat.x)), heat.x)
    axes.set_yticks(range(len(heat.y)), heat.y)
    axes.tick_params(length=0)
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    axes.set_xlabel(spoken(heat.x_label))
    axes.set_ylabel(spoken(heat.y_label))


def draw_forest(forest: Forest, axes: Any) -> None:
    """Draw a row for each effect, its number beside it; above those of each of several parts its name.

    No mean is beyond the scale: a print shows nothing where a pointer rests.
    """
    means = [abs(effect.mean) for effect in forest.effects if math.isfinite(effect.mean)]
    limit = max([(1 + 2 * MARGIN) * forest.reach, *(1.1 * mean for mean in means)])
    alike = len({group.of for group in forest.groups}) == 1
    row, names = 0, dict[int, str]()
    for group in forest.groups:
        if len(forest.groups) > 1:
            text = group.name if alike else spoken(f"{group.name}: {group.of}")
            _write(text, (0.01, row), ("figure fraction", "data"), axes, weight="bold").set_in_layout(False)
            row += 1
        for effect, name in zip(group.effects, labels([e.name for e in group.effects], 40), strict=True):
            names[row] = name.replace("_", " ")
            _write(effect.text, (1, row), ("axes fraction", "data"), axes, right=8, fontsize=6.5)
            if math.isfinite(effect.mean):
                _effect(effect, row, limit, axes)
            row += 1
    axes.axvline(0, color=LIGHT["quiet"], linewidth=0.6, zorder=0)
    axes.set_yticks(list(names), list(names.values()))
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(row - 0.4, -0.6)
    axes.set_xlim(-limit, limit)
    axes.xaxis.set_major_formatter(lambda value, _: f"{forest.way * value + 0:g}")
    axes.spines["left"].set_visible(False)
    of, points = forest.groups[0].of.removesuffix(" (right is larger)"), forest.unit.endswith(", points")
    unit = spoken(of.replace(" %", "")) + " (points)" * points if alike else forest.unit
    axes.set_xlabel(f"{unit}\n{forest.ends[0]}{' ' * 16}{forest.ends[1]}")


def _write(text: str, place: tuple[float, float], system: Any, axes: Any, right: int = 0, **how: Any) -> Any:
    """Write a text at a place, `right` points to the right of it."""
    return axes.annotate(text, place, (right, 0), xycoords=system, textcoords="offset points", va="center",
                         annotation_clip=False, **how)  # fmt: skip


def _effect(effect: Effect, row: float, limit: float, axes: Any) -> None:
    """The interval, the shape of the verdict, and an arrow on each side where it goes on."""
    word = effect.verdict.split()[0]
    color = LIGHT[VERDICTS.get(word, "quiet")]
    if math.isfinite(effect.low):
        low, high = (max(-limit, min(limit, v)) for v in (effect.low, effect.high))
        axes.plot([low, high], [row, row], color=color, linewidth=1.2)
    for side in beyond(effect, limit):
        axes.plot(side * limit, row, ">" if side > 0 else "<", color=color, markersize=3, clip_on=False)
    known = effect.verdict in SHAPES
    axes.plot(effect.mean, row, SIGNS[effect.verdict if known else "open"], color=color, markeredgewidth=0.9,
              markerfacecolor=color if known else "white")  # fmt: skip
