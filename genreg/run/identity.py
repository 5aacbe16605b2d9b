"""Same configuration, same folder."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from genreg.errors import InputError
from genreg.run.sources import neutral

Config = dict[str, Any]

PLUMBING = ("seed", "device", "logger", "output_dir", "data_dir", "quiet", "checkpoint_every", "keep_state")
"""Keys that change where, how fast or how visibly a run is made, but not which experiment it is."""

FIRST_LOSS: tuple[Config, ...] = ({"_target_": "genreg.loss.CrossEntropy"}, {})
"""The node `loss` that means what versions without this group did."""

LONGEST = 240  # bytes of a folder's name before its hash


def experiment_hash(config: Config) -> str:
    """Eight hexadecimal digits of everything in the resolved configuration but `PLUMBING`.

    However a number was typed: 1, 1.0 and 1e0 are one. true is not a number.
    """
    return _hash({key: normal(value) for key, value in config.items()})


def _hash(config: Config) -> str:
    left_out = {*PLUMBING, *(["loss"] if config.get("loss") in FIRST_LOSS else [])}
    identity = {key: _distinctive(value) for key, value in config.items() if key not in left_out}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]


def _distinctive(node: Any) -> Any:
    """`node` without `Neutral` values, so that runs of before a parameter was added are found again."""
    if not isinstance(node, dict):
        return node
    later = neutral(node.get("_target_"))
    return {key: _distinctive(value) for key, value in node.items() if value not in later.get(key, ())}


def completed(config: Config) -> Config:
    """The configuration with what it meant where it is of a version that lacked a parameter or the loss."""
    return {"loss": FIRST_LOSS[0], **{key: _completed(node) for key, node in config.items()}}


def _completed(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    later = neutral(node.get("_target_"))
    return {
        **{name: values[0] for name, values in later.items()},
        **{key: _completed(value) for key, value in node.items()},
    }


def normal(value: Any) -> Any:
    """`value` with every whole number as an integer."""
    if isinstance(value, dict):
        return {key: normal(part) for key, part in value.items()}
    if isinstance(value, list):
        return [normal(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def experiment_name(config: Config) -> str:
    """`name` of the configuration, or dataset/regularizers, or landscape/optimizer without data."""
    return _name(config, data_name)


def _name(config: Config, of_data: Callable[[Config], str]) -> str:
    name = config["name"]
    if name is None and config["dataset"]:
        name = f"{of_data(config['dataset'])}/{methods(config)}"
    elif name is None:
        name = f"{option_name(config['model'])}/{option_name(config['optimizer'])}"
    if not isinstance(name, str) or not re.fullmatch(r"[\w+=-][\w.+=-]*(/[\w+=-][\w.+=-]*)*", name):
        raise InputError("name", "letters, digits and ._+=- in parts divided by /", name)
    if any(len(part.encode()) > LONGEST for part in name.split("/")):
        raise InputError("name", f"parts of at most {LONGEST} bytes: they name folders", name)
    return name


def methods(config: Config) -> str:
    """The methods under study in one word, in the order in which they run: that of their names."""
    return "+".join(sorted(config["regularizer"])) or "none"


def run_path(config: Config) -> Path:
    """output_dir/<name>-<hash>/seed=<seed>; an arm that an earlier version began goes on in its folder.

    Earlier versions hashed numbers as they were typed, 1 and 1.0 apart, and called data by their option.
    """
    root, hashes = Path(config["output_dir"]), (experiment_hash(config), _hash(config))
    names = (_name(config, of_data) for of_data in (data_name, option_name))
    arms = list(dict.fromkeys(root / f"{name}-{digest}" for name in names for digest in hashes))
    arm = next((arm for arm in arms if arm.is_dir()), arms[0])
    return arm / f"seed={normal(config['seed'])}"


def hash_in(folder: Path, config: Config) -> str:
    """The hash in the name of a run's folder, which an earlier version may have begun."""
    before = _hash(config)
    return before if folder.parent.name.endswith(f"-{before}") else experiment_hash(config)


def same_run(config: Config) -> tuple[str, str, str, int]:
    """Equal for two configurations that are one run, wherever an earlier version may have begun it."""
    place = str(Path(config["output_dir"]))
    return place, experiment_name(config), experiment_hash(config), normal(config["seed"])


def option_name(node: Config) -> str:
    """The name of a group's node: its `name` key, or the last part of its `_target_`; none if empty."""
    return str(node.get("name") or str(node.get("_target_", "none")).rsplit(".", 1)[-1])


def data_name(node: Config) -> str:
    """The name of data: one's own by their file or folder (data/wine.csv: wine), others by their option.

    Letters, digits and _+- are kept: the name is a folder's, in which dots and = may mean something else.
    """
    path, target = node.get("path"), str(node.get("_target_"))
    if not isinstance(path, str) or not target.startswith("genreg.dataset."):
        return option_name(node)
    last = Path(path).name if target.endswith(".image_folder") else Path(path).stem
    name = re.sub(r"[^\w+-]+", "_", last).strip("_")
    return name.encode()[:LONGEST].decode(errors="ignore") or option_name(node)
