"""Which arms are drawn, each in the same color in every picture of its part."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from genreg.report.draw.lines import LETTERS
from genreg.report.result import ArmResult, PartResult

COLORS = 8
SEEDS = 50  # drawn of an arm


@dataclass(frozen=True)
class Figure:
    """A chart with what it shows; legend: color and name of each arm in it , in full."""

    caption: str
    image: Markup
    legend: Sequence[tuple[int, str]] = ()


def drawn(result: PartResult) -> list[tuple[int, ArmResult]]:
    """The baseline and the best other arms, as many as there are colors, in the table's order."""
    base = result.find(result.part.baseline)
    others = [arm for arm in result.arms if arm.arm.runs and arm is not base]
    best = [id(arm) for arm in sorted(others, key=lambda arm: _rank(result, arm))[: COLORS - 1]]
    first = [base] if base and base.arm.runs else []
    return list(enumerate([*first, *(arm for arm in others if id(arm) in best)], start=0 if first else 1))


def _rank(result: PartResult, arm: ArmResult) -> tuple[bool, int, float]:
    """The best first; a failure is the worst value there is. Where no way is better, as they stand."""
    sign = {"max": -1, "min": 1, None: 0}[result.metric.better]
    return math.isnan(arm.mean), arm.failed if sign else 0, sign * arm.mean if arm.values else 0


def some_of(shown: int, result: PartResult) -> str:
    """What a caption says where not all arms are drawn."""
    return f"; {shown} of {len(result.arms)} arms, the best" if shown < len(result.arms) else ""


def unnamed(found: Sequence[tuple[int, str]]) -> Sequence[tuple[int, str]]:
    """The legend of a chart that names its lines: all of them, if one name is too long to stand there."""
    return found if any(len(name) > LETTERS for _, name in found) else []
