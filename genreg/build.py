"""From plain configuration values to objects; whatever is wrong with a value is said with its key."""

import inspect
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import torch

from genreg.download import default_data_dir
from genreg.errors import InputError, nearest
from genreg.optimizer import seeded
from genreg.parameters import BadNumberError, blame
from genreg.run.identity import Config
from genreg.run.task import Task


def build_task(config: Config, device: torch.device) -> Task:
    """The task of a configuration, on `device`."""
    data_dir = config["data_dir"]
    if data_dir is not None and not Path(data_dir).is_dir():
        raise InputError("data_dir", "an existing folder (set by data_dir= or GENREG_DATA)", data_dir)
    dataset = factory(config["dataset"], "dataset") if config["dataset"] else None
    scheduler = factory(config["scheduler"], "scheduler") if config["scheduler"] else None
    _check_model(_target(config["model"], "model"), _target(config["task"], "task"))
    return factory(config["task"], "task")(
        dataset=dataset and partial(dataset, data_dir=Path(data_dir) if data_dir else default_data_dir()),
        model=factory(config["model"], "model"),
        optimizer=_optimizer(config, "optimizer"),
        scheduler=scheduler,
        regularizer=build_each(config, "regularizer"),
        measure=build_each(config, "measure"),
        seed=config["seed"],
        device=device,
        precision=config["precision"],
        **_more(config),
    )


def _check_model(model: Any, task: Any) -> None:
    """Refuse a model of another kind than the task trains, where both are classes that say so."""
    kind, words = getattr(task, "trains", (object, ""))
    if isinstance(model, type) and not issubclass(model, kind):
        raise InputError("model", f"{words} for this task", model.__name__)


def _optimizer(config: Config, key: str) -> Callable[..., torch.optim.Optimizer]:
    return partial(seeded, factory(config[key], key), config["seed"])


def _more(config: Config) -> dict[str, Any]:
    """What some tasks bring along: a second optimizer, and features to compare pictures by."""
    found: dict[str, Any] = {}
    if "generator_optimizer" in config:
        found["generator_optimizer"] = _optimizer(config, "generator_optimizer")
    if config.get("features"):
        found["features"] = factory(config["features"], "features")(output_dir=Path(config["output_dir"]))
    return found


def build_each(config: Config, group: str) -> dict[str, Any]:
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


def factory(node: Any, key: str) -> Callable[..., Any]:
    """What `_target_` names, with the other values of `node` bound; its errors name `key` and parameter."""
    target = _target(node, key)
    values = {name: value for name, value in node.items() if name != "_target_"}

    def call(*arguments: Any, **more: Any) -> Any:
        with blame(key, target):
            if target.__module__.startswith("torch."):
                _check_numbers(target, values)
            return target(*arguments, **values, **more)

    return call


def _target(node: Any, key: str) -> Any:
    """The class or function that `node` names."""
    if not isinstance(node, dict) or "_target_" not in node:
        raise InputError(key, "keys with a _target_", node)
    try:
        module, _, attribute = str(node["_target_"]).rpartition(".")
        return resolve_name(f"{module}:{attribute}")
    except (ImportError, AttributeError, ValueError) as error:
        expected = "the dotted name of a class or function"
        raise InputError(f"{key}._target_", expected, node["_target_"]) from error


def _check_numbers(target: Any, values: Config) -> None:
    """Hold the arguments of a torch class to the kind of its defaults: torch lets NaN and strings pass."""
    parameters = inspect.signature(target).parameters
    for name, value in values.items():
        if name not in parameters:
            raise BadNumberError(name, "no such key", value, nearest(name, parameters))
        default = parameters[name].default
        if default is inspect.Parameter.empty and isinstance(value, (int, float)) and not value > 0:
            raise BadNumberError(name, "a number greater than 0", value)
        if isinstance(default, bool) and not isinstance(value, bool):
            raise BadNumberError(name, "true or false", value)
        if isinstance(default, tuple) and not (isinstance(value, list) and len(value) == len(default)):
            raise BadNumberError(name, f"a list of {len(default)} numbers", value)
        if isinstance(default, (int, float, tuple)) and not isinstance(default, bool):
            for number in value if isinstance(default, tuple) else [value]:
                if isinstance(number, bool) or not isinstance(number, (int, float)):
                    raise BadNumberError(name, "a number", value)
                if not math.isfinite(number) or number < 0:
                    raise BadNumberError(name, "a finite number, 0 or more", value)
