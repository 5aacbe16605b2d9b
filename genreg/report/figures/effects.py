"""The forest of all effects: each arm minus its baseline, of all parts in one picture."""

import math
import statistics as simple
from collections.abc import Sequence
from dataclasses import replace

from genreg.report.draw.forest import Effect, Forest, Group
from genreg.report.draw.lines import HeatMap
from genreg.report.figures.grids import grids
from genreg.report.judge.pairs import DECIDED, is_judged
from genreg.report.judge.result import ArmResult, PartResult, plotted_arms
from genreg.report.output.columns import difference
from genreg.report.output.numbers import titled

ROWS = 60  # beyond which arms without a decision are shown only if they are the best of their part
REACH = 4.0  # standard deviations that the scale has to each side, at least

Numbered = Sequence[tuple[int, ArmResult]]
"""Arms with their places in the table."""


def effects(results: Sequence[PartResult]) -> Forest | None:
    """All effects that are decided, and others as far as there is room; None where nothing is compared.

    In the unit of the metric, if all parts report the same one; else in standard deviations of one run.
    """
    found = {n: arms for n, result in enumerate(results) if (arms := _arms(result, results))}
    if not found:
        return None
    own = len({(results[n].part.metric, results[n].metric) for n in found}) == 1
    metric, metric_key = results[min(found)].metric, results[min(found)].part.metric
    spread = [metric.scale * sd for n in found if math.isfinite(sd := pooled(results[n]))]
    typical = REACH * (simple.median(spread) if own and spread else 1.0)
    unit = metric_key + (", points" if metric.percent else "") if own else "standard deviations"
    ways = {results[n].metric.better for n in found}
    forest = Forest(
        "", [_group(n, results[n], arms, own) for n, arms in found.items()], unit, typical,
        -1 if own and metric.better == "min" else 1,
        ("← smaller", "larger →") if ways == {None} else ("← worse", "better →"),
    )  # fmt: skip
    return replace(forest, title=_caption(results, forest, own))


def _caption(results: Sequence[PartResult], forest: Forest, own: bool) -> str:
    one = "one run (or study)" if any(result.part.fresh for result in results) else "one run"
    unit = f"in {'points of ' * (', points' in forest.unit)}{forest.unit.removesuffix(', points')}"
    unit = unit if own else f"in standard deviations of {one} of its part (pooled over its arms)"
    words = f"Each arm minus its baseline, {unit}, with its interval; {forest.ends[1][:-2]} is to the right."
    words += " An arrow: it goes on beyond the scale." * forest.leaving
    left = sum(bool(a.comparison) for r in results for a in r.arms) - len(forest.effects)
    return words + (f" {left} more, all of them undecided, are in the tables below." if left else "")


def _arms(result: PartResult, results: Sequence[PartResult]) -> Numbered:
    """The compared arms: all, or those that are decided and the best others.

    None of a grid in which nothing is tested: its heat map says what there is to say.
    """
    found = [(k, arm) for k, arm in enumerate(result.arms) if arm.comparison]
    if not any(is_judged(arm.comparison) for _, arm in found) and _has_map(result):
        return []
    if sum(bool(arm.comparison) for one in results for arm in one.arms) <= ROWS:
        return found
    decided = [arm for _, arm in found if arm.verdict in DECIDED]
    best = [arm for _, arm in plotted_arms(result) if arm.comparison and arm not in decided]
    shown = [id(arm) for arm in (*decided, *best[: max(0, ROWS // len(results) - len(decided))])]
    return [(k, arm) for k, arm in found if id(arm) in shown]


def _has_map(result: PartResult) -> bool:
    return any(isinstance(figure.source, HeatMap) for figure in grids(result))


def _group(number: int, result: PartResult, arms: Numbered, own: bool) -> Group:
    of = f"{titled(result.part.metric, result.metric)} minus {result.part.baseline}"
    of += "" if result.metric.better else " (right is larger)"
    found = [_effect(f"#arm-{number}-{k}", result, arm, own) for k, arm in arms]
    return Group(f"#part-{number}", result.part.name, of, found)


def pooled(result: PartResult) -> float:
    """The standard deviation of one run, over seeds, pooled over the arms; NaN where there is none."""
    both = [(len(arm.values) - 1, arm.sd) for arm in result.arms if math.isfinite(arm.sd) and not arm.apart]
    freedom = sum(n for n, _ in both)
    found = math.sqrt(sum(n * sd**2 for n, sd in both) / freedom) if freedom else math.nan
    return found or math.nan


def _effect(link: str, result: PartResult, arm: ArmResult, own: bool) -> Effect:
    """The effect, in the metric's own unit or in standard deviations, turned so that larger is better."""
    found, way = arm.comparison, -1 if result.metric.better == "min" else 1
    assert found
    unit = way / result.metric.scale if own else way * pooled(result)
    mean, *ends = (v / unit for v in (found.mean, found.low, found.high))
    low, high = sorted(ends) if all(map(math.isfinite, ends)) else (math.nan, math.nan)
    text = f"{mean:+.2f}" + (f" [{low:+.2f}, {high:+.2f}]" if math.isfinite(low) else "")
    own_text = difference(found, result.metric)
    return Effect(link, arm.arm.name, arm.verdict, mean, low, high,
                  own_text if own or math.isnan(mean) else text)  # fmt: skip
