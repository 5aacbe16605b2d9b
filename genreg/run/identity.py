"""Same configuration, same folder."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from genreg.errors import InputError

PLUMBING = ("seed", "device", "logger", "output_dir", "data_dir", "quiet", "checkpoint_every")
"""Keys that change where, how fast or how visibly a run is made, but not which experiment it is."""

LATER: dict[str, tuple[Any, ...]] = {
    "loss": ({"_target_": "genreg.loss.CrossEntropy"}, {}),
    "dataset.test": (0.2,),
    "dataset.targets": ("auto",),
}
"""Keys that later versions added, with the values that mean what earlier versions did: left out of the hash,
so that runs of before are found again."""

Config = dict[str, Any]


def experiment_hash(config: Config) -> str:
    """Eight hexadecimal digits of everything in the resolved configuration but `PLUMBING`."""
    identity = _told({k: v for k, v in config.items() if k not in PLUMBING})
    identity = {k: _told(v, f"{k}.") if isinstance(v, dict) else v for k, v in identity.items()}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]


def _told(node: Config, prefix: str = "") -> Config:
    """The keys that say something: not `LATER`."""
    return {key: value for key, value in node.items() if value not in LATER.get(prefix + key, ())}


def experiment_name(config: Config) -> str:
    """`name` of the configuration, or dataset/regularizers, or landscape/optimizer without data."""
    methods = "+".join(config["regularizer"]) or "none"
    subject = f"{option_name(config['dataset'])}/{methods}" if config["dataset"] else None
    name = config["name"] or subject or f"{option_name(config['model'])}/{option_name(config['optimizer'])}"
    if not re.fullmatch(r"[\w+=-][\w.+=-]*(/[\w+=-][\w.+=-]*)*", name):
        raise InputError("name", "letters, digits and ._+=- in parts divided by /", name)
    return name


def run_path(config: Config) -> Path:
    """output_dir/<name>-<hash>/seed=<seed>."""
    arm = f"{experiment_name(config)}-{experiment_hash(config)}"
    return Path(config["output_dir"]) / arm / f"seed={config['seed']}"


def option_name(node: Config) -> str:
    """What a group's node is called: its `name` key, or the last part of its `_target_`; none if empty."""
    return str(node.get("name") or node.get("_target_", "none").rsplit(".", 1)[-1])
