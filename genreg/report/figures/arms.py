"""Which arms are drawn, and what a picture of them is."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from genreg.report.draw.lines import LETTERS
from genreg.report.judge.result import PartResult

SEEDS = 50  # drawn of an arm


@dataclass(frozen=True)
class Figure:
    """A chart with what it shows; legend: color and name of each arm in it, in full."""

    caption: str
    image: Markup
    legend: Sequence[tuple[int, str]] = ()


def some_of(shown: int, result: PartResult) -> str:
    """What a caption says where not all arms are drawn."""
    return f"; {shown} of {len(result.arms)} arms, the best" if shown < len(result.arms) else ""


def unnamed(found: Sequence[tuple[int, str]]) -> Sequence[tuple[int, str]]:
    """The legend of a chart that names its lines: all of them, if one name is too long to stand there."""
    return found if any(len(name) > LETTERS for _, name in found) else []
