"""Values over what was varied: a heat map of two numbers, a line over one."""

import math
from collections.abc import Sequence

from genreg.report.draw.axis import wide_range
from genreg.report.draw.heat import heat_map
from genreg.report.draw.lines import Line, chart
from genreg.report.figures.arms import Figure
from genreg.report.judge.result import ArmResult, PartResult
from genreg.report.tell.numbers import number, titled


def grids(result: PartResult) -> list[Figure]:
    """One for each method of which one or two numbers were varied."""
    methods: dict[str, list[ArmResult]] = {}
    for arm in result.arms:
        if arm.arm.values and arm.values:
            methods.setdefault(arm.arm.name.split(",")[0], []).append(arm)
    found = []
    for name, arms in methods.items():
        keys = [key for key in arms[0].arm.values if _varies(key, arms)]
        if len(keys) == 2 and len({key for arm in arms for key in arm.arm.values if _varies(key, arms)}) == 2:
            found.append(_heat(result, name, arms, keys[0], keys[1]))
        elif len(keys) == 1:
            found.append(_against(result, name, arms, keys[0]))
    return found


def _varies(key: str, arms: Sequence[ArmResult]) -> bool:
    values = [arm.arm.values.get(key) for arm in arms]
    return are_numbers(values) and len(set(values)) > 1


def are_numbers(values: Sequence[object]) -> bool:
    """Whether they can stand on an axis."""
    return all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values)


def _heat(result: PartResult, name: str, arms: Sequence[ArmResult], x: str, y: str) -> Figure:
    columns, rows = (sorted({arm.arm.values[key] for arm in arms}) for key in (x, y))
    values = {}
    for arm in arms:
        place = (columns.index(arm.arm.values[x]), len(rows) - 1 - rows.index(arm.arm.values[y]))
        values[place] = (arm.mean, number(arm.mean, result.metric) + ("†" if arm.failed else ""))
    caption = f"{name}: mean {titled(result.part.metric, result.metric)}, {last(x)} against {last(y)}"
    caption += "; †: some runs failed, the mean is of the others" if any(a.failed for a in arms) else ""
    image = heat_map(
        caption, last(x), last(y), [f"{v:g}" for v in columns], [f"{v:g}" for v in reversed(rows)], values
    )
    return Figure(caption, image)


def _against(result: PartResult, name: str, arms: Sequence[ArmResult], key: str) -> Figure:
    ordered = sorted(arms, key=lambda arm: arm.arm.values[key])
    scale = result.metric.scale
    x, mean = [arm.arm.values[key] for arm in ordered], [arm.mean * scale for arm in ordered]
    sd = [arm.sd * scale if math.isfinite(arm.sd) else 0.0 for arm in ordered]
    low, high = ([m + sign * s for m, s in zip(mean, sd, strict=True)] for sign in (-1, 1))
    caption = f"{name}: {result.part.metric} against {last(key)}, mean and standard deviation"
    caption += " of the runs that finished" if any(a.failed for a in arms) else ""
    log = wide_range(mean) and min(low) > 0  # a band that crosses zero has no place on a logarithmic axis
    line = Line(0, x, mean, low, high)
    label = titled(result.part.metric, result.metric)
    return Figure(caption, chart(caption, last(key), label, [line], log_x=wide_range(x), log_y=log))


def last(key: str) -> str:
    """`epsilon` of `regularizer.vat.epsilon`."""
    return key.rsplit(".", 1)[-1]
