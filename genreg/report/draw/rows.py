"""Values on rows, one below the other: an interval, dots of pairs, a forest of effects."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from genreg.report.draw.axis import Axis
from genreg.report.draw.lines import mark
from genreg.report.draw.svg import frame, short, tag, write

WIDTH, LEFT, RIGHT, TOP, PITCH, BOTTOM = 460, 124, 26, 8, 34, 40
LETTERS = 14  # of a row's name


def interval(
    low: float, mean: float, high: float, reach: float, word: str, margin: float = math.nan
) -> Markup:
    """A paired difference on a line through zero, `reach` to each side; a picture of its cell's neighbors."""
    x = Axis([-reach, reach], 2, 138)
    inside = []
    if not math.isnan(margin):
        first, last = x.inside(-margin), x.inside(margin)
        inside.append(tag("rect", x=first, width=round(last - first, 2), y=1, height=18, class_="margin"))
    inside += [
        tag("line", x1=x(0), x2=x(0), y1=1, y2=19, class_="zero"),
        tag("line", x1=x(max(low, -reach)), x2=x(min(high, reach)), y1=10, y2=10, class_=f"effect {word}"),
        tag("circle", cx=x(max(-reach, min(mean, reach))), cy=10, r=4, class_=f"effect {word}"),
    ]
    return tag("svg", Markup("").join(inside), viewBox="0 0 140 20", class_="interval", aria_hidden="true")


@dataclass(frozen=True)
class Row:
    """A name with the values of keys that rows have in common; texts are shown where a pointer rests."""

    color: int
    name: str
    values: Mapping[int, float]
    texts: Mapping[int, str] = field(default_factory=dict)


def dots(title: str, x_label: str, rows: Sequence[Row]) -> Markup:
    """A dot for each value and a bar at the row's mean; a thread joins the dots of one key."""
    height = TOP + PITCH * len(rows) + BOTTOM
    x = Axis([v for row in rows for v in row.values.values()], LEFT, WIDTH - RIGHT)
    places = [TOP + PITCH * (k + 0.5) for k in range(len(rows))]
    marks = _scale(x, height - BOTTOM, x_label)
    for key in dict.fromkeys(key for row in rows for key in row.values):
        line = [f"{x(r.values[key])},{y:g}" for r, y in zip(rows, places, strict=True) if key in r.values]
        if len(line) > 1:
            marks.append(tag("polyline", points=" ".join(line), class_="pair"))
    for row, y in zip(rows, places, strict=True):
        marks.append(write(short(row.name, LETTERS), LEFT - 8, y + 4, "end", "label"))
        marks += [mark(row.color, x(v), y, row.texts.get(k, "")) for k, v in row.values.items()]
        mean = x(sum(row.values.values()) / len(row.values))
        marks.append(
            tag("line", x1=mean, x2=mean, y1=f"{y - 11:g}", y2=f"{y + 11:g}", class_=f"mean c{row.color}")
        )
    return frame(title, WIDTH, height, marks)


def _scale(x: Axis, bottom: float, label: str) -> list[Markup]:
    marks = []
    for value in x.ticks():
        marks.append(tag("line", x1=x(value), x2=x(value), y1=TOP, y2=bottom, class_="grid"))
        marks.append(write(f"{value:g}", x(value), bottom + 16))
    return [*marks, write(label, (x.start + x.end) / 2, bottom + 34, class_="label")]
