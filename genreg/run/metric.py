"""What a number in a row is: nothing about it is guessed from its name."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Better = Literal["max", "min"]

Described = dict[str, dict[str, Any]]
"""Metrics by name, as a summary carries them: {"accuracy": {"better": "max", "unit": "%"}}."""


@dataclass(frozen=True)
class Metric:
    """name: the last part of a row's key (`accuracy` of `test/accuracy`); better: which way is better, None
    where neither is. unit: what stands behind the number; `%` marks a share, which is shown times 100.
    """

    name: str
    better: Better | None = None
    unit: str = ""

    @property
    def percent(self) -> bool:
        """Whether it is a share, shown in percent."""
        return self.unit == "%"

    @property
    def scale(self) -> int:
        """What a value is multiplied with to be shown."""
        return 100 if self.percent else 1


def described(metrics: Iterable[Metric]) -> Described:
    """As a run folder carries them, by name."""
    return {metric.name: {k: v for k, v in asdict(metric).items() if k != "name"} for metric in metrics}


GAP = "generalization_gap"
"""How much worse a metric is outside than on labeled items."""

LARGER = [Metric(name, "max") for name in ("modes", "high_quality", "precision", "recall")]
BEFORE = {metric.name: metric for metric in (Metric("accuracy", "max", "%"), *LARGER)}
"""Metrics of runs that were recorded before folders described them; of every other the smaller was better."""


def metric_of(key: str, metrics: Mapping[str, dict[str, Any]] | None) -> Metric:
    """What stands under `key` of a row, as `metrics` describe it; None is a folder without descriptions."""
    name = key.rsplit("/", 1)[-1]
    if metrics is None:
        return BEFORE.get(name, Metric(name, "min"))
    found = metrics.get(name, {})
    return Metric(name, found.get("better"), found.get("unit", ""))


def judged(summary: Mapping[str, Any]) -> tuple[str, float, Better] | None:
    """What a finished run is judged by: a metric, its value, which way is better; None without a metric.

    The metric that chose the step, there; without one, the first of the last row that has a better way.
    """
    if summary.get("selection") and summary["selection"][0] in (summary.get("best") or {}):
        name, better = summary["selection"]
        return name, summary["best"][name], better
    for name, value in (summary.get("last") or {}).items():
        if "/" in name and "_stderr/" not in name and not isinstance(value, str):
            better = metric_of(name, summary.get("metrics")).better
            if better:
                return name, value, better
    return None


def is_described(metrics: object) -> bool:
    """Whether `metric_of` can read these descriptions."""
    return isinstance(metrics, dict) and all(
        isinstance(found, dict)
        and found.get("better") in (None, "max", "min")
        and isinstance(found.get("unit", ""), str)
        for found in metrics.values()
    )


def in_words(metric: Metric) -> str:
    """Words on which way is better."""
    words = {"max": "larger is better", "min": "smaller is better"}
    return words[metric.better] if metric.better else "neither way is said to be better"
