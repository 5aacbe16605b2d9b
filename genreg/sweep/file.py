"""A sweep file: parts, their arms and seeds. Needs neither torch nor Hydra."""

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import field, replace
from typing import Any, Literal

from pydantic.dataclasses import dataclass

from genreg.errors import InputError, nearest
from genreg.parameters import STRICT, CountOrZero, Number, blame
from genreg.sweep.tune import Tune, Values, check_tune, read_tune
from genreg.sweep.until import Until, margin_of, read_until

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
    that chooses the step; null where there is nothing to choose. margin: a difference that is not worth
    having. tune: what is tried for each arm before. until: how seeds are added instead of a fixed number.
    datasets: names, or overrides by name: the part is made once for each. group, dataset: what such parts
    have in common, and which one each is.
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
    margin: str | None = None
    tune: Tune | None = None
    until: Until | None = None
    datasets: list[str] | dict[str, list[str]] = field(default_factory=dict)
    group: str = ""
    dataset: str = ""


@dataclass(config=STRICT, kw_only=True)
class Sweep:
    """A whole file. seeds, until: of every part that has neither. question: what the sweep is to answer."""

    parts: dict[str, Part]
    seeds: Seeds = 1
    until: Until | None = None
    question: str = ""
    dry_run: bool = False


@dataclass(frozen=True)
class Arm:
    """What every seed of one configuration shares. values: of the grid's keys. seeds: that it may have."""

    part: str
    name: str
    overrides: list[str]
    values: Values
    seeds: list[int]

    def at(self, values: Values) -> list[str]:
        """The overrides with those of a trial."""
        return [*self.overrides, *(f"{key}={_text(value)}" for key, value in values.items())]


def read(node: dict[str, Any], decided: Until | None = None) -> Sweep:
    """The checked content of a sweep file; InputError names the first bad key, and an empty sweep.

    decided: how seeds are added to parts of which the file does not say it; None: a fixed number.
    """
    parts = node.get("parts")
    if not isinstance(parts, dict) or not parts:
        raise InputError("sweep.parts", "at least one part", parts)
    until = read_until("sweep.until", node["until"]) if node.get("until") else decided
    read_parts = {name: _part(name, part) for name, part in parts.items()}
    with blame("sweep", Sweep):
        sweep = Sweep(**{**node, "parts": read_parts, "until": until})
    sweep.parts = {
        n: _filled(one, until) for name, part in read_parts.items() for n, one in _each(name, part)
    }
    for name, part in sweep.parts.items():
        _check(name, part, sweep.seeds)
    return sweep


def _check(name: str, part: Part, seeds: Seeds) -> None:
    key = f"sweep.parts.{name}"
    own = arms_of(name, part, seeds)
    names = [arm.name for arm in own]
    if part.baseline is not None and part.baseline not in names:
        raise InputError(f"{key}.baseline", "one of its arms", part.baseline, nearest(part.baseline, names))
    if part.tune:
        check_tune(f"{key}.tune", part.tune, names, own[0].seeds)


def _filled(part: Part, until: Until | None) -> Part:
    """With what the part leaves to others: the metric of tuning, the margin, the sweep's way to add seeds."""
    until = part.until or (until if part.seeds is None else None)
    tune = part.tune and replace(part.tune, metric=part.tune.metric or part.select)
    return replace(part, until=until, tune=tune, margin=part.margin or (until.margin if until else None))


def _each(name: str, part: Part) -> Iterator[tuple[str, Part]]:
    """The part itself, or the one of each data set that it lists."""
    if not part.datasets:
        yield name, part
    given = part.datasets
    for dataset in given:
        own = given[dataset] if isinstance(given, dict) else [f"dataset={dataset}"]
        overrides = [*part.overrides, *own]
        yield (
            f"{name}/{dataset}",
            replace(part, datasets=[], overrides=overrides, group=name, dataset=dataset),
        )


def _part(name: str, node: Any) -> Part:
    if not isinstance(node, dict):
        raise InputError(f"sweep.parts.{name}", "the keys of a part", node)
    threshold = node.get("threshold")
    if isinstance(threshold, dict):
        with blame(f"sweep.parts.{name}.threshold", Threshold):
            threshold = Threshold(**threshold)
    key = f"sweep.parts.{name}"
    nodes = {"tune": read_tune, "until": read_until}
    own = {k: read(f"{key}.{k}", node[k]) for k, read in nodes.items() if node.get(k) is not None}
    if node.get("margin") is not None:
        margin_of(f"{key}.margin", node["margin"])
    with blame(key, Part):
        part = Part(**{**node, "threshold": threshold, **own})
    if part.until and isinstance(part.seeds, int):
        raise InputError(f"{key}.seeds", "none beside until, or a list to take them from", part.seeds)
    if part.margin and part.until and part.until.margin not in (None, part.margin):
        raise InputError(f"{key}.until.margin", f"the part's margin, {part.margin}", part.until.margin)
    return part


def arms(sweep: Sweep) -> list[Arm]:
    """Every arm of every part, in the order of the file."""
    return [arm for name, part in sweep.parts.items() for arm in arms_of(name, part, sweep.seeds)]


def arms_of(name: str, part: Part, seeds: Seeds) -> list[Arm]:
    """The arms of one part; InputError if there are none, if two have one name, or without seeds."""
    key = f"sweep.parts.{name}"
    chosen = _seeds(key, part, seeds)
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


def _seeds(key: str, part: Part, seeds: Seeds) -> list[int]:
    """Those of every arm; where they are added until decided, as many as the last look may take."""
    given = seeds if part.seeds is None else part.seeds
    if part.until is None:
        return list(range(given)) if isinstance(given, int) else given
    most = part.until.plan[-1]
    if isinstance(given, int):
        return list(range(most))
    if len(given) < most:
        raise InputError(f"{key}.seeds", f"as many as its last look takes, {most}", f"{len(given)} seeds")
    return given[:most]


def _text(value: Any) -> str:
    """A value as an override on the command line."""
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = str(value)
    return text if re.fullmatch(r"[\w./+-]*", text) else f"'{text}'"
