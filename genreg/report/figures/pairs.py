"""Figures of differences: of each pair, and of the interval as seeds are added."""

import math
import statistics as simple
from collections.abc import Sequence

from markupsafe import Markup

from genreg.report.draw.forest import DotRow, dots
from genreg.report.draw.lines import Chart, Line
from genreg.report.draw.svg import Axis, tag
from genreg.report.figures.curves import SEEDS, Figure, some_of, unnamed
from genreg.report.judge import FEWEST
from genreg.report.judge.pairs import paired
from genreg.report.judge.result import ArmResult, PartResult, plotted_arms
from genreg.report.judge.statistics import LEVEL, level_at, student
from genreg.report.output.numbers import number, titled


def paired_dots(result: PartResult) -> Figure | None:
    """A row for each arm, a dot for each seed (of replicas: their mean)."""
    found = [(color, arm, of_seeds(arm)) for color, arm in plotted_arms(result)]
    found = [(color, arm, values) for color, arm, values in found if values]
    if len(found) < 2:
        return None
    base = next((values for _, arm, values in found if arm.arm.name == result.part.baseline), {})
    scale = result.metric.scale
    rows = [
        DotRow(color, arm.arm.name, {seed: v * scale for seed, v in values.items()},
            {seed: _words(result, arm.arm.name, seed, v, base) for seed, v in values.items()})
        for color, arm, values in found
    ]  # fmt: skip
    unit = result.part.unit
    what = "mean of its replicas" if result.replicas else "dot its mean" if result.part.fresh else "dot a run"
    caption = f"{result.part.metric} of each {unit}, each {what}; bars are means"
    caption += f", threads join the runs of one {unit}" + some_of(len(found), result)
    if lost := [f"{arm.arm.name} {arm.failed}" for _, arm, _ in found if arm.failed]:
        caption += f"; failed, not drawn: {', '.join(lost)}"
    return Figure(caption, dots(caption, titled(result.part.metric, result.metric), rows),
                  unnamed([(color, arm.arm.name) for color, arm, _ in found]))  # fmt: skip


def of_seeds(arm: ArmResult) -> dict[int, float]:
    """The value of each of the first seeds."""
    values: dict[int, list[float]] = {}
    for (seed, _), value in arm.values.items():
        values.setdefault(seed, []).append(value)
    return {seed: simple.fmean(values[seed]) for seed in sorted(values)[:SEEDS]}


def _words(result: PartResult, name: str, seed: int, value: float, base: dict[int, float]) -> str:
    text = f"{name}, {result.part.unit} {seed}: {number(value, result.metric)}"
    if name == result.part.baseline or seed not in base:
        return text
    return f"{text}, {number(value - base[seed], result.metric, '+')} against {result.part.baseline}"


FIRST = 3  # seeds: the interval of two says nothing
BANDS = 6


def against_seeds(result: PartResult) -> Figure | None:
    """Mean paired difference with its interval: at the looks of the plan, or after each seed."""
    base = result.find(result.part.baseline)
    arms = [(color, arm) for color, arm in plotted_arms(result) if base and arm is not base]
    lines = [line for color, arm in arms if base and (line := _line(result, color, arm, base, len(arms)))]
    if not lines:
        return None
    margin = result.rule.margin * result.metric.scale
    words = ", intervals of the level of each look" if result.rule.plan else " and 95 % interval"
    units = result.part.unit_plural
    caption = f"difference to {result.part.baseline} after so many {units}: mean"
    caption += (words if len(arms) <= BANDS else "") + some_of(len(lines), result, others=True)
    caption += "" if math.isnan(margin) else "; gray: not worth having"
    late = [v for line in lines for x, *ends in zip(line.x, line.low, line.high, strict=False)
            for v in ends if x >= FEWEST or x == line.x[-1]]  # fmt: skip
    within = [0.0, *late, *([] if math.isnan(margin) else [-margin, margin])]
    source = _chart(caption, units, titled("difference", result.metric), lines, within, margin)
    return Figure.of(source, unnamed([(line.color, line.name) for line in lines]))


def _chart(
    caption: str, units: str, label: str, lines: Sequence[Line], within: Sequence[float], margin: float
) -> Chart:
    def back(x: Axis, y: Axis) -> list[Markup]:
        ends = {"x1": x.start, "x2": x.end, "y1": y(0), "y2": y(0)}
        zero = tag("line", **ends, class_="zero")
        if math.isnan(margin):
            return [zero]
        size = {"width": round(x.end - x.start, 2), "height": round(y(-margin) - y(margin), 2)}
        return [tag("rect", x=x.start, y=y(margin), **size, class_="margin"), zero]

    return Chart(caption, units, label, lines, log_y=False, back=back, within=within)


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
