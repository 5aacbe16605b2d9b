"""A sweep file: parts, their arms and seeds. Needs neither torch nor Hydra."""

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import field
from typing import Any, Literal

from pydantic.dataclasses import dataclass

from genreg.errors import InputError, nearest
from genreg.parameters import STRICT, CountOrZero, Number, blame

Seeds = CountOrZero | list[CountOrZero]


@dataclass(config=STRICT, kw_only=True)
class Threshold:
    """The time until `metric` reaches `value` is reported, in steps and in seconds."""

    metric: str
    value: Number


@dataclass(config=STRICT, kw_only=True)
class Part:
    """Arms that are compared with one another.

    Every experiment and every entry of `arms` (name: overrides), at every combination of `grid`, is an arm.
    overrides: of every arm. seeds: their number, or a list. baseline: the arm that others are compared with,
    by default the first. metric, mode: what is reported, and whether larger is better. select: the metric
    that chooses the step; null where there is nothing to choose.
    """

    metric: str
    mode: Literal["max", "min"] = "max"
    select: str | None = None
    experiments: list[str] = field(default_factory=list)
    arms: dict[str, list[str]] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    grid: dict[str, list[Any]] = field(default_factory=dict)
    seeds: Seeds | None = None
    baseline: str | None = None
    threshold: Threshold | None = None


@dataclass(config=STRICT, kw_only=True)
class Sweep:
    """A whole file. seeds: of every part that has none of its own."""

    parts: dict[str, Part]
    seeds: Seeds = 1
    dry_run: bool = False


@dataclass(frozen=True)
class Arm:
    """What every seed of one configuration shares. values: of the grid's keys."""

    part: str
    name: str
    overrides: list[str]
    values: dict[str, Any]
    seeds: list[int]


def read(node: dict[str, Any]) -> Sweep:
    """The checked content of a sweep file; InputError names the first bad key, and an empty sweep."""
    parts = node.get("parts")
    if not isinstance(parts, dict) or not parts:
        raise InputError("sweep.parts", "at least one part", parts)
    with blame("sweep", Sweep):
        sweep = Sweep(**{**node, "parts": {name: _part(name, part) for name, part in parts.items()}})
    for name, part in sweep.parts.items():
        names = [arm.name for arm in arms_of(name, part, sweep.seeds)]
        if part.baseline is not None and part.baseline not in names:
            known = nearest(part.baseline, names)
            raise InputError(f"sweep.parts.{name}.baseline", "one of its arms", part.baseline, known)
    return sweep


def _part(name: str, node: Any) -> Part:
    if not isinstance(node, dict):
        raise InputError(f"sweep.parts.{name}", "the keys of a part", node)
    threshold = node.get("threshold")
    if isinstance(threshold, dict):
        with blame(f"sweep.parts.{name}.threshold", Threshold):
            threshold = Threshold(**threshold)
    with blame(f"sweep.parts.{name}", Part):
        return Part(**{**node, "threshold": threshold})


def arms(sweep: Sweep) -> list[Arm]:
    """Every arm of every part, in the order of the file."""
    return [arm for name, part in sweep.parts.items() for arm in arms_of(name, part, sweep.seeds)]


def arms_of(name: str, part: Part, seeds: Seeds) -> list[Arm]:
    """The arms of one part; InputError if there are none, if two have one name, or without seeds."""
    key = f"sweep.parts.{name}"
    chosen = _list(seeds if part.seeds is None else part.seeds)
    found = [Arm(name, *arm, chosen) for arm in _named(part)]
    if not found:
        raise InputError(key, "at least one arm: experiments or arms, and no empty list in grid")
    if not chosen:
        raise InputError(f"{key}.seeds", "at least one seed", 0)
    for what, values in ((f"{key}.seeds", map(str, chosen)), (key, [arm.name for arm in found])):
        if twice := [value for value, count in Counter(values).items() if count > 1]:
            raise InputError(what, "no duplicates", ", ".join(twice))
    return found


def _named(part: Part) -> Iterator[tuple[str, list[str], dict[str, Any]]]:
    """Name, overrides and grid values of each arm."""
    shorts = [name.rsplit("/", 1)[-1] for name in part.experiments]
    names = shorts if len(set(shorts)) == len(shorts) else part.experiments
    roots = [(name, [f"experiment={of}"]) for name, of in zip(names, part.experiments, strict=True)]
    for root, given in (*roots, *part.arms.items()):
        for combination in itertools.product(*part.grid.values()):
            values = dict(zip(part.grid, combination, strict=True))
            short = [f"{key.rsplit('.', 1)[-1]}={_text(value)}" for key, value in values.items()]
            grid = [f"{key}={_text(value)}" for key, value in values.items()]
            yield ",".join([root, *short]), [*given, *part.overrides, *grid], values


def _list(seeds: Seeds) -> list[int]:
    return list(range(seeds)) if isinstance(seeds, int) else seeds


def _text(value: Any) -> str:
    """A value as an override on the command line."""
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = str(value)
    return text if re.fullmatch(r"[\w./+-]*", text) else f"'{text}'"
