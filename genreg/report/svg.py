"""Charts as SVG whose colors are the page's, so that light and dark need no second picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 12, 40
COLORS = 8


@dataclass(frozen=True)
class Line:
    """Points of one color; `low` and `high` bound a band, or are empty."""

    color: int
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    thin: bool = False


class Axis:
    """Maps values to places between two ends, linearly or by logarithm."""

    def __init__(self, values: Sequence[float], start: float, end: float, log: bool = False) -> None:
        finite = [v for v in values if math.isfinite(v) and (v > 0 or not log)] or [1.0]
        self.log, self.start, self.end = log, start, end
        low, high = self._place(min(finite)), self._place(max(finite))
        margin = 0.04 * (high - low) or abs(high) * 0.05 or 0.5
        self.low, self.high = low - margin, high + margin

    def _place(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def __call__(self, value: float) -> float:
        value = self._place(value) if value > 0 or not self.log else self.low
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 2)

    def ticks(self) -> list[float]:
        """About five round values inside."""
        if self.log:
            decades = range(math.floor(self.low), math.ceil(self.high) + 1)
            steps = (1, 2, 5) if len(decades) <= 3 else (1,)
            found = [m * 10.0**d for d in decades for m in steps]
            found = [v for v in found if self.low <= math.log10(v) <= self.high]
            return found[:: max(1, len(found) // 6)]
        raw = (self.high - self.low) / 5
        unit = 10 ** math.floor(math.log10(raw))
        step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= raw)
        first = math.ceil(self.low / step)
        return [k * step for k in range(first, math.floor(self.high / step) + 1)]


def tag(name: str, inside: str | Markup = "", /, **attributes: object) -> Markup:
    """An element; text and attribute values are escaped (`class_` is class, `_` becomes `-`)."""
    given = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), value)
        for key, value in attributes.items()
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), given, inside)


def wide_range(values: Sequence[float]) -> bool:
    """Whether a logarithmic axis shows these values better."""
    finite = [v for v in values if math.isfinite(v)]
    return bool(finite) and min(finite) > 0 and max(finite) / min(finite) > 8


def chart(
    title: str,
    x_label: str,
    y_label: str,
    lines: Sequence[Line],
    mark_ends: bool = False,
    log_x: bool = False,
) -> Markup:
    """Lines with bands over x."""
    low_and_high = [v for line in lines for v in (*line.low, *line.high)]
    values = [v for line in lines for v in line.y]
    log_y = wide_range(values) and not mark_ends
    y = Axis(
        [*values, *([v for v in low_and_high if v > 0] if log_y else low_and_high)],
        HEIGHT - BOTTOM,
        TOP,
        log_y,
    )
    x = Axis([v for line in lines for v in line.x], LEFT, WIDTH - RIGHT, log_x)
    marks = [_band(line, x, y) for line in lines if len(line.low) > 1]
    marks += [_line(line, x, y) for line in lines]
    if mark_ends:
        marks += [
            tag("circle", cx=x(li.x[-1]), cy=y(li.y[-1]), r=3.5, class_=f"dot c{li.color}") for li in lines
        ]
    return _frame(title, [*_axes(x, y, x_label, y_label), *marks])


def heat_map(title: str, x_label: str, y_label: str, x: Sequence[str], y: Sequence[str],
             values: dict[tuple[int, int], tuple[float, str]]) -> Markup:  # fmt: skip
    """Cells (column, row) with a value and its text; darker is larger."""
    numbers = [value for value, _ in values.values()]
    low, spread = min(numbers), (max(numbers) - min(numbers)) or 1.0
    left, bottom = 70, 44
    width, height = (WIDTH - left - RIGHT) / len(x), (HEIGHT - TOP - bottom) / len(y)
    marks = []
    for (column, row), (value, text) in values.items():
        share = (value - low) / spread
        x0, y0 = left + column * width, TOP + row * height
        size = {"width": f"{width - 2:.1f}", "height": f"{height - 2:.1f}", "rx": "3"}
        opacity = f"{0.08 + 0.87 * share:.3f}"
        marks.append(
            tag("rect", x=f"{x0 + 1:.1f}", y=f"{y0 + 1:.1f}", **size, class_="heat", fill_opacity=opacity)
        )
        word = "on" if share > 0.55 else "off"
        marks.append(_text(text, x0 + width / 2, y0 + height / 2 + 4, "middle", word))
    marks += [_text(name, left + (k + 0.5) * width, HEIGHT - bottom + 16) for k, name in enumerate(x)]
    marks += [_text(name, left - 8, TOP + (k + 0.5) * height + 4, "end") for k, name in enumerate(y)]
    return _frame(title, [*marks, *_labels(x_label, y_label)])


def interval(low: float, mean: float, high: float, reach: float, word: str) -> Markup:
    """A paired difference on a line through zero, `reach` to each side; a picture of its cell's neighbors."""
    x = Axis([-reach, reach], 2, 138)
    inside = [
        tag("line", x1=x(0), x2=x(0), y1=1, y2=19, class_="zero"),
        tag("line", x1=x(max(low, -reach)), x2=x(min(high, reach)), y1=10, y2=10, class_=f"effect {word}"),
        tag("circle", cx=x(max(-reach, min(mean, reach))), cy=10, r=4, class_=f"effect {word}"),
    ]
    return tag("svg", Markup("").join(inside), viewBox="0 0 140 20", class_="interval", aria_hidden="true")


def _frame(title: str, inside: Sequence[Markup]) -> Markup:
    content = tag("title", title) + Markup("").join(inside)
    return tag("svg", content, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=title, class_="chart")


def _axes(x: Axis, y: Axis, x_label: str, y_label: str) -> list[Markup]:
    marks, bottom = [], HEIGHT - BOTTOM
    for value in y.ticks():
        marks.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y(value), y2=y(value), class_="grid"))
        marks.append(_text(f"{value:g}", LEFT - 7, y(value) + 4, "end"))
    for value in x.ticks():
        marks.append(tag("line", x1=x(value), x2=x(value), y1=bottom, y2=bottom + 4, class_="tick"))
        marks.append(_text(f"{value:g}", x(value), bottom + 17))
    return [*marks, *_labels(x_label, y_label)]


def _labels(x_label: str, y_label: str) -> list[Markup]:
    middle = (TOP + HEIGHT - BOTTOM) / 2
    turned = tag("text", y_label, x=12, y=middle, transform=f"rotate(-90 12 {middle})", text_anchor="middle",
                 class_="label")  # fmt: skip
    return [_text(x_label, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 5, class_="label"), turned]


def _text(text: str, x: float, y: float, anchor: str = "middle", class_: str = "") -> Markup:
    return tag("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor, class_=class_)


def _line(line: Line, x: Axis, y: Axis) -> Markup:
    points = " ".join(f"{x(a)},{y(b)}" for a, b in zip(line.x, line.y, strict=True) if math.isfinite(b))
    return tag("polyline", points=points, class_=f"{'thin ' if line.thin else ''}line c{line.color}")


def _band(line: Line, x: Axis, y: Axis) -> Markup:
    there, back = (
        [f"{x(a)},{y(b)}" for a, b in zip(line.x, edge, strict=True) if math.isfinite(b)]
        for edge in (line.low, line.high)
    )
    return tag("polygon", points=" ".join([*there, *reversed(back)]), class_=f"band c{line.color}")
