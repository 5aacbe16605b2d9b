"""What tuning found, against the number of trials and against each value."""

from collections.abc import Sequence

from genreg.report.draw.axis import wide_range
from genreg.report.draw.lines import Line, chart
from genreg.report.figures.arms import Figure, unnamed
from genreg.report.figures.grids import are_numbers, last
from genreg.report.judge.best import drawn
from genreg.report.judge.result import PartResult
from genreg.report.judge.tuning import Tuning
from genreg.report.tell.numbers import titled

Tuned = tuple[int, str, Tuning]
"""Color and name of an arm, and its trials."""


def tuning(result: PartResult) -> list[Figure]:
    """The best of so many trials, and the trials over each number that they vary."""
    found = [(color, arm.arm.name, arm.tuning) for color, arm in drawn(result) if arm.tuning]
    found = [one for one in found if any(trial.scores for trial in one[2].trials)]
    keys = dict.fromkeys(key for *_, tuned in found for key in tuned.space)
    figures = [_expected(found), *(_against(found, key) for key in keys)]
    return [figure for figure in figures if figure]


def _expected(found: Sequence[Tuned]) -> Figure | None:
    lines = []
    for color, name, tuned in found:
        best = [v * tuned.metric.scale for v in tuned.expected_best()]
        if len(best) > 1:
            lines.append(Line(color, list(range(1, len(best) + 1)), best, name=name))
    if not lines:
        return None
    _, _, one = found[0]
    caption = f"the best {one.key} that so many trials are expected to find"
    image = chart(caption, "trials", titled(one.key, one.metric), lines, log_y=False)
    return Figure(caption, image, unnamed([(line.color, line.name) for line in lines]))


def _against(found: Sequence[Tuned], key: str) -> Figure | None:
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
    caption = f"{one.key} of the trials against {key}, means; ringed: the one that won"
    log_x = wide_range([v for line in lines for v in line.x])
    image = chart(caption, last(key), titled(one.key, one.metric), lines, log_x=log_x, log_y=False,
                  rings=winners)  # fmt: skip
    return Figure(caption, image, [(line.color, line.name) for line in lines])
