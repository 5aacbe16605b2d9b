"""The values of an arm's runs: of the chosen step, of each replica, and when a threshold was reached."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

from genreg.errors import InputError
from genreg.run.folder import Row
from genreg.run.read import Run
from genreg.run.replicas import last
from genreg.study.model import PER_STEP, SECONDS, STEPS, Arm, Part


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


Key = tuple[int, int | None]
"""A seed, and the replica within it where a run has replicas."""


def run_values(part: Part, run: Run, metric: str, replicas: bool = False) -> dict[Key, float]:
    """The metric of one finished run at the chosen step; of each replica at the last, NaN of a dead one."""
    if metric == PER_STEP:
        step = run.summary.get("step")
        return {(run.seed, None): run.summary["seconds"] / step} if step and "seconds" in run.summary else {}
    if metric in (STEPS, SECONDS):
        reach = first_time(part, run)
        return {(run.seed, None): reach.steps if metric == STEPS else reach.seconds} if reach else {}
    row = chosen_row(part, run) or {}
    for name in part.describe(metric).family.keys(metric):
        if replicas and (found := last(run.path, name)):
            return {(run.seed, replica): value for replica, value in found.items()}
        if name in row:
            return {(run.seed, None): float(row[name])}
    return {}


def chosen_row(part: Part, run: Run) -> Row | None:
    """The row that validation chose, or the last one where there is nothing to choose."""
    if not part.select:
        return run.last
    if not part.reselect and run.best and run.selection[:1] in ([], [part.select]):
        return run.best
    metric, better = part.select, part.describe(part.select).better
    if better is None:
        raise InputError("select", "a metric of which the runs say which way is better", metric)
    best, rows = max if better == "max" else min, run.folder.rows_with(metric)
    return best(rows, key=lambda row: row[metric], default=None)  # the first of equals


def first_time(part: Part, run: Run) -> Reach | None:
    """The time at which the run first passed the part's threshold, from its rows; None without one."""
    threshold = part.threshold
    if threshold is None:
        return None
    metric, value = threshold["metric"], float(threshold["value"])
    rows = run.folder.rows_with(metric)
    steps = [row["step"] for row in rows]
    seconds_at = run.folder.seconds_at()
    seconds = [seconds_at.get(step, math.nan) for step in steps]
    mode = threshold.get("mode") or part.describe(metric).better
    if mode is None:
        raise InputError("threshold", "a mode (max or min), which no run says of its metric", metric)
    return first_reach(steps, [row[metric] for row in rows], seconds, value, mode)


@dataclass(frozen=True)
class Outcomes:
    """The values of those that finished, and which failed; unfinished and missing ones are in neither.

    A failed run is one key without a replica, also where runs have replicas: all of them failed.
    """

    values: dict[Key, float] = field(default_factory=dict)
    failed: set[Key] = field(default_factory=set)

    def lost(self, key: Key) -> bool:
        return key in self.failed or (key[0], None) in self.failed

    def knows(self, key: Key) -> bool:
        return key in self.values or self.lost(key)


def by_unit(part: Part, arm: Arm, found: Outcomes) -> Outcomes:
    """The same of each study: the mean over its seeds once all are over, a failure if one of them failed."""
    if not part.fresh:
        return found
    studies = Outcomes()
    for number, one in enumerate(arm.studies):
        keys: list[Key] = [(seed, None) for seed in one.seeds]
        if not one.folder or not keys or not all(map(found.knows, keys)):
            continue
        if any(map(found.lost, keys)):
            studies.failed.add((number, None))
        else:
            studies.values[number, None] = fmean(found.values[key] for key in keys)
    return studies


def outcomes(part: Part, arm: Arm, metric: str, replicas: bool) -> Outcomes:
    """Read each run or replica. A value that is not finite is a failure, but for a time never reached."""
    found = Outcomes()
    for run in arm.done:
        for key, value in run_values(part, run, metric, replicas).items():
            if math.isfinite(value) or metric in (STEPS, SECONDS):
                found.values[key] = value
            else:
                found.failed.add(key)
    if metric != PER_STEP:  # how long an update takes says nothing of how it ends
        found.failed.update((run.seed, None) for run in arm.failed)
    return found
