"""How many runs have passed the threshold, against steps."""

import math

from genreg.report.draw.lines import Line, chart
from genreg.report.figures.arms import Figure, some_of, unnamed
from genreg.report.judge.best import drawn
from genreg.report.judge.result import ArmResult, PartResult


def times(result: PartResult) -> Figure | None:
    """A line for each arm, up by one run at its first evaluation beyond the threshold."""
    threshold = result.part.threshold
    found = [(color, arm) for color, arm in drawn(result) if arm.times]
    if not threshold or not any(arm.reached for _, arm in found):
        return None
    end = max(_last_step(arm) for _, arm in found)
    lines = [_line(color, arm, end) for color, arm in found]
    caption = f"runs in which {threshold['metric']} has passed {threshold['value']:g}, against steps; "
    caption += "failed runs never do" + some_of(len(found), result)
    image = chart(caption, "step", "runs %", lines, log_y=False, within=[0, 100])
    return Figure(caption, image, unnamed([(color, arm.arm.name) for color, arm in found]))


def _last_step(arm: ArmResult) -> float:
    reached = [time.steps for time in arm.times.values() if math.isfinite(time.steps)]
    return max([float(run.summary.get("step") or 0) for run in arm.arm.done] + reached, default=0.0)


def _line(color: int, arm: ArmResult, end: float) -> Line:
    x, y = [0.0], [0.0]
    reached = sorted(time.steps for time in arm.times.values() if math.isfinite(time.steps))
    for count, step in enumerate(reached, start=1):
        x += [step, step]
        y += [y[-1], 100 * count / len(arm.times)]
    return Line(color, [*x, end], [*y, y[-1]], name=arm.arm.name)
