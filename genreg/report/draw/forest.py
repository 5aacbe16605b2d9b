"""Pictures of rows: a point and an interval for each."""

import math
import statistics as simple
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from genreg.report.draw.lines import mark
from genreg.report.draw.svg import MARGIN, Axis, frame, tag, write
from genreg.report.output.numbers import labels, shared, short

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
class DotRow:
    """A name with the values of keys that rows have in common; texts are shown where a pointer rests."""

    color: int
    name: str
    values: Mapping[int, float]
    texts: Mapping[int, str] = field(default_factory=dict)


def dots(title: str, x_label: str, rows: Sequence[DotRow]) -> Markup:
    """A dot for each value and a bar at the row's mean; a thread joins the dots of one key."""
    height = TOP + PITCH * len(rows) + BOTTOM
    x = Axis([v for row in rows for v in row.values.values()], LEFT, WIDTH - RIGHT)
    places = [TOP + PITCH * (k + 0.5) for k in range(len(rows))]
    marks = _row_scale(x, height - BOTTOM, x_label)
    for key in dict.fromkeys(key for row in rows for key in row.values):
        line = [f"{x(r.values[key])},{y:g}" for r, y in zip(rows, places, strict=True) if key in r.values]
        if len(line) > 1:
            marks.append(tag("polyline", points=" ".join(line), class_="pair"))
    names = labels([row.name for row in rows], LETTERS)
    for row, name, y in zip(rows, names, places, strict=True):
        marks.append(write(name, LEFT - 8, y + 4, "end", "label"))
        marks += [mark(row.color, x(v), y, row.texts.get(k, "")) for k, v in row.values.items()]
        mean = x(sum(row.values.values()) / len(row.values))
        marks.append(
            tag("line", x1=mean, x2=mean, y1=f"{y - 11:g}", y2=f"{y + 11:g}", class_=f"mean c{row.color}")
        )
    return frame(title, WIDTH, height, marks)


def _row_scale(x: Axis, bottom: float, label: str) -> list[Markup]:
    marks = []
    for value in x.ticks():
        marks.append(tag("line", x1=x(value), x2=x(value), y1=TOP, y2=bottom, class_="grid"))
        marks.append(write(f"{value:g}", x(value), bottom + 16))
    return [*marks, write(label, (x.start + x.end) / 2, bottom + 34, class_="label")]


SHAPES = {
    "better": "M0-5.5L5.5 4.5H-5.5Z", "worse": "M0 5.5L5.5-4.5H-5.5Z", "differs": "M0-6L6 0 0 6-6 0Z",
    "equivalent": "M-4.5-4.5H4.5V4.5H-4.5Z",
}  # fmt: skip
OPEN = "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0Z"
ARROW = {-1: "M-6 0L2-4.5V4.5Z", 1: "M6 0L-2-4.5V4.5Z"}


@dataclass(frozen=True)
class Effect:
    """A difference, larger is better; NaN where there is none. text: as it is written."""

    link: str
    name: str
    verdict: str
    mean: float
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class Group:
    """The effects of one part. of: what is compared with what, as `test/loss minus none`."""

    link: str
    name: str
    of: str
    effects: Sequence[Effect]

    def header(self) -> str:
        """The name, with what is compared, and what all arms share and their rows leave out."""
        return ", ".join([f"{self.name}: {self.of}", *shared([effect.name for effect in self.effects])])


@dataclass(frozen=True)
class Layout:
    """The places of things: both ends of the plot, the height of a row, and the letters that fit."""

    width: float
    start: float
    end: float
    pitch: float
    letters: int  # of a name
    stacked: bool  # names and numbers above the line, not beside it

    def row(self, top: float) -> tuple[float, float]:
        """The heights of the words of a row, and of its line."""
        return (top + 13, top + 26) if self.stacked else (top + 15, top + 11)


WIDE = Layout(920, 250, 640, 22, 30, False)
NARROW = Layout(380, 8, 372, 38, 21, True)
HEADER, FOOT = 26, 66
LETTER = 8.2  # the width of one in a header
TIP = 12  # from the end of the scale to a mark beyond it, behind the arrow


@dataclass(frozen=True)
class Forest:
    """A header for each group, a row for each effect; what leaves the scale ends in an arrow.

    unit: of the axis and of every text. typical: the size of the scale's shortest reach, in that unit. way:
    -1 where the axis counts down to the right, since smaller is better. ends: the words at both ends.
    """

    title: str
    groups: Sequence[Group]
    unit: str
    typical: float
    way: int = 1
    ends: tuple[str, str] = ("← worse", "better →")

    @property
    def effects(self) -> list[Effect]:
        return [effect for group in self.groups for effect in group.effects]

    @property
    def reach(self) -> float:
        """The reach of the scale to each side, such that a few effects far out do not flatten all others."""
        means = sorted(abs(e.mean) for e in self.effects if math.isfinite(e.mean))
        ends = [abs(v) for e in self.effects for v in (e.low, e.mean, e.high) if math.isfinite(v)]
        return min(max(ends), max(self.typical, 2 * simple.median(means))) if means else 1.0

    @property
    def leaving(self) -> bool:
        """True if something leaves the scale."""
        limit = (1 + 2 * MARGIN) * self.reach
        return any(beyond(effect, limit) for effect in self.effects)

    def svg(self, layout: Layout) -> Markup:
        x = Axis([-self.reach, self.reach], layout.start, layout.end)
        height = HEADER * len(self.groups) + layout.pitch * len(self.effects) + FOOT
        marks, top = self._scale(x, height - FOOT), 0.0
        for group, header in zip(self.groups, self._headers(int(layout.width / LETTER)), strict=True):
            words = write(header, 0, top + 18, "start", "label group")
            marks.append(tag("a", words, href=group.link))
            top += HEADER
            names = labels([effect.name for effect in group.effects], layout.letters)
            for effect, name in zip(group.effects, names, strict=True):
                marks.append(_row(effect, name, x, top, layout))
                top += layout.pitch
        marks += _key([e.verdict for e in self.effects], height - 8)
        return frame(self.title, layout.width, height, marks, role="group")

    def _headers(self, letters: int) -> list[str]:
        """What stands above each group: names alone where not all that is said of them has room."""
        whole = [group.header() for group in self.groups]
        room = all(len(words) <= letters for words in whole)
        return whole if room else [short(group.name, letters) for group in self.groups]

    def _scale(self, x: Axis, bottom: float) -> list[Markup]:
        marks = []
        for value in x.ticks():
            kind = "zero" if value == 0 else "grid"
            marks.append(tag("line", x1=x(value), x2=x(value), y1=HEADER, y2=bottom, class_=kind))
            marks.append(write(f"{self.way * value + 0:g}", x(value), bottom + 15))
        left, right = self.ends
        ends = (write(left, x.start, bottom + 32, "start"), write(right, x.end, bottom + 32, "end"))
        return [*marks, *ends, write(self.unit, (x.start + x.end) / 2, bottom + 32, class_="label")]


def _row(effect: Effect, name: str, x: Axis, top: float, layout: Layout) -> Markup:
    words, line = layout.row(top)
    place, anchor = (layout.width, "end") if layout.stacked else (layout.end + 20, "start")
    inside = [
        tag("title", f"{effect.name}: {effect.text}, {effect.verdict}"),
        tag("rect", x=0, y=top, width=layout.width, height=layout.pitch, class_="hit"),
        write(name, 0 if layout.stacked else 12, words, "start", "label"),
        write(effect.text, place, words, anchor),
        *(_drawn(effect, x, line) if math.isfinite(effect.mean) else ()),
    ]
    return tag("a", Markup("").join(inside), href=effect.link, class_="row")


def beyond(effect: Effect, limit: float) -> list[int]:
    """The sides, -1 and 1, on which an effect or its interval leaves a scale of so much to each side."""
    ends = [v for v in (effect.low, effect.mean, effect.high) if math.isfinite(v)]
    return [side for side in (-1, 1) if any(side * v > limit for v in ends)]


def _drawn(effect: Effect, x: Axis, y: float) -> list[Markup]:
    """The shape of the verdict first; its interval, and an arrow on each side where it goes on."""
    word = effect.verdict.split()[0]
    sides = beyond(effect, x.high)
    first, last = x.start + TIP * (-1 in sides), x.end - TIP * (1 in sides)
    kind = "" if effect.verdict in SHAPES else " open"
    place = f"translate({min(last, max(first, x(effect.mean))):g} {y:g})"
    shape = SHAPES.get(effect.verdict, OPEN)
    marks = [tag("path", d=shape, transform=place, class_=f"effect {word}{kind}")]
    if math.isfinite(effect.low):
        ends = {"x1": min(x.inside(effect.low), last), "x2": max(x.inside(effect.high), first)}
        marks.insert(0, tag("line", **ends, y1=y, y2=y, class_=f"effect {word}"))
    tips = (tag("path", d=ARROW[side], transform=f"translate({x.end if side > 0 else x.start:g} {y:g})",
                class_=f"effect {word} tip") for side in sides)  # fmt: skip
    return [*marks, *tips]


def _key(verdicts: Sequence[str], y: float) -> list[Markup]:
    """The meaning of each shape."""
    marks, at = [], 8.0
    for verdict in [v for v in SHAPES if v in verdicts] + ["undecided"] * any(
        v not in SHAPES for v in verdicts
    ):
        kind = verdict if verdict in SHAPES else f"{verdict} open"
        shape = SHAPES.get(verdict, OPEN)
        marks.append(tag("path", d=shape, transform=f"translate({at:g} {y - 4:g})", class_=f"effect {kind}"))
        marks.append(write(verdict, at + 10, y, "start"))
        at += 26 + 7 * len(verdict)
    return marks
