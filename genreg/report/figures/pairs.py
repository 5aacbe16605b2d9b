"""The runs themselves, those of one seed joined."""

import statistics as simple

from genreg.report.draw.rows import Row, dots
from genreg.report.figures.arms import SEEDS, Figure, some_of, unnamed
from genreg.report.judge.best import drawn
from genreg.report.judge.result import ArmResult, PartResult
from genreg.report.tell.numbers import number, titled


def paired_dots(result: PartResult) -> Figure | None:
    """A row for each arm, a dot for each seed (of replicas: their mean)."""
    found = [(color, arm, of_seeds(arm)) for color, arm in drawn(result)]
    found = [(color, arm, values) for color, arm, values in found if values]
    if len(found) < 2:
        return None
    base = next((values for _, arm, values in found if arm.arm.name == result.part.baseline), {})
    scale = result.metric.scale
    rows = [
        Row(color, arm.arm.name, {seed: v * scale for seed, v in values.items()},
            {seed: _words(result, arm.arm.name, seed, v, base) for seed, v in values.items()})
        for color, arm, values in found
    ]  # fmt: skip
    what = "mean of its replicas" if result.replicas else "dot a run"
    caption = f"{result.part.metric} of each seed, each {what}; bars are means"
    caption += ", threads join the runs of one seed" + some_of(len(found), result)
    if lost := [f"{arm.arm.name} {arm.failed}" for _, arm, _ in found if arm.failed]:
        caption += f"; failed, not drawn: {', '.join(lost)}"
    return Figure(caption, dots(caption, titled(result.part.metric, result.metric), rows),
                  unnamed([(color, arm.arm.name) for color, arm, _ in found]))  # fmt: skip


def of_seeds(arm: ArmResult) -> dict[int, float]:
    """The value of each of the first seeds."""
    values: dict[int, list[float]] = {}
    for (seed, _), value in arm.values.items():
        values.setdefault(seed, []).append(value)
    return {seed: simple.fmean(values[seed]) for seed in sorted(values)[:SEEDS]}


def _words(result: PartResult, name: str, seed: int, value: float, base: dict[int, float]) -> str:
    text = f"{name}, seed {seed}: {number(value, result.metric)}"
    if name == result.part.baseline or seed not in base:
        return text
    return f"{text}, {number(value - base[seed], result.metric, '+')} against {result.part.baseline}"
