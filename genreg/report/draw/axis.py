"""From values to places."""

import math
from collections.abc import Sequence

MARGIN = 0.04  # of what the values span


class Axis:
    """Maps values to places between two ends, linearly or by logarithm."""

    def __init__(self, values: Sequence[float], start: float, end: float, log: bool = False) -> None:
        finite = [v for v in values if math.isfinite(v) and (v > 0 or not log)] or [1.0]
        self.log, self.start, self.end = log, start, end
        low, high = self._place(min(finite)), self._place(max(finite))
        self.whole = all(v == round(v) for v in finite)
        margin = MARGIN * (high - low) or abs(high) * 0.05 or 0.5
        self.low, self.high = low - margin, high + margin

    def _place(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def __call__(self, value: float) -> float:
        value = self._place(value) if value > 0 or not self.log else self.low
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 2)

    def inside(self, value: float) -> float:
        """The place, no further out than the ends."""
        first, last = sorted((self.start, self.end))
        return min(last, max(first, self(value)))

    def ticks(self) -> list[float]:
        """About five round values inside; whole ones, where all values are."""
        if self.log:
            decades = range(math.floor(self.low), math.ceil(self.high) + 1)
            steps = (1, 2, 5) if len(decades) <= 3 else (1,)
            found = [m * 10.0**d for d in decades for m in steps]
            found = [v for v in found if self.low <= math.log10(v) <= self.high]
            return found[:: max(1, len(found) // 6)]
        raw = (self.high - self.low) / 5
        unit = 10 ** math.floor(math.log10(raw))
        step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= raw)
        step = max(step, 1) if self.whole else step
        first = math.ceil(self.low / step)
        return [k * step for k in range(first, math.floor(self.high / step) + 1)]

    def __str__(self) -> str:
        """What the page's script turns a place back into a value with."""
        return f"{self.start:g} {self.end:g} {self.low:.6g} {self.high:.6g} {int(self.log)}"


def wide_range(values: Sequence[float]) -> bool:
    """Whether a logarithmic axis shows these values better."""
    finite = [v for v in values if math.isfinite(v)]
    return bool(finite) and min(finite) > 0 and max(finite) / min(finite) > 8
