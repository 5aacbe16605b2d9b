"""What a number in a row is: nothing about it is guessed from its name."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Metric:
    """name: the last part of a row's key (`accuracy` of `test/accuracy`); better: which way is better, None
    where neither is. unit: what stands behind the number; `%` marks a share, which is shown times 100.
    """

    name: str
    better: Literal["max", "min"] | None = None
    unit: str = ""


def described(metrics: Iterable[Metric]) -> dict[str, dict[str, Any]]:
    """As a run folder carries them, by name: {"accuracy": {"better": "max", "unit": "%"}}."""
    return {metric.name: {k: v for k, v in asdict(metric).items() if k != "name"} for metric in metrics}
