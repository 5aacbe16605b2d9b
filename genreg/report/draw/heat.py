"""Values over two others, as cells."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from genreg.report.draw.lines import HEIGHT, RIGHT, TOP, WIDTH, labels
from genreg.report.draw.svg import frame, tag, write

LEFT, BOTTOM = 70, 44

Cells = Mapping[tuple[int, int], tuple[float, str]]
"""The value of a (column, row), and its text."""


def heat_map(
    title: str, x_label: str, y_label: str, x: Sequence[str], y: Sequence[str], values: Cells
) -> Markup:
    """Cells with their texts; darker is larger."""
    width, height = (WIDTH - LEFT - RIGHT) / len(x), (HEIGHT - TOP - BOTTOM) / len(y)
    numbers = [value for value, _ in values.values()]
    low, spread = min(numbers), (max(numbers) - min(numbers)) or 1.0
    marks: list[Markup] = []
    for (column, row), (value, text) in values.items():
        place = (LEFT + column * width, TOP + row * height)
        marks += _cell(*place, width, height, (value - low) / spread, text)
    marks += [write(name, LEFT + (k + 0.5) * width, HEIGHT - BOTTOM + 16) for k, name in enumerate(x)]
    marks += [write(name, LEFT - 8, TOP + (k + 0.5) * height + 4, "end") for k, name in enumerate(y)]
    middle = ((LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2)
    return frame(title, WIDTH, HEIGHT, [*marks, *labels(x_label, y_label, *middle, HEIGHT - 5)])


def _cell(x: float, y: float, width: float, height: float, share: float, text: str) -> list[Markup]:
    size = {"width": f"{width - 2:.1f}", "height": f"{height - 2:.1f}", "rx": "3"}
    opacity = f"{0.08 + 0.87 * share:.3f}"
    word = "on" if share > 0.55 else "off"
    return [
        tag("rect", x=f"{x + 1:.1f}", y=f"{y + 1:.1f}", **size, class_="heat", fill_opacity=opacity),
        write(text, x + width / 2, y + height / 2 + 4, class_=word),
    ]
