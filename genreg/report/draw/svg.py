"""Elements of SVG whose colors are the page's, so that light and dark need no second picture."""

from collections.abc import Iterable

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


def short(text: str, letters: int) -> str:
    """At most so many letters, what a picture has room for: arms often differ in how their names end."""
    if len(text) <= letters:
        return text
    end = letters // 2
    return text[: letters - end - 1] + "…" + text[-end:]


def frame(title: str, width: float, height: float, inside: Iterable[Markup], **attributes: object) -> Markup:
    """The whole picture; what it shows is said to those who do not see it."""
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
