"""How far a part has come: what tuning has tried, and how many seeds each arm has.

Everything follows from the sweep file and from what the run folders say, so a sweep that was killed, or that
several launchers share, goes on from wherever its folders are.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from genreg.report.judge.tuning import Trial
from genreg.sweep.file import Arm, Part
from genreg.sweep.tune import Told, Values, next_points

if TYPE_CHECKING:
    from genreg.report.judge.result import ArmResult, PartResult  # with scipy: only looks need it

OPEN = ("not decided", "no difference shown", "too few pairs")
"""Verdicts that more seeds may change."""


@dataclass(frozen=True)
class Progress:
    """Of one part. trials: the points of each arm so far. winners: those that won, once all arms are tuned,
    or nothing to tune for each arm. seeds: how many each arm has in the comparison.
    """

    trials: Mapping[str, list[Values]] = field(default_factory=dict)
    winners: Mapping[str, Values] | None = None
    seeds: Mapping[str, int] = field(default_factory=dict)


def begin(part: Part, arms: list[Arm]) -> Progress:
    """Before anything has run."""
    if part.tune is None:
        return _compare(part, arms, Progress(), {arm.name: {} for arm in arms})
    return Progress({arm.name: _points(part, arm, [], "max") for arm in arms})


def advance(part: Part, arms: list[Arm], progress: Progress, result: "PartResult") -> Progress:
    """After the runs of `progress` are over; the same if nothing is left to do."""
    if progress.winners is None:
        return _tuned(part, arms, progress, result)
    if part.until is None:
        return progress
    spent = sum(run.summary.get("seconds", 0.0) for run in result.part.runs()) / 60
    if part.until.minutes is not None and spent >= part.until.minutes:
        return progress
    return replace(progress, seeds=_more(part, arms, progress, result))


def _tuned(part: Part, arms: list[Arm], progress: Progress, result: "PartResult") -> Progress:
    """With the next trials of each arm; or with the winners, if there are none."""
    found = {arm.arm.name: arm.tuning for arm in result.arms if arm.tuning}
    trials = {}
    for arm in arms:
        tuning = found[arm.name]
        told = [_told(values, tuning.trials) for values in progress.trials[arm.name]]
        trials[arm.name] = _points(part, arm, told, tuning.metric.better or "max")
    if trials != progress.trials:
        return replace(progress, trials=trials)
    winners = {name: t.winner.values if t.winner else t.trials[0].values for name, t in found.items()}
    return _compare(part, arms, progress, winners)


def _told(values: Values, trials: Sequence[Trial]) -> Told:
    trial = next(trial for trial in trials if trial.values == values)
    return values, math.nan if trial.failed else trial.mean


def _points(part: Part, arm: Arm, told: list[Told], best: str) -> list[Values]:
    assert part.tune is not None
    return next_points(f"tune.space.{arm.name}", part.tune, part.tune.space_of(arm.name), told, best)


def _compare(part: Part, arms: list[Arm], progress: Progress, winners: Mapping[str, Values]) -> Progress:
    first = part.until.plan[0] if part.until else None
    return replace(progress, winners=winners, seeds={a.name: first or len(a.seeds) for a in arms})


def _more(part: Part, arms: list[Arm], progress: Progress, result: "PartResult") -> dict[str, int]:
    """Another look for every comparison that is open; the baseline has as many seeds as any arm."""
    assert part.until is not None
    baseline = part.baseline or arms[0].name
    seeds = dict(progress.seeds)
    for arm in arms:
        found = result.find(arm.name)
        if found and arm.name != baseline and _is_open(found):
            seeds[arm.name] = next((n for n in part.until.plan if n > seeds[arm.name]), seeds[arm.name])
    seeds[baseline] = max(seeds.values())
    return seeds


def _is_open(arm: "ArmResult") -> bool:
    return arm.verdict in OPEN
