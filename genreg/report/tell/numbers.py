"""How a metric's numbers are written."""

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

from genreg.run.folder import Row
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


def as_table(rows: Sequence[Row]) -> str:
    """CSV of plain numbers under the keys of the first row; what JSON nests is JSON."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: json.dumps(v) if isinstance(v, dict) else v for k, v in row.items()} for row in rows)
    return buffer.getvalue()


def finite(value: Any) -> Any:
    """The same without NaN and infinity, which JSON has not: both become null."""
    if isinstance(value, dict):
        return {key: finite(node) for key, node in value.items()}
    if isinstance(value, list):
        return [finite(node) for node in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
