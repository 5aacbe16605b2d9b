"""Pieces of an SVG picture, and axes with round ticks."""

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup

LETTER = 7.2  # width of a letter of 13 pixels, about


def tag(name: str, inside: str | Markup = "", /, **attributes: object) -> Markup:
    """An element; text and attribute values are escaped (`class_` is class, `_` becomes `-`)."""
    given = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), value)
        for key, value in attributes.items()
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), given, inside)


def write(text: str, x: float, y: float, anchor: str = "middle", class_: str = "") -> Markup:
    """A line of text."""
    kind = {"class_": class_} if class_ else {}
    return tag("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor, **kind)


def frame(title: str, width: float, height: float, inside: Iterable[Markup], **attributes: object) -> Markup:
    """The picture of these marks; what it shows is said to those who do not see it."""
    content = tag("title", title) + Markup("").join(inside)
    given = {"role": "img", "aria_label": title, "class_": "chart"} | attributes
    return tag("svg", content, viewBox=f"0 0 {width:g} {height:g}", **given)


def apart(places: list[float], gap: float, end: float) -> list[float]:
    """The same places in growing order, moved until each is `gap` from the next and none is beyond `end`."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else place)
    for k in reversed(range(len(moved))):
        moved[k] = min(moved[k], end)
        end = moved[k] - gap
    return moved


MARGIN = 0.04  # of what the values span


class Axis:
    """Maps values to places between two ends, linearly or by logarithm."""

    def __init__(self, values: Sequence[float], start: float, end: float, log: bool = False) -> None:
        finite = [v for v in values if math.isfinite(v) and (v > 0 or not log)] or [1.0]
        self.log, self.start, self.end = log, start, end
        low, high = self._place(min(finite)), self._place(max(finite))
        self.whole = all(v == round(v) for v in finite)
        margin = MARGIN * (high - low) or abs(high) * 0.05 or 0.5
        self.low, self.high = low - margin, high + margin

    def _place(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def __call__(self, value: float) -> float:
        value = self._place(value) if value > 0 or not self.log else self.low
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 2)

    def inside(self, value: float) -> float:
        """The place, no further out than the ends."""
        first, last = sorted((self.start, self.end))
        return min(last, max(first, self(value)))

    def ticks(self) -> list[float]:
        """About five round values inside; whole ones, where all values are."""
        if self.log:
            decades = range(math.floor(self.low), math.ceil(self.high) + 1)
            steps = (1, 2, 5) if len(decades) <= 3 else (1,)
            found = [m * 10.0**d for d in decades for m in steps]
            found = [v for v in found if self.low <= math.log10(v) <= self.high]
            return found[:: max(1, len(found) // 6)]
        raw = (self.high - self.low) / 5
        unit = 10 ** math.floor(math.log10(raw))
        step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= raw)
        step = max(step, 1) if self.whole else step
        first = math.ceil(self.low / step)
        return [k * step for k in range(first, math.floor(self.high / step) + 1)]

    def __str__(self) -> str:
        """The numbers with which the page's script turns a place back into a value."""
        return f"{self.start:g} {self.end:g} {self.low:.6g} {self.high:.6g} {int(self.log)}"


def wide_range(values: Sequence[float]) -> bool:
    """True if a logarithmic axis shows these values better."""
    finite = [v for v in values if math.isfinite(v)]
    return bool(finite) and min(finite) > 0 and max(finite) / min(finite) > 8
