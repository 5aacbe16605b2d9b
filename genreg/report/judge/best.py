"""Chooses the arms of a part that are drawn, each in the same color everywhere."""

import math

from genreg.report.judge.result import ArmResult, PartResult

COLORS = 8


def drawn(result: PartResult) -> list[tuple[int, ArmResult]]:
    """The baseline and the best other arms, as many as there are colors, in the table's order."""
    base = result.find(result.part.baseline)
    others = [arm for arm in result.arms if arm.arm.runs and arm is not base]
    best = [id(arm) for arm in sorted(others, key=lambda arm: _rank(result, arm))[: COLORS - 1]]
    first = [base] if base and base.arm.runs else []
    return list(enumerate([*first, *(arm for arm in others if id(arm) in best)], start=0 if first else 1))


def _rank(result: PartResult, arm: ArmResult) -> tuple[bool, bool, int, float]:
    """The best first; a failure is the worst value there is. Where no way is better, as they stand.

    Arms of other data than the baseline's come last: their values say nothing beside its own.
    """
    sign = {"max": -1, "min": 1, None: 0}[result.metric.better]
    return arm.apart, math.isnan(arm.mean), arm.failed if sign else 0, sign * arm.mean if arm.values else 0
