"""One number of one run: where it was chosen to be read, or when it was reached."""

import math

from genreg.errors import InputError
from genreg.report.read.parts import PER_STEP, SECONDS, STEPS, Part
from genreg.report.read.reach import Reach, first_reach
from genreg.report.read.runs import Run
from genreg.run.folder import Row
from genreg.run.replicas import last

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
    for name in (metric, metric.replace("z/", "w/", 1)):  # without anticorrelated noise, z is w
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
    """When the run first passed the part's threshold, from its rows; None where there is no threshold."""
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
