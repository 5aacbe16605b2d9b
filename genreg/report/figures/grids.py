"""Figures over what was varied: grids of a part, and the trials of tuning."""

import math
from collections.abc import Sequence

from genreg.report.draw.lines import Chart, HeatMap, Line
from genreg.report.draw.svg import wide_range
from genreg.report.figures.curves import Figure, unnamed
from genreg.report.judge.result import ArmResult, PartResult, plotted_arms
from genreg.report.judge.tuning import TuningResult
from genreg.report.output.numbers import number, titled


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
    """True if all are numbers that can stand on an axis."""
    return all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values)


def _heat(result: PartResult, name: str, arms: Sequence[ArmResult], x: str, y: str) -> Figure:
    columns, rows = (sorted({arm.arm.values[key] for arm in arms}) for key in (x, y))
    values = {}
    for arm in arms:
        place = (columns.index(arm.arm.values[x]), len(rows) - 1 - rows.index(arm.arm.values[y]))
        values[place] = (arm.mean, number(arm.mean, result.metric) + ("†" if arm.failed else ""))
    caption = f"{name}: mean {titled(result.part.metric, result.metric)}, {last(x)} against {last(y)}"
    caption += "; †: some runs failed, the mean is of the others" if any(a.failed for a in arms) else ""
    names = [f"{v:g}" for v in columns], [f"{v:g}" for v in reversed(rows)]
    return Figure.of(HeatMap(caption, last(x), last(y), *names, values))


def _against(result: PartResult, name: str, arms: Sequence[ArmResult], key: str) -> Figure:
    ordered = sorted(arms, key=lambda arm: arm.arm.values[key])
    scale = result.metric.scale
    x, mean = [arm.arm.values[key] for arm in ordered], [arm.mean * scale for arm in ordered]
    sd = [arm.sd * scale for arm in ordered]  # NaN where one seed is left: no band is drawn there
    low, high = ([m + sign * s for m, s in zip(mean, sd, strict=True)] for sign in (-1, 1))
    known = [math.isfinite(v) for v in sd]
    caption = f"{name}: {result.part.metric} against {last(key)}, mean"
    caption += " and standard deviation" if any(known) else ", one run each"
    caption += " of the runs that finished" if any(a.failed for a in arms) else ""
    caption += "; no band: one run is left" if any(known) and not all(known) else ""
    lowest = min((v for v in low if math.isfinite(v)), default=1.0)
    log = wide_range(mean) and lowest > 0  # a band that crosses zero has no place on a logarithmic axis
    line = Line(0, x, mean, low, high)
    label = titled(result.part.metric, result.metric)
    return Figure.of(Chart(caption, last(key), label, [line], log_x=wide_range(x), log_y=log))


def last(key: str) -> str:
    """`epsilon` of `regularizer.vat.epsilon`."""
    return key.rsplit(".", 1)[-1]


Tuned = tuple[int, str, TuningResult]
"""Color and name of an arm, and its trials."""


def tuning(result: PartResult) -> list[Figure]:
    """The best of so many trials, and the trials over each number that they vary."""
    found = [(color, arm.arm.name, arm.tuning) for color, arm in plotted_arms(result) if arm.tuning]
    found = [one for one in found if any(trial.scores for trial in one[2].trials)]
    keys = dict.fromkeys(key for *_, tuned in found for key in tuned.space)
    of_first = " (of the first study)" if result.part.fresh else ""
    figures = [_expected(found, of_first), *(_scores_against(found, key, of_first) for key in keys)]
    return [figure for figure in figures if figure]


def _expected(found: Sequence[Tuned], of_first: str) -> Figure | None:
    lines = []
    for color, name, tuned in found:
        best = [v * tuned.metric.scale for v in tuned.expected_best()]
        if best:
            lines.append(Line(color, list(range(1, len(best) + 1)), best, name=name))
    if not any(len(line.x) > 1 for line in lines):
        return None
    _, _, one = found[0]
    caption = f"the best {one.key} that so many trials are expected to find" + of_first
    source = Chart(caption, "trials", titled(one.key, one.metric), lines, log_y=False)
    return Figure.of(source, unnamed([(line.color, line.name) for line in lines]))


def _scores_against(found: Sequence[Tuned], key: str, of_first: str) -> Figure | None:
    """The mean of each trial over one of its values; the winner's is larger."""
    lines, winners = [], []
    for color, name, tuned in found:
        trials = [t for t in tuned.trials if t.scores and key in t.values]
        x = [t.values[key] for t in trials]
        if are_numbers(x) and len(set(x)) > 1:
            y = [t.mean * tuned.metric.scale for t in trials]
            lines.append(Line(color, x, y, name=name, dots=True))
            winners += [(color, x[0], y[0])] if tuned.winner else []
    if not lines:
        return None
    _, _, one = found[0]
    caption = f"{one.key} of the trials against {key}, means; ringed: the one that won" + of_first
    log_x = wide_range([v for line in lines for v in line.x])
    source = Chart(caption, last(key), titled(one.key, one.metric), lines, log_x=log_x, log_y=False,
                   rings=winners)  # fmt: skip
    return Figure.of(source, [(line.color, line.name) for line in lines])
