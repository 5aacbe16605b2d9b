"""The file sweep.json: what a sweep has decided so far, for the report and for its own next stage."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genreg.download import write_atomic
from genreg.errors import InputError
from genreg.report.judge.tuning import Trial
from genreg.study.file import Arm, Part
from genreg.study.tune import Range, Told, Values, next_points
from genreg.study.until import margin_of

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


Json = dict[str, Any]


@dataclass(frozen=True)
class Made:
    """An arm as it is run. folder: where its seeds lie, None before tuning is over. command: of one seed, N.
    seeds: that it has so far. trials: the values of each, and their folder.
    """

    arm: Arm
    folder: str | None
    command: str
    seeds: Sequence[int]
    trials: Sequence[tuple[Values, str]] = ()


def part_of(name: str, part: Part, made: Sequence[Made]) -> Json:
    """A part as the file holds it."""
    threshold = part.threshold and {"metric": part.threshold.metric, "value": part.threshold.value}
    value, unit = margin_of(f"sweep.parts.{name}.margin", part.margin) if part.margin else (None, "")
    return {
        "name": name, "baseline": part.baseline or made[0].arm.name, "metric": part.metric,
        "mode": part.mode, "select": part.select, "threshold": threshold,
        "margin": {"value": value, "unit": unit} if unit else None,
        "group": part.group, "dataset": part.dataset,
        "seeds": made[0].arm.seeds, "looks": part.until.plan if part.until else [], "planned": True,
        "arms": [_arm(part, one) for one in made],
    }  # fmt: skip


def _arm(part: Part, made: Made) -> Json:
    found: Json = {"name": made.arm.name, "folder": made.folder, "values": made.arm.values}
    found["command"] = made.command
    if list(made.seeds) != made.arm.seeds:
        found["seeds"] = list(made.seeds)
    if part.tune:
        space = {k: _axis(axis) for k, axis in part.tune.space_of(made.arm.name).items()}
        found["tuning"] = {
            "metric": part.tune.metric, "planned": part.tune.trials, "sampler": part.tune.sampler,
            "seeds": part.tune.own_seeds, "space": space,
            "trials": [{"values": values, "folder": folder} for values, folder in made.trials],
        }  # fmt: skip
    return found


def _axis(axis: Range | list[Any]) -> Any:
    return {"low": axis.low, "high": axis.high, "log": axis.log} if isinstance(axis, Range) else axis


def with_history(parts: Sequence[Json], before: Mapping[str, Json], seen: Sequence[str]) -> list[Json]:
    """The parts, of which those say so whose seeds were changed by hand after results could be `seen`.

    before: the parts of the file that stood there. Their looks are then the old and the new numbers of seeds.
    """
    return [_with_history(part, before[part["name"]]) if part["name"] in seen else part for part in parts]


def _with_history(part: Json, before: Json) -> Json:
    same = all(part[key] == before.get(key) for key in ("seeds", "looks")) and before.get("planned", True)
    alike = {arm["folder"] for arm in part["arms"]} & {arm["folder"] for arm in before["arms"]}
    if same or not alike:
        return part
    old, new = (one.get("looks") or [len(one["seeds"])] for one in (before, part))
    return {**part, "looks": sorted({*old, *new}), "planned": False}


def read(folder: Path) -> dict[str, Json]:
    """The parts of the file in `folder` by name; none if there is no file that can be read."""
    try:
        return {part["name"]: part for part in json.loads((folder / "sweep.json").read_bytes())["parts"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def write(folder: Path, whole: Json) -> None:
    """Write folder/sweep.json, whole or not at all."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with write_atomic(folder / "sweep.json") as file:
            file.write(json.dumps(whole, indent=2).encode() + b"\n")
    except OSError as error:
        raise InputError("output_dir", "a folder that can be written", str(error)) from error
