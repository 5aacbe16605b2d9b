"""`genreg ls --where KEY=VALUE`: the arms that are listed, by keys of their configuration."""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import yaml

from genreg.errors import InputError, nearest
from genreg.groups import CONFIGS
from genreg.run.factory import GROUPS, KEYED
from genreg.run.folder import Row
from genreg.run.identity import PLUMBING, Config, experiment_name, option_name
from genreg.run.read import Run, flat
from genreg.run.reader import LOADER
from genreg.study.model import Arm


def chosen(arms: Sequence[Arm], where: Iterable[str]) -> list[Arm]:
    """The arms with those of their runs for which every condition is true; an arm without any is left out.

    Raises InputError for a condition that is no KEY=VALUE, and for a key that no run has.
    """
    conditions = [_parsed(condition) for condition in where]
    if not conditions:
        return list(arms)
    keys = [as_typed(arm.config) for arm in arms]
    known = {*OF_A_RUN, *(key for found in keys for key in found)}
    for key, _ in conditions:
        if key not in known:
            raise InputError("--where", "a key of the runs' configurations", key, nearest(key, known))
    left = (
        replace(
            arm, runs=_matching(arm.runs, found, conditions), other=_matching(arm.other, found, conditions)
        )
        for arm, found in zip(arms, keys, strict=True)
    )
    return [arm for arm in left if arm.runs or arm.other]


def none_has(arms: Sequence[Arm], where: Iterable[str]) -> str:
    """The line that says that no run has all of this, with the values nearest to the first that none has."""
    said = f"no run has {', '.join(where)}"
    for key, value in map(_parsed, where):
        found = [
            {**as_typed(arm.config), "seed": run.seed, "status": run.status}.get(key)
            for arm in arms
            for run in (*arm.runs.values(), *arm.other.values())
        ]
        if not any(is_like(one, value) for one in found):
            words = {w for one in found if one is not None for w in (str(one), *str(one).split("+"))}
            return f"{said}\n  nearest: {', '.join(f'{key}={word}' for word in nearest(value, words))}"
    return said


def as_typed(config: Config) -> Row:
    """Every key and value that changes the result, as one types them after `genreg train`.

    Keys are dotted. A group has the option that was chosen, `regularizer` all methods (entropy+vat), and
    `name` is that of the experiment.
    """
    found: Row = {"name": _name(config)}
    for key, node in config.items():
        if key in (*PLUMBING, "name"):
            continue
        if key in GROUPS and isinstance(node, dict):
            found[key] = "+".join(sorted(map(str, node))) or "none" if key in KEYED else option(key, node)
        leaves = flat(node, key)
        found |= {name: value for name, value in leaves.items() if not name.endswith("._target_")}
    return found


def option(group: str, node: Config) -> str:
    """The option of a group that a node was made from, as far as its `_target_` and values show it.

    Where two options are as close, or none has its `_target_`: what the node is called, in small letters.
    """
    if not isinstance(node.get("_target_"), str):
        return "none"
    distances = {
        name: sum(node.get(key) != value for key, value in given.items())
        for name, given in _options(group).items()
        if given.get("_target_") == node.get("_target_")
    }
    closest = [name for name, distance in distances.items() if distance == min(distances.values())]
    return closest[0] if len(closest) == 1 else option_name(node).lower()


@cache
def _options(group: str) -> dict[str, Config]:
    found = {path.stem: yaml.load(path.read_bytes(), LOADER) for path in (CONFIGS / group).glob("*.yaml")}
    return {name: given for name, given in found.items() if isinstance(given, dict)}


def _name(config: Config) -> str | None:
    """The experiment's name; None of an incomplete configuration."""
    try:
        return experiment_name(config)
    except (InputError, KeyError, TypeError, AttributeError):
        return None


OF_A_RUN = ("seed", "status")


def _parsed(condition: str) -> tuple[str, str]:
    key, equals, value = condition.partition("=")
    if not (key and equals):
        raise InputError("--where", "KEY=VALUE", condition)
    return key, value


def _matching(runs: dict[int, Run], keys: Row, conditions: Sequence[tuple[str, str]]) -> dict[int, Run]:
    """The runs of an arm, by seed, for which all conditions hold."""
    found = ((run, {**keys, "seed": run.seed, "status": run.status}) for run in runs.values())
    return {
        run.seed: run
        for run, has in found
        if all(key in has and is_like(has[key], value) for key, value in conditions)
    }


def is_like(value: Any, typed: str) -> bool:
    """True if a value is the one that was typed: numbers as numbers, words by pattern, of methods any one.

    Capital letters and blanks do not count.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        with suppress(ValueError):
            return value == float(typed)
    text, pattern = (_folded(each if isinstance(each, str) else json.dumps(each)) for each in (value, typed))
    return any(word == pattern or fnmatchcase(word, pattern) for word in (text, *text.split("+")))


def _folded(text: str) -> str:
    return text.replace(" ", "").lower()
