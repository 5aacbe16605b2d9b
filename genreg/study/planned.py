"""The runs that a part needs so far, and those that are planned after each stage: trials, studies, looks."""

import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from genreg.study.file import PartFile
from genreg.study.job import Job, as_overrides
from genreg.study.model import Arm, Part, Trial
from genreg.study.tune import Scored, Values, next_points

OPEN = ("not decided", "no difference shown", "too few pairs")
"""Verdicts that more seeds may change."""


@dataclass(frozen=True)
class Planned:
    """A run that a stage needs: one seed of an arm, in a trial of its tuning or (None) in the comparison."""

    part: Part
    arm: Arm
    trial: Trial | None
    seed: int

    @property
    def values(self) -> list[str]:
        """The overrides of the trial, or of the one that won."""
        return as_overrides((self.trial.values if self.trial else self.arm.winner) or {})

    def __str__(self) -> str:
        return " ".join([f"{self.part.name}:", self.arm.name, *self.values, f"seed={self.seed}"])


def planned(part: Part) -> Iterator[Planned]:
    """The runs that a part needs so far, study by study: trials, then the comparison, seed by seed."""
    for study in range(max(len(arm.studies) for arm in part.arms)):
        arms = [arm.studies[study] for arm in part.arms if study < len(arm.studies)]
        yield from _trials(part, arms)
        for seed in part.seeds_of(study) if part.fresh else part.seeds:
            yield from (Planned(part, arm, None, seed) for arm in arms if seed in arm.seeds)


def _trials(part: Part, arms: Sequence[Arm]) -> Iterator[Planned]:
    """The runs of tuning of one study, seed by seed."""
    tuned = [(arm, arm.tuning) for arm in arms if arm.tuning]
    for seed in tuned[0][1].seeds if tuned else ():
        for number in range(max(len(tuning.trials) for _, tuning in tuned)):
            for arm, tuning in tuned:
                if number < len(tuning.trials):
                    yield Planned(part, arm, tuning.trials[number], seed)


def counted(part: Part, arm: Arm) -> int:
    """The number of seeds, or of studies, that the arm has so far; 0 in its first tuning."""
    return (len(arm.studies) if arm.seeds else 0) if part.fresh else len(arm.seeds)


def place(run: Planned, job: Job) -> None:
    """Tell the trial or the arm where its runs lie, and the arm which command makes them."""
    folder = job.folder.path.parent
    if run.trial:
        run.trial.folder = run.trial.folder or folder
    elif run.seed == run.arm.seeds[0]:
        words = [o for o in job.overrides if not o.startswith("seed=")]
        run.arm.folder, run.arm.command = folder, shlex.join(["genreg", "train", *words]) + " seed=N"


def begin(part: Part, given: PartFile) -> None:
    """Plan the first trials of each arm, in its first studies; or where nothing is tuned, the first seeds."""
    for arm in part.arms:
        if arm.tuning is None:
            _compare(part, given, arm, 0, {})
            continue
        arm.tuning.trials = [Trial(values) for values in _points(given, arm, 0, [], "max")]
        if part.fresh:
            _add_studies(given, arm, given.until.plan[0] if given.until else len(part.units))


def _add_studies(given: PartFile, arm: Arm, most: int) -> None:
    """Plan the first trials of further studies, until there are so many."""
    assert given.tune is not None
    for study in range(len(arm.studies), most):
        tuning = given.tune.of(arm.name, study)
        tuning.trials = [Trial(values) for values in _points(given, arm, study, [], "max")]
        arm.again.append(Arm(arm.name, values=arm.values, overrides=arm.overrides, tuning=tuning))


def advance(part: Part, given: PartFile, result: Any) -> bool:
    """Plan what follows the runs so far, of which `result` is the table; False if nothing is left to do."""
    if any(one.winner is None for arm in part.arms for one in arm.studies):
        _tune(part, given, result)
        return True
    if given.until is None:
        return False
    runs = [*result.part.runs(), *(run for arm in result.part.arms if part.fresh for run in arm.tried)]
    spent = sum(run.summary.get("seconds", 0.0) for run in runs) / 60
    if given.until.minutes is not None and spent >= given.until.minutes:
        return False
    return _look_again(part, given, given.until.plan, result)


def _tune(part: Part, given: PartFile, result: Any) -> None:
    """Add the next trials of each arm; or if there are none, begin the comparison with the winners."""
    found = {arm.arm.name: arm.tunings for arm in result.arms}
    left = [
        (study, one, found[arm.name][study])
        for arm in part.arms for study, one in enumerate(arm.studies) if one.winner is None
    ]  # fmt: skip
    more = False
    for study, arm, results in left:
        assert arm.tuning is not None
        over = [_score(trial, results.trials) for trial in arm.tuning.trials]
        points = _points(given, arm, study, over, results.metric.better or "max")
        more |= len(points) > len(over)
        arm.tuning.trials += [Trial(values) for values in points[len(over) :]]
    for study, arm, results in () if more else left:
        _compare(part, given, arm, study, (results.winner or results.trials[0]).values)


def _score(trial: Trial, results: Sequence[Any]) -> Scored:
    """The values of a trial and its mean, NaN if one of its runs failed."""
    result = next(result for result in results if result.values == trial.values)
    return trial.values, math.nan if result.failed else result.mean


def _points(given: PartFile, arm: Arm, study: int, over: list[Scored], best: str) -> list[Values]:
    tune, key = given.tune, f"tune.space.{arm.name}"
    assert tune is not None
    return next_points(key, tune, tune.space_of(arm.name), over, best, study)


def _compare(part: Part, given: PartFile, arm: Arm, study: int, winner: Values) -> None:
    first = given.until.plan[0] if given.until else len(part.seeds)
    arm.winner, arm.seeds = winner, part.seeds_of(study) if part.fresh else part.seeds[:first]


def _look_again(part: Part, given: PartFile, plan: Sequence[int], result: Any) -> bool:
    """Plan another look for every comparison that is open; the baseline has as many seeds as any arm.

    In a part with studies, as many studies.
    """
    have = {arm.name: counted(part, arm) for arm in part.arms}
    want = dict(have)
    for name in have:
        found = result.find(name)
        if found and name != part.baseline and found.verdict in OPEN:
            want[name] = next((n for n in plan if n > have[name]), have[name])
    want[part.baseline] = max(want.values())
    for arm in part.arms:
        if part.fresh:
            _add_studies(given, arm, want[arm.name])
        else:
            arm.seeds = part.seeds[: want[arm.name]]
    return want != have
