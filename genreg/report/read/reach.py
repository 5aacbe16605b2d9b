"""When a run first passed a value."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Reach:
    """First evaluation at which a metric passed a value; infinite where the run ended before it did."""

    steps: float
    seconds: float


def first_reach(
    steps: Sequence[int], values: Sequence[float], seconds: Sequence[float], threshold: float, mode: str
) -> Reach:
    """The first of the evaluations at or beyond `threshold` (`max`: from below, `min`: from above)."""
    sign = 1 if mode == "max" else -1
    for step, value, second in zip(steps, values, seconds, strict=True):
        if sign * value >= sign * threshold:
            return Reach(step, second)
    return Reach(math.inf, math.inf)
