"""A configuration as the words that a person types: `optimizer=adam`, `optimizer.lr=0.001`."""

from functools import cache
from typing import Any

import yaml

from genreg.errors import InputError
from genreg.factory import GROUPS, KEYED
from genreg.installed import CONFIGS
from genreg.run.folder import LOADER, Row
from genreg.run.identity import PLUMBING, Config, experiment_name, option_name


def flat(config: Config) -> Row:
    """Every key that makes the experiment what it is, dotted; of each group also the option chosen.

    `name` is the experiment's, `regularizer` all methods: entropy+vat.
    """
    found: Row = {"name": _name(config)}
    for key, node in config.items():
        if key in (*PLUMBING, "name"):
            continue
        if key in GROUPS and isinstance(node, dict):
            found[key] = "+".join(sorted(map(str, node))) or "none" if key in KEYED else option(key, node)
        found |= _leaves(node, key)
    return found


def option(group: str, node: Config) -> str:
    """The option of a group that a node was made from, as far as its `_target_` and values tell.

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


def _leaves(node: Any, key: str) -> Row:
    """The values below a key, by their dotted keys; of an empty group none."""
    if not isinstance(node, dict):
        return {key: node}
    parts = ((f"{key}.{name}", part) for name, part in node.items() if name != "_target_")
    return {name: value for dotted, part in parts for name, value in _leaves(part, dotted).items()}


def _name(config: Config) -> str | None:
    """The experiment's name; None of a configuration that is not whole."""
    try:
        return experiment_name(config)
    except (InputError, KeyError, TypeError, AttributeError):
        return None
