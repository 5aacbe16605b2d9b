"""Pictures of lines with bands, and of values on a grid."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup

from genreg.report.draw.svg import LETTER, Axis, apart, frame, tag, wide_range, write
from genreg.report.output.numbers import labels

WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 12, 40
LETTERS = 14  # of a name at the end of a line

MARKERS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z", "M0-5L5 4H-5Z", "M-4-4H4V4H-4Z", "M0-5.5L5.5 0 0 5.5-5.5 0Z",
    "M0 5L5-4H-5Z", "M-1.5-5h3v3.5h3.5v3h-3.5v3.5h-3v-3.5h-3.5v-3h3.5Z", "M-5 0L4-5V5Z", "M5 0L-4-5V5Z",
)  # fmt: skip
"""A shape for each color."""

Back = Callable[[Axis, Axis], Sequence[Markup]]
"""Draws what lies below the lines, given both axes."""


@dataclass(frozen=True)
class Line:
    """Points of one color; `low` and `high` bound a band, or are empty. dots: points alone, no line."""

    color: int
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    name: str = ""
    thin: bool = False
    dots: bool = False


@dataclass(frozen=True)
class Chart:
    """Lines over x.

    log_y: None is where their values ask for it. within: values that y shows besides the lines; None is
    their bands, which are otherwise cut. rings: color and point of each. back: what lies below the lines.
    """

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    mark_ends: bool = False
    log_x: bool = False
    log_y: bool | None = None
    back: Back | None = None
    within: Sequence[float] | None = None
    rings: Sequence[tuple[int, float, float]] = ()

    @property
    def log(self) -> bool:
        """True if y is logarithmic."""
        return wide_range([v for line in self.lines for v in line.y]) if self.log_y is None else self.log_y

    def axes(self, right: float) -> tuple[Axis, Axis]:
        """Both axes, with so much room for names behind the lines."""
        ends = [v for line in self.lines for v in (*line.low, *line.high)]
        ends = [v for v in (ends if self.within is None else self.within) if v > 0 or not self.log]
        y = Axis([*(v for line in self.lines for v in line.y), *ends], HEIGHT - BOTTOM, TOP, self.log)
        left = max(LEFT, 26 + LETTER * max(len(f"{value:g}") for value in y.ticks()))
        return Axis([v for line in self.lines for v in line.x], left, WIDTH - right, self.log_x), y

    def svg(self) -> Markup:
        named = [line for line in self.lines if line.name and not line.dots]
        texts = labels([line.name for line in named], LETTERS)
        x, y = self.axes(max([RIGHT, *(12 + LETTER * len(text) for text in texts)]))
        marks = [*axes(x, y, self.x_label, self.y_label), *(self.back(x, y) if self.back else ())]
        marks += [band for line in self.lines for band in _bands(line, x, y)]
        marks += [mark for line in self.lines for mark in _marks(line, x, y)]
        if self.mark_ends:
            marks += [mark(line.color, x(line.x[-1]), y(line.y[-1])) for line in self.lines]
        marks += [tag("circle", cx=x(a), cy=y(b), r=7, class_=f"ring c{color}") for color, a, b in self.rings]
        marks += _names(named, texts, x, y)
        return frame(self.title, WIDTH, HEIGHT, marks, data_x=x, data_y=y)


def axes(x: Axis, y: Axis, x_label: str, y_label: str) -> list[Markup]:
    """Grid, ticks and labels."""
    marks, left, right, bottom = list[Markup](), x.start, x.end, y.start
    for value in y.ticks():
        marks.append(tag("line", x1=left, x2=right, y1=y(value), y2=y(value), class_="grid"))
        marks.append(write(f"{value:g}", left - 7, y(value) + 4, "end"))
    for value in x.ticks():
        marks.append(tag("line", x1=x(value), x2=x(value), y1=bottom, y2=bottom + 4, class_="tick"))
        marks.append(write(f"{value:g}", x(value), bottom + 17))
    return [*marks, *titles(x_label, y_label, (left + right) / 2, (TOP + bottom) / 2, bottom + 35)]


def titles(x_label: str, y_label: str, x: float, y: float, bottom: float) -> list[Markup]:
    turned = tag("text", y_label, x=12, y=y, transform=f"rotate(-90 12 {y:g})", text_anchor="middle",
                 class_="label")  # fmt: skip
    return [write(x_label, x, bottom, class_="label"), turned]


def mark(color: int, x: float, y: float, title: str = "") -> Markup:
    """A point, in the shape of its color; its title is shown where a pointer rests on it."""
    inside = tag("title", title) if title else ""
    return tag("path", inside, d=MARKERS[color], transform=f"translate({x:g} {y:g})", class_=f"dot c{color}")


def chip(color: int) -> Markup:
    """The picture of a line in a legend."""
    line = tag("line", x1=0, x2=30, y1=6, y2=6, class_=f"line c{color}")
    return tag("svg", line + mark(color, 15, 6), viewBox="0 0 30 12", class_="chip", aria_hidden="true")


def _marks(line: Line, x: Axis, y: Axis) -> list[Markup]:
    points = [(a, b) for a, b in zip(line.x, line.y, strict=True) if math.isfinite(b)]
    if line.dots:
        return [mark(line.color, x(a), y(b), f"{line.name}: {b:.4g} at {a:.4g}") for a, b in points]
    if len(points) == 1:  # a line of one point is none
        return [mark(line.color, x(a), y(b), f"{line.name}: {b:.4g} at {a:.4g}") for a, b in points]
    words = {"data_name": line.name} if line.name else {}
    kind = "thin line" if line.thin else "line"
    places = " ".join(f"{x(a)},{y(b)}" for a, b in points)
    return [tag("polyline", points=places, class_=f"{kind} c{line.color}", **words)]


def unbroken(line: Line) -> list[list[int]]:
    """The numbers of points that follow one another with a band: none is drawn where a spread is unknown."""
    known = [
        k for k, ends in enumerate(zip(line.low, line.high, strict=True)) if all(map(math.isfinite, ends))
    ]
    return [[k for _, k in run] for _, run in groupby(enumerate(known), lambda pair: pair[1] - pair[0])]


def _bands(line: Line, x: Axis, y: Axis) -> list[Markup]:
    """The band in as many pieces as it has; of a point between two without one a bar."""
    found = []
    for piece in unbroken(line):
        there, back = (
            [f"{x(line.x[k])},{y.inside(edge[k])}" for k in piece] for edge in (line.low, line.high)
        )
        kind = {"points": " ".join([*there, *reversed(back)]), "class_": f"band c{line.color}"}
        bar = {"points": " ".join([*there, *back]), "class_": f"thread bar c{line.color}"}
        found.append(tag("polygon", **kind) if len(piece) > 1 else tag("polyline", **bar))
    return found


def _names(lines: Sequence[Line], texts: Sequence[str], x: Axis, y: Axis) -> list[Markup]:
    """Names at the ends of their lines, moved where two would meet; a thread leads to those moved."""
    found = sorted((y.inside(_last(line)), k) for k, line in enumerate(lines))
    marks, right = [], x.end
    for (place, k), moved in zip(found, apart([p for p, _ in found], 14, y.start), strict=True):
        line, text = lines[k], texts[k]
        if abs(moved - place) > 3:
            marks.append(
                tag("line", x1=right, x2=right + 6, y1=place, y2=moved, class_=f"thread c{line.color}")
            )
        marks.append(write(text, right + 8, moved + 4, "start", f"name c{line.color}"))
    return marks


def _last(line: Line) -> float:
    return next((b for b in reversed(line.y) if math.isfinite(b)), 0.0)


SIDE, FOOT = 70, 44  # of a heat map, whose names need more room

Cells = Mapping[tuple[int, int], tuple[float, str]]
"""The value of a (column, row), and its text."""


@dataclass(frozen=True)
class HeatMap:
    """Cells with their texts; darker is larger. x, y: the names of columns and rows."""

    title: str
    x_label: str
    y_label: str
    x: Sequence[str]
    y: Sequence[str]
    values: Cells

    def shades(self) -> dict[tuple[int, int], float]:
        """The share of the way from the smallest value to the largest, of each (column, row)."""
        numbers = [value for value, _ in self.values.values()]
        low, spread = min(numbers), (max(numbers) - min(numbers)) or 1.0
        return {place: (value - low) / spread for place, (value, _) in self.values.items()}

    def svg(self) -> Markup:
        width, height = (WIDTH - SIDE - RIGHT) / len(self.x), (HEIGHT - TOP - FOOT) / len(self.y)
        marks: list[Markup] = []
        for (column, row), shade in self.shades().items():
            place = (SIDE + column * width, TOP + row * height)
            marks += _cell(*place, width, height, shade, self.values[column, row][1])
        marks += [write(name, SIDE + (k + 0.5) * width, HEIGHT - FOOT + 16) for k, name in enumerate(self.x)]
        marks += [write(name, SIDE - 8, TOP + (k + 0.5) * height + 4, "end") for k, name in enumerate(self.y)]
        middle = ((SIDE + WIDTH - RIGHT) / 2, (TOP + HEIGHT - FOOT) / 2)
        return frame(
            self.title, WIDTH, HEIGHT, [*marks, *titles(self.x_label, self.y_label, *middle, HEIGHT - 5)]
        )


def _cell(x: float, y: float, width: float, height: float, share: float, text: str) -> list[Markup]:
    size = {"width": f"{width - 2:.1f}", "height": f"{height - 2:.1f}", "rx": "3"}
    opacity = f"{0.08 + 0.87 * share:.3f}"
    word = "on" if share > 0.55 else "off"
    return [
        tag("rect", x=f"{x + 1:.1f}", y=f"{y + 1:.1f}", **size, class_="heat", fill_opacity=opacity),
        write(text, x + width / 2, y + height / 2 + 4, class_=word),
    ]
