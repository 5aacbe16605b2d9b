"""From plain configuration values to objects; whatever is wrong with a value is said with its key."""

from functools import partial
from pathlib import Path
from typing import Any

import torch

from genreg.download import default_data_dir
from genreg.errors import InputError
from genreg.factory import GROUPS, KEYED, factory, find_target


def build_task(config: dict[str, Any], device: torch.device) -> Any:
    """The task of a configuration, on `device`, given the groups that it is made of."""
    target = find_target(config["task"], "task")
    groups: frozenset[str] = getattr(target, "groups", frozenset(GROUPS))
    for group in GROUPS:
        if config.get(group) and group not in groups | {"task", "logger"}:
            raise InputError(
                group, f"none with task={target.__module__.rpartition('.')[2]}", _options(config[group])
            )
    _check_model(find_target(config["model"], "model"), target)
    parts = {
        group: _part(config, group) for group in GROUPS if group in groups and config.get(group) is not None
    }
    return factory(config["task"], "task")(
        **parts, seed=config["seed"], device=device, precision=config["precision"]
    )


def _part(config: dict[str, Any], group: str) -> Any:
    """What a task is given of one group: objects, or factories of what it makes itself."""
    if group in KEYED:
        return build_each(config, group)
    if not config[group]:
        return None
    make = factory(config[group], group)
    if group == "dataset":
        return partial(make, data_dir=_data_dir(config["data_dir"]))
    if group == "features":
        return make(output_dir=Path(config["output_dir"]))
    return make() if group == "loss" else make


def _data_dir(path: str | None) -> Path:
    if path is not None and not Path(path).is_dir():
        raise InputError("data_dir", "an existing folder (set by data_dir= or GENREG_DATA)", path)
    return Path(path) if path else default_data_dir()


def _options(node: Any) -> str:
    return node.get("_target_", ", ".join(node)) if isinstance(node, dict) else str(node)


def _check_model(model: Any, task: Any) -> None:
    """Refuse a model of another kind than the task trains, where both are classes that say so."""
    kind, words = getattr(task, "trains", (object, ""))
    if isinstance(model, type) and not issubclass(model, kind):
        raise InputError("model", f"{words} for this task", model.__name__)


def build_each(config: dict[str, Any], group: str) -> dict[str, Any]:
    """The objects of a group whose options are keyed by their own names."""
    return {name: factory(node, f"{group}.{name}")() for name, node in config[group].items()}


def choose_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one; InputError for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    count = torch.cuda.device_count()
    known = ["cpu", *(["cuda"] if count else []), *(f"cuda:{i}" for i in range(count))]
    if name not in known:
        raise InputError("device", f"one of auto, {', '.join(known)} ({count} CUDA devices visible)", name)
    return torch.device(name)
