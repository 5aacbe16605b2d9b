"""The forest of all effects, in units of each part's own spread."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from genreg.report.draw.forest import NARROW, WIDE, Effect, Group, forest
from genreg.report.judge.best import drawn
from genreg.report.judge.result import ArmResult, PartResult
from genreg.report.tell.columns import difference
from genreg.report.tell.numbers import titled

ROWS = 60  # beyond which only the best arms of each part are shown


@dataclass(frozen=True)
class Forest:
    """The same picture for wide and for narrow screens."""

    caption: str
    wide: Markup
    narrow: Markup


def effects(results: Sequence[PartResult]) -> Forest | None:
    """None where nothing is compared."""
    most = max(1, ROWS // max(1, len(results)))
    many = sum(len(result.arms) for result in results) > ROWS
    found = [(n, r, _arms(r, most if many else None)) for n, r in enumerate(results)]
    groups = [_group(n, result, arms) for n, result, arms in found if arms]
    if not groups:
        return None
    caption = (
        "Each arm minus its baseline, in standard deviations of one run of its part (pooled over its arms), "
        "with its interval; right is better. An arrow: beyond the scale."
    )
    left = sum(bool(a.comparison) for r in results for a in r.arms) - sum(len(g.effects) for g in groups)
    caption += f" {left} more arms are in the tables below." if left else ""
    title = "All effects. " + caption
    return Forest(caption, forest(title, groups, WIDE), forest(title, groups, NARROW))


def _arms(result: PartResult, most: int | None) -> list[tuple[int, ArmResult]]:
    """The compared arms with their place in the table; of many, the best."""
    best = [id(arm) for _, arm in drawn(result)]
    found = [(k, arm) for k, arm in enumerate(result.arms) if arm.comparison]
    return found if most is None else [(k, arm) for k, arm in found if id(arm) in best][:most]


def _group(number: int, result: PartResult, arms: Sequence[tuple[int, ArmResult]]) -> Group:
    name = f"{result.part.name}: {titled(result.part.metric, result.metric)} minus {result.part.baseline}"
    name += "" if result.metric.better else " (right is larger)"
    unit = pooled(result)
    return Group(
        f"#part-{number}", name, [_effect(f"#arm-{number}-{k}", result, arm, unit) for k, arm in arms]
    )


def pooled(result: PartResult) -> float:
    """The standard deviation of one run, over seeds, pooled over the arms; NaN where there is none."""
    both = [(len(arm.values) - 1, arm.sd) for arm in result.arms if math.isfinite(arm.sd) and not arm.apart]
    freedom = sum(n for n, _ in both)
    found = math.sqrt(sum(n * sd**2 for n, sd in both) / freedom) if freedom else math.nan
    return found or math.nan


def _effect(link: str, result: PartResult, arm: ArmResult, unit: float) -> Effect:
    found, way = arm.comparison, -1 if result.metric.better == "min" else 1
    assert found
    mean, *ends = (way * v / unit for v in (found.mean, found.low, found.high))
    low, high = sorted(ends) if all(map(math.isfinite, ends)) else (math.nan, math.nan)
    return Effect(link, arm.arm.name, arm.verdict, mean, low, high, difference(found, result.metric))
