"""sweep.json: what a sweep is made of, for `genreg report`."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genreg.errors import InputError
from genreg.sweep.file import Arm, Part
from genreg.sweep.tune import Range, Values
from genreg.sweep.until import margin_of

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
        unfinished = folder / f"sweep.json.{os.getpid()}"
        unfinished.write_text(json.dumps(whole, indent=2) + "\n")
        unfinished.replace(folder / "sweep.json")
    except OSError as error:
        raise InputError("output_dir", "a folder that can be written", str(error)) from error
