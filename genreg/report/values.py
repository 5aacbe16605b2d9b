"""One number of one run: where it was chosen to be read, or when it was reached."""

import math

from genreg.report.parts import Part, direction
from genreg.report.runs import Run
from genreg.report.statistics import Reach, first_reach
from genreg.run.folder import Row
from genreg.run.replicas import last

PER_STEP = "seconds_per_step"
STEPS, SECONDS = "steps_to_threshold", "seconds_to_threshold"

Key = tuple[int, int | None]
"""A seed, and the replica within it where a run has replicas."""


def run_values(part: Part, run: Run, metric: str, replicas: bool = False) -> dict[Key, float]:
    """The metric of one finished run at the chosen step; of each replica at the last one."""
    if metric == PER_STEP:
        step = run.summary.get("step")
        return {(run.seed, None): run.summary["seconds"] / step} if step and "seconds" in run.summary else {}
    if metric in (STEPS, SECONDS):
        reach = first_time(part.threshold, run) if part.threshold else None
        return {(run.seed, None): reach.steps if metric == STEPS else reach.seconds} if reach else {}
    row = chosen_row(part, run) or {}
    for name in (metric, metric.replace("z/", "w/", 1)):  # without anticorrelated noise, z is w
        if replicas and (found := last(run.path, name)):
            return {(run.seed, replica): value for replica, value in found.items() if math.isfinite(value)}
        if name in row and math.isfinite(row[name]):
            return {(run.seed, None): float(row[name])}
    return {}


def chosen_row(part: Part, run: Run) -> Row | None:
    """The row that validation chose, or the last one where there is nothing to choose."""
    if not part.select:
        return run.last
    if not part.reselect and run.best and run.selection[:1] in ([], [part.select]):
        return run.best
    metric = part.select
    best = max if direction(metric) == "max" else min
    rows = run.folder.rows_with(metric)
    return best(rows, key=lambda row: row[metric], default=None)  # the first of equals


def first_time(threshold: Row, run: Run) -> Reach:
    """When the run first passed the threshold, from its rows."""
    metric, value = threshold["metric"], float(threshold["value"])
    rows = run.folder.rows_with(metric)
    steps = [row["step"] for row in rows]
    seconds_at = run.folder.seconds_at()
    seconds = [seconds_at.get(step, math.nan) for step in steps]
    mode = threshold.get("mode") or direction(metric)
    return first_reach(steps, [row[metric] for row in rows], seconds, value, mode)
