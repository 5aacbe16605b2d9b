"""A sweep file: parts, their arms and seeds. Needs neither torch nor Hydra."""

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import field, replace
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from genreg.errors import InputError, nearest
from genreg.parameters import STRICT, CountOrZero, Number, blame
from genreg.study.check import check_select
from genreg.study.job import as_overrides, as_typed
from genreg.study.job import key as key_of
from genreg.study.model import TOGETHER, Arm, Part, Study
from genreg.study.tune import Tune, check_once, check_tune, read_tune
from genreg.study.until import Until, margin_of, read_until

SEEDS = 10_000
"""Seeds of an arm at most, where a file says only how many."""

RUNS = 100_000
"""Runs of a part at most."""

Seeds = Annotated[CountOrZero, Field(le=SEEDS)] | list[CountOrZero]


@dataclass(config=STRICT, kw_only=True)
class Threshold:
    """The time until `metric` reaches `value` is reported, in steps and in seconds."""

    metric: str
    value: Number


@dataclass(config=STRICT, kw_only=True)
class PartFile:
    """Arms that are compared with one another.

    Every experiment and every entry of `arms` (name: overrides), at every combination of `grid`, is an arm.
    overrides: of every arm. seeds: their number, or a list. baseline: the arm that others are compared with,
    by default the first. metric: what is reported. mode: which way is better, by default the metric's own.
    select: the metric that chooses the step; null where there is nothing to choose. margin: a difference that
    is not worth having. tune: what is tried for each arm before. until: how seeds are added instead of a
    fixed number. datasets: names, or overrides by name: the part is made once for each. family: comparisons
    of all data sets are corrected `together`, or those of `each` by themselves. group, dataset: what such
    parts have in common, and which one each is.
    """

    metric: str
    mode: Literal["max", "min"] | None = None
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
    family: Literal["together", "each"] = TOGETHER
    group: str = ""
    dataset: str = ""

    @property
    def studies(self) -> int | Until | None:
        """The number of studies, or how they are added; None: nothing is tuned more than once."""
        return self.tune.studies if self.tune else None


@dataclass(config=STRICT, kw_only=True)
class SweepFile:
    """A whole file. seeds, until: of every part that has neither. question: what the sweep is to answer."""

    parts: dict[str, PartFile]
    seeds: Seeds = 1
    until: Until | None = None
    question: str = ""
    dry_run: bool = False


def read(node: Any, decided: Until | None = None, typed: bool = False) -> SweepFile:
    """The checked content of a sweep file; InputError names the first bad key, and an empty sweep.

    decided: how seeds are added to parts of which the file does not say it; None: a fixed number. typed: the
    number of seeds was typed, and counts more than the file's way to add seeds.
    """
    parts = node.get("parts") if isinstance(node, dict) else None
    if not isinstance(parts, dict) or not parts:
        raise InputError("sweep.parts", "at least one part", parts if isinstance(node, dict) else node)
    until = read_until("sweep.until", node["until"]) if node.get("until") is not None else decided
    read_parts = {name: _read_part(name, part) for name, part in parts.items()}
    with blame("sweep", SweepFile):
        sweep = SweepFile(**{**node, "parts": read_parts, "until": until})
    fixed = typed and isinstance(sweep.seeds, int)
    if fixed and decided:
        words = "none beside --until decided, or a list to take them from"
        raise InputError("sweep.seeds", words, sweep.seeds)
    each = [one for name, part in read_parts.items() for one in _each(name, part)]
    _check_names(name for name, _ in each)
    sweep.parts = {name: _filled(part, until, fixed) for name, part in each}
    for name, part in sweep.parts.items():
        _check(name, part, sweep.seeds)
    return sweep


def _check_names(names: Iterable[str]) -> None:
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError("sweep.parts", "no part or data set twice", ", ".join(twice))


def _check(name: str, part: PartFile, seeds: Seeds) -> None:
    key = f"sweep.parts.{name}"
    names = [arm.name for arm in _arms(key, part, seeds)]
    check_select(part.select, f"{key}.select")
    if part.threshold:
        check_select(part.threshold.metric, f"{key}.threshold.metric")
    if part.baseline is not None and part.baseline not in names:
        raise InputError(f"{key}.baseline", "one of its arms", part.baseline, nearest(part.baseline, names))
    if part.tune:
        check_tune(f"{key}.tune", part.tune, names, _seeds(key, part, seeds))


def _filled(part: PartFile, until: Until | None, fixed: bool) -> PartFile:
    """With what the part leaves to others: the metric of tuning, the margin, the sweep's way to add seeds.

    fixed: the number of seeds was typed: the sweep's way to add them does not hold, its margin does.
    """
    tune = part.tune and replace(part.tune, metric=part.tune.metric or part.select)
    if part.studies is not None:
        own = part.studies if isinstance(part.studies, Until) else None
        if own and until:  # its numbers are of seeds, but not its limits
            own = replace(own, margin=own.margin or until.margin, minutes=own.minutes or until.minutes)
    else:
        until = part.until or (until if part.seeds is None else None)
        own = part.until if fixed else until
    named = own or until
    return replace(part, until=own, tune=tune, margin=part.margin or (named.margin if named else None))


def _each(name: str, part: PartFile) -> Iterator[tuple[str, PartFile]]:
    """The part itself, or the one of each data set that it lists."""
    if not part.datasets:
        yield name, part
    given = part.datasets
    for dataset in given:
        own = given[dataset] if isinstance(given, dict) else [f"dataset={dataset}"]
        whole = replace(part, datasets=[], overrides=[*part.overrides, *own], group=name, dataset=dataset)
        yield f"{name}/{dataset}", whole


def _read_part(name: str, node: Any) -> PartFile:
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
    with blame(key, PartFile):
        part = PartFile(**{**node, "threshold": threshold, **own})
    for place, own_overrides in _given(key, part):
        for override in own_overrides:
            _check_override(place, override)
    if part.datasets and (part.group or part.dataset):
        raise InputError(f"{key}.datasets", "none beside group and dataset, which it fills in", part.datasets)
    for short, values in part.grid.items():
        check_once(f"{key}.grid.{short}", values)
    if part.until and isinstance(part.seeds, int):
        raise InputError(f"{key}.seeds", "none beside until, or a list to take them from", part.seeds)
    if part.tune and part.studies is not None:
        _check_studies(key, part, part.tune.fresh)
    for place, until in (("until", part.until), ("tune.studies", part.studies)):
        if part.margin and isinstance(until, Until) and until.margin not in (None, part.margin):
            raise InputError(f"{key}.{place}.margin", f"the part's margin, {part.margin}", until.margin)
    return part


def _check_studies(key: str, part: PartFile, fresh: int | None) -> None:
    """InputError for keys that say the number of studies, or of their seeds, twice."""
    if part.until:
        raise InputError(f"{key}.until", "none beside tune.studies, which takes its keys", "until")
    if fresh is not None and isinstance(part.seeds, int):
        words = "none beside tune.fresh, or a list to take them from"
        raise InputError(f"{key}.seeds", words, part.seeds)


def _given(key: str, part: PartFile) -> Iterator[tuple[str, Iterable[str]]]:
    """All overrides that a part's arms may get, with the place where they stand."""
    yield f"{key}.overrides", part.overrides
    yield f"{key}.grid", [f"{k}={values}" for k, values in part.grid.items()]
    yield from ((f"{key}.arms.{name}", own) for name, own in part.arms.items())
    for name, space in part.tune.space.items() if part.tune else ():
        yield f"{key}.tune.space.{name}", [f"{k}={axis}" for k, axis in space.items()]
    if isinstance(part.datasets, dict):
        yield from ((f"{key}.datasets.{name}", own) for name, own in part.datasets.items())


def _check_override(place: str, override: str) -> None:
    """InputError for a key that is the sweep's own, in an arm or what arms have in common."""
    own = {"seed": "a sweep has seeds of its own", "output_dir": "type it for the whole sweep",
           "sweep": "a sweep has no other inside"}  # fmt: skip
    if "=" not in override and not override.startswith("~"):
        raise InputError(place, "key=value", override)
    name = key_of(override).split(".")[0]
    if name in own:
        raise InputError(place, f"no {name}: {own[name]}", override)


def study_of(name: str, sweep: SweepFile, command: str = "") -> Study:
    """The study that a sweep file describes, before anything of it has run."""
    parts = [_part(key, part, sweep, command) for key, part in sweep.parts.items()]
    return Study(name, parts, command=command, question=sweep.question)


def _part(name: str, part: PartFile, sweep: SweepFile, command: str) -> Part:
    key = f"sweep.parts.{name}"
    arms = _arms(key, part, sweep.seeds)
    of = part.threshold
    return Part(
        name=name, arms=arms, baseline=part.baseline or arms[0].name,
        metric=part.metric, mode=part.mode, select=part.select,
        threshold={"metric": of.metric, "value": of.value} if of else None,
        margin=margin_of(f"{key}.margin", part.margin) if part.margin else None,
        looks=tuple(part.until.plan) if part.until else (), seeds=tuple(_seeds(key, part, sweep.seeds)),
        fresh=_fresh(part, sweep.seeds), family=part.family,
        group=part.group, dataset=part.dataset, question=sweep.question, command=command,
    )  # fmt: skip


def _arms(key: str, part: PartFile, seeds: Seeds) -> list[Arm]:
    """The arms of one part; InputError if there are none, if two have one name, or without seeds."""
    chosen = _seeds(key, part, seeds)
    many = math.prod(map(len, part.grid.values())) * (len(part.experiments) + len(part.arms))
    trials = part.tune.trials * len(part.tune.own_seeds) * part.tune.most if part.tune else 0
    if (runs := many * (len(chosen) + trials)) > RUNS:
        raise InputError(key, f"at most {RUNS:,} runs", f"{runs:,}, of {many:,} arms")
    found = [
        Arm(name, values=values, overrides=overrides, tuning=part.tune.of(name) if part.tune else None)
        for name, overrides, values in _named(part)
    ]
    if not found:
        raise InputError(key, "at least one arm: experiments or arms, and no empty list in grid")
    if not chosen:
        raise InputError(f"{key}.seeds", "at least one seed", 0)
    for what, values in ((f"{key}.seeds", map(str, chosen)), (key, [arm.name for arm in found])):
        if twice := [value for value, count in Counter(values).items() if count > 1]:
            raise InputError(what, "no duplicates", ", ".join(twice))
    return found


def _named(part: PartFile) -> Iterator[tuple[str, list[str], dict[str, Any]]]:
    """Name, overrides and grid values of each arm."""
    shorts = [name.rsplit("/", 1)[-1] for name in part.experiments]
    names = shorts if len(set(shorts)) == len(shorts) else part.experiments
    roots = [(name, [f"experiment={of}"]) for name, of in zip(names, part.experiments, strict=True)]
    for root, given in (*roots, *part.arms.items()):
        for combination in itertools.product(*part.grid.values()):
            values = dict(zip(part.grid, combination, strict=True))
            short = [f"{key.rsplit('.', 1)[-1]}={as_typed(value)}" for key, value in values.items()]
            yield ",".join([root, *short]), [*given, *part.overrides, *as_overrides(values)], values


def _seeds(key: str, part: PartFile, seeds: Seeds) -> list[int]:
    """The seeds of every arm; where they are added until decided, as many as the last look may take."""
    given = seeds if part.seeds is None else part.seeds
    if fresh := _fresh(part, seeds):
        most = fresh * (part.tune.most if part.tune else 1)
    elif part.until:
        most = part.until.plan[-1]
    else:
        return list(range(given)) if isinstance(given, int) else given
    if isinstance(given, int):
        return list(range(most))
    if len(given) < most:
        last = "all studies take" if fresh else "its last look takes"
        raise InputError(f"{key}.seeds", f"as many as {last}, {most}", f"{len(given)} seeds")
    return given[:most]


def _fresh(part: PartFile, seeds: Seeds) -> int:
    """The seeds on which each study compares: by default those of one comparison. 0 without studies."""
    if not part.tune or part.studies is None:
        return 0
    given = seeds if part.seeds is None else part.seeds
    return part.tune.fresh or (given if isinstance(given, int) else len(given))
