"""How a metric's numbers are written."""

import math
from typing import Any

from genreg.run.metric import Metric

PLAIN = Metric("")


def titled(title: str, metric: Metric) -> str:
    """The title of a column or an axis that shows the metric."""
    return title + (" %" if metric.percent else "")


def number(value: float, metric: Metric = PLAIN, sign: str = "") -> str:
    """A share in percent with two decimals, else four significant digits; nothing for NaN."""
    if math.isnan(value):
        return ""
    return f"{value * metric.scale:{sign}.2f}" if metric.percent else f"{value:{sign}.4g}"


def finite(value: Any) -> Any:
    """The same without NaN and infinity, which JSON has not: both become null."""
    if isinstance(value, dict):
        return {key: finite(node) for key, node in value.items()}
    if isinstance(value, list):
        return [finite(node) for node in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
