"""The content of a part's table."""

import math
import statistics as simple
from dataclasses import dataclass, field
from typing import Any

from genreg.report.judge.pairs import ONCE, OTHER_WAY, Rule
from genreg.report.judge.statistics import Comparison, Ranks
from genreg.report.judge.tuning import Tuning
from genreg.report.read.outcomes import Outcomes
from genreg.report.read.parts import Arm, Part
from genreg.report.read.reach import Reach
from genreg.report.read.values import Key
from genreg.run.metric import Metric


@dataclass
class ArmResult:
    """One line of a part's table. outcomes: of each run (or replica) in the metric, by its key.

    apart: its runs read other data than the baseline's, and are not compared with it. failed: runs that
    failed, and replicas or values of finished ones that did. time_ranks: of the steps until the threshold
    against the baseline's. tuning: what was tried before, if anything was.
    """

    arm: Arm
    outcomes: Outcomes
    chosen: list[float]  # the selection metric at the chosen step
    failed: int
    unfinished: int
    apart: bool = False
    comparison: Comparison | None = None
    verdict: str = ""
    times: dict[int, Reach] = field(default_factory=dict)
    time_ranks: Ranks | None = None
    tuning: Tuning | None = None

    @property
    def values(self) -> dict[Key, float]:
        """The metric of each finished run or replica, by its key."""
        return self.outcomes.values

    @property
    def time_way(self) -> str:
        """`earlier` or `later` than the baseline, by the ranks that gave the p of times; else nothing."""
        return {-1: "earlier", 1: "later"}.get(self.time_ranks.sign, "") if self.time_ranks else ""

    @property
    def remark(self) -> str:
        """Remarks on the verdict and on the times."""
        of_data = "other data than the baseline's: not compared" if self.apart else ""
        contradicted = self.time_ranks and self.time_ranks.contradicted
        of_times = f"times are compared {OTHER_WAY}" if contradicted else ""
        return "; ".join(filter(None, [of_data, self.comparison.remark if self.comparison else "", of_times]))

    @property
    def mean(self) -> float:
        return simple.fmean(self.values.values()) if self.values else math.nan

    @property
    def sd(self) -> float:
        return simple.stdev(self.values.values()) if len(self.values) > 1 else math.nan

    @property
    def median(self) -> float:
        return simple.median(self.values.values()) if self.values else math.nan

    @property
    def reached(self) -> int:
        return sum(math.isfinite(time.steps) for time in self.times.values())

    def median_time(self, unit: str) -> float:
        """The median time in `steps` or `seconds`; infinite where half of the runs never got there."""
        return simple.median(getattr(time, unit) for time in self.times.values()) if self.times else math.nan


@dataclass
class PartResult:
    """A part with its table.

    metric: what is reported. replicas: values are of replicas, several in a run. rule: how pairs are judged.
    """

    part: Part
    metric: Metric
    arms: list[ArmResult]
    replicas: bool
    notes: list[str]
    claims: list[Any] = field(default_factory=list)
    rule: Rule = ONCE

    @property
    def selection(self) -> str | None:
        """The metric that chose the steps, where it is another than the one reported."""
        return self.part.select if self.part.select != self.part.metric else None

    def find(self, name: str) -> ArmResult | None:
        return next((result for result in self.arms if result.arm.name == name), None)
