"""The trials of an arm, the one that won, and how much of its success was luck."""

import math
import statistics as simple
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from genreg.errors import InputError
from genreg.report.read.values import run_values
from genreg.run.folder import Row
from genreg.run.metric import Metric
from genreg.run.read import Run
from genreg.study.model import Arm, Part, Trial, Tuning


@dataclass(frozen=True)
class TrialResult:
    """One point of an arm's space. scores: of the seeds that finished; failed: how many did not."""

    values: Row
    runs: Sequence[Run]
    scores: Sequence[float]
    failed: int

    @property
    def mean(self) -> float:
        return simple.fmean(self.scores) if self.scores else math.nan

    @property
    def sd(self) -> float:
        return simple.stdev(self.scores) if len(self.scores) > 1 else math.nan

    @property
    def whole(self) -> bool:
        """True if every seed finished or failed."""
        return len(self.scores) + self.failed == len(self.runs)


@dataclass(frozen=True)
class TuningResult:
    """The trials of one arm, best first; a failed seed is worse than any value.

    planned: how many trials there are to be. space: of each key a list of values, or its ends (low, high).
    fresh: the tuning metric of the winner with the seeds of the comparison.
    """

    metric: Metric
    key: str
    planned: int
    space: dict[str, Any]
    trials: Sequence[TrialResult]
    fresh: Sequence[float]

    @property
    def whole(self) -> bool:
        """True if every planned trial is over."""
        return len(self.trials) == self.planned and all(trial.whole for trial in self.trials)

    @property
    def broken(self) -> bool:
        """True if the machine ended a run of a trial: without that trial nothing can be chosen."""
        return any(run.status == "broken" for trial in self.trials for run in trial.runs)

    @property
    def winner(self) -> TrialResult | None:
        return self.trials[0] if self.whole and self.trials[0].scores else None

    @property
    def luck(self) -> float:
        """The advantage of the winner on the seeds that chose it over fresh ones; NaN without both."""
        if not self.winner or not self.fresh:
            return math.nan
        return (self.winner.mean - simple.fmean(self.fresh)) * (1 if self.metric.better == "max" else -1)

    def edges(self, fewest: int = 2) -> list[str]:
        """The keys whose best value lies at an end of the space: no trial lies beyond it.

        Only those of which at least so many values were tried.
        """
        if not self.winner:
            return []
        return [key for key in self.space if self._at_end(key, self.winner.values[key], fewest)]

    def _at_end(self, key: str, value: object, fewest: int) -> bool:
        given = self.space[key]
        tried = given if isinstance(given, list) else [trial.values[key] for trial in self.trials]
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in tried)
        return numbers and len(set(tried)) >= fewest and value in (min(tried), max(tried))

    def expected_best(self) -> list[float]:
        """The best score that 1, 2, ... trials are expected to find (Dodge et al., arXiv:1909.03004, eq. 4).

        Of so many draws with replacement from the trials made; a trial that failed counts as the worst value.
        """
        way = 1 if self.metric.better == "max" else -1
        found = [way * t.mean for t in self.trials if t.scores and not t.failed]
        if not found:
            return []
        ordered = sorted(found + [min(found)] * (len(self.trials) - len(found)))
        many = len(ordered)
        return [
            way * sum(v * ((k / many) ** n - ((k - 1) / many) ** n) for k, v in enumerate(ordered, start=1))
            for n in range(1, many + 1)
        ]


def read_tunings(part: Part, arm: Arm) -> list[TuningResult]:
    """The results of the trials that the sweep file names for this arm, of each study; [] of none."""
    return [_tuning(part, arm, one, one.tuning) for one in arm.studies if one.tuning]


def _tuning(part: Part, arm: Arm, study: Arm, given: Tuning) -> TuningResult:
    metric = part.describe(given.metric)
    if metric.better is None and any(run.status == "done" for run in arm.tried):
        raise InputError("tune.metric", "a metric of which the runs say which way is better", given.metric)
    trials = [_trial(part, given.metric, trial) for trial in given.trials]
    sign = -1 if metric.better == "max" else 1
    trials.sort(key=lambda t: (not t.scores, t.failed, sign * t.mean))  # the first of equals
    own = [run for run in arm.done if not part.fresh or (study.folder and run.seed in study.seeds)]
    fresh = [v for run in own for v in _scores(part, given.metric, run)]
    return TuningResult(metric, given.metric, given.planned, given.space, trials, fresh)


def _trial(part: Part, metric: str, trial: Trial) -> TrialResult:
    scores = [v for run in trial.runs if run.status == "done" for v in _scores(part, metric, run)]
    finite = [v for v in scores if math.isfinite(v)]
    failed = sum(run.status == "failed" for run in trial.runs) + len(scores) - len(finite)
    return TrialResult(trial.values, trial.runs, finite, failed)


def _scores(part: Part, metric: str, run: Run) -> list[float]:
    return list(run_values(part, run, metric).values())
