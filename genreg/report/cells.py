"""The words and numbers of a table, the same in every format."""

import math
from dataclasses import dataclass

from genreg.report.tables import ArmResult, PartResult


@dataclass(frozen=True)
class Cell:
    """A text, and the number that it stands for (to sort by)."""

    text: str
    value: float | None = None


def unit(metric: str) -> tuple[int, str]:
    """What the metric is multiplied with to be shown, and the sign behind it: shares are shown in percent."""
    return (100, " %") if metric.endswith("/accuracy") else (1, "")


def headers(result: PartResult) -> list[str]:
    """The columns of a part's table."""
    columns = ["arm", "n", "failed", f"mean{unit(result.part.metric)[1]}", "sd", "median"]
    if result.selection:
        columns.append(result.selection + unit(result.selection)[1])
    if result.part.threshold:
        columns += ["reached", "median steps", "median s", "time p"]
    return [*columns, versus(result), "p (Holm)", "could show", "verdict"]


def versus(result: PartResult) -> str:
    """The header of the paired differences."""
    return f"minus {result.part.baseline} [95 %]"


def cells(result: PartResult, arm: ArmResult) -> list[Cell]:
    """One line of a part's table, in the order of `headers`."""
    scale = result.scale
    lost = f"{arm.failed}" + (f" + {arm.unfinished} unfinished" if arm.unfinished else "")
    row = [Cell(arm.arm.name), Cell(str(len(arm.values)), len(arm.values)), Cell(lost, arm.failed)]
    row += [_number(value * scale, result.percent) for value in (arm.mean, arm.sd, arm.median)]
    if result.selection:
        mean = sum(arm.chosen) / len(arm.chosen) if arm.chosen else math.nan
        row.append(_number(mean * unit(result.selection)[0], result.selection.endswith("/accuracy")))
    if result.part.threshold:
        row += _time_cells(arm)
    return [*row, *_comparison_cells(result, arm, scale), Cell(arm.verdict)]


def _time_cells(arm: ArmResult) -> list[Cell]:
    steps, seconds = arm.median_time("steps"), arm.median_time("seconds")
    reached = Cell(f"{arm.reached} of {len(arm.times)}", arm.reached)
    return [reached, _time(steps), _time(seconds), p_value(arm.times_p)]


def _comparison_cells(result: PartResult, arm: ArmResult, scale: int) -> list[Cell]:
    found = arm.comparison
    if not found:
        return [Cell("")] * 3
    low, high = (number(v * scale, result.percent, "+") for v in (found.low, found.high))
    shown = number(found.detectable * scale, result.percent)
    return [
        Cell(f"{number(found.mean * scale, result.percent, '+')} [{low}, {high}]", found.mean),
        p_value(found.adjusted), Cell(shown, found.detectable),
    ]  # fmt: skip


def number(value: float, percent: bool = False, sign: str = "") -> str:
    """Two decimals of a percentage, else four significant digits; nothing for NaN."""
    if math.isnan(value):
        return ""
    return f"{value:{sign}.2f}" if percent else f"{value:{sign}.4g}"


def p_value(p: float | None) -> Cell:
    if p is None or math.isnan(p):
        return Cell("")
    return Cell("< 1e-4" if p < 1e-4 else f"{p:.2g}", p)


def caption(result: PartResult) -> str:
    """What the table shows: the metric, at which step, and what a unit is."""
    part = result.part
    step = f"at the step that {part.select} chose" if part.select else "at the last step"
    unit = "replicas" if result.replicas else "runs"
    better = "larger" if part.mode == "max" else "smaller"
    words = f"{part.metric} {step}, over {unit}; {better} is better"
    if part.threshold:
        words += f"; time until {part.threshold['metric']} passes {part.threshold['value']}"
    return words


def _number(value: float, percent: bool) -> Cell:
    return Cell(number(value, percent), None if math.isnan(value) else value)


def _time(value: float) -> Cell:
    return Cell("never" if math.isinf(value) else number(value), value if not math.isnan(value) else None)
