"""The effect after each number of seeds: whether more of them would have told another story."""

import math
from collections.abc import Sequence

from markupsafe import Markup

from genreg.report.draw.axis import Axis
from genreg.report.draw.lines import Line, chart
from genreg.report.draw.svg import tag
from genreg.report.figures.arms import Figure, some_of, unnamed
from genreg.report.judge import FEWEST
from genreg.report.judge.best import drawn
from genreg.report.judge.pairs import paired
from genreg.report.judge.result import ArmResult, PartResult
from genreg.report.judge.sequential import level_at
from genreg.report.judge.statistics import LEVEL, student
from genreg.report.tell.numbers import titled

FIRST = 3  # seeds: the interval of two says nothing
BANDS = 6


def against_seeds(result: PartResult) -> Figure | None:
    """Mean paired difference with its interval: at the looks of the plan, or after each seed."""
    base = result.find(result.part.baseline)
    arms = [(color, arm) for color, arm in drawn(result) if base and arm is not base]
    lines = [line for color, arm in arms if base and (line := _line(result, color, arm, base, len(arms)))]
    if not lines:
        return None
    margin = result.rule.margin * result.metric.scale
    words = ", intervals of the level of each look" if result.rule.plan else " and 95 % interval"
    caption = f"difference to {result.part.baseline} after so many seeds: mean"
    caption += (words if len(arms) <= BANDS else "") + some_of(len(lines) + 1, result)
    caption += "" if math.isnan(margin) else "; gray: not worth having"
    late = [v for line in lines for x, *ends in zip(line.x, line.low, line.high, strict=False)
            for v in ends if x >= FEWEST or x == line.x[-1]]  # fmt: skip
    within = [0.0, *late, *([] if math.isnan(margin) else [-margin, margin])]
    return Figure(caption, _chart(caption, titled("difference", result.metric), lines, within, margin),
                  unnamed([(line.color, line.name) for line in lines]))  # fmt: skip


def _chart(caption: str, label: str, lines: Sequence[Line], within: Sequence[float], margin: float) -> Markup:
    def back(x: Axis, y: Axis) -> list[Markup]:
        ends = {"x1": x.start, "x2": x.end, "y1": y(0), "y2": y(0)}
        zero = tag("line", **ends, class_="zero")
        if math.isnan(margin):
            return [zero]
        size = {"width": round(x.end - x.start, 2), "height": round(y(-margin) - y(margin), 2)}
        return [tag("rect", x=x.start, y=y(margin), **size, class_="margin"), zero]

    return chart(caption, "seeds", label, lines, log_y=False, back=back, within=within)


def _line(result: PartResult, color: int, arm: ArmResult, base: ArmResult, many: int) -> Line | None:
    rule, scale = result.rule, result.metric.scale
    both = [k for k in paired(arm.outcomes, base.outcomes) if k in arm.values and k in base.values]
    if not all(math.isfinite(arm.values[k]) and math.isfinite(base.values[k]) for k in both):
        return None
    seeds = rule.seeds or tuple(sorted({seed for seed, _ in both}))
    order = {seed: place for place, seed in enumerate(seeds, start=1)}
    points = []
    for n in rule.looks(arm.outcomes, base.outcomes) if rule.plan else range(FIRST, len(seeds) + 1):
        found = [arm.values[k] - base.values[k] for k in both if order.get(k[0], math.inf) <= n]
        if len(found) >= FIRST:
            points.append((n, *student(found, level_at(n, rule.plan, LEVEL) if rule.plan else LEVEL)))
    if len(points) < 2:
        return None
    mean, low, high = ([scale * point[k] for point in points] for k in (1, 2, 3))
    band = (low, high) if many <= BANDS else ([], [])
    return Line(color, [n for n, *_ in points], mean, *band, name=arm.arm.name)
