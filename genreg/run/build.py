"""Makes objects of plain configuration values; an error names the key of the value that is wrong."""

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from genreg.dataset import Dataset
from genreg.dataset.own import OPTIONS, own
from genreg.download import data_dir_of
from genreg.errors import NO_SUCH_KEY, PAGE, InputError, nearest
from genreg.parameters import blame
from genreg.run import ranks
from genreg.run.factory import GROUPS, KEYED, check_values, factory, find_target, is_own
from genreg.run.metric import Family, Metric

Parameters = Mapping[str, inspect.Parameter]


def build_task(config: dict[str, Any], device: torch.device) -> Any:
    """The task of a configuration, on `device`, given the groups that it is made of."""
    groups = _groups(config)
    parts = {
        group: _part(config, group) for group in GROUPS if group in groups and config.get(group) is not None
    }
    _check_before_reading(config, groups)
    return factory(config["task"], "task")(
        **parts, seed=config["seed"], device=device, precision=config["precision"]
    )


def check_nodes(config: dict[str, Any]) -> None:
    """InputError for what can be seen to be wrong of a configuration, before anything is built or read."""
    for group in GROUPS:
        node = config.get(group)
        if group in KEYED:
            for name in node or ():
                check_values(config[group][name], f"{group}.{name}")
        elif node:
            check_values({key: value for key, value in node.items() if key != "data_dir"}, group)


def reported(config: dict[str, Any]) -> dict[str, Metric]:
    """The metrics that runs of a configuration may report, by key of a row; empty where its task is silent.

    No data are read. InputError for what can be seen to be wrong on the way.
    """
    groups, target = _groups(config), find_target(config["task"], "task")
    if not hasattr(target, "reports"):
        return {}
    parts = {
        group: _part(config, group)
        for group in ("model", "loss", "measure")
        if group in groups and config.get(group) is not None
    }
    options = {name: value for name, value in config["task"].items() if name != "_target_"}
    families = {family.name: family for family in getattr(target, "families", ())}
    found = target.reports(**{**options, **parts})
    return {key: replace(metric, family=families.get(word, Family(word)))
            for key, metric in found.items() for word in [key.partition("/")[0]]}  # fmt: skip


def _groups(config: dict[str, Any]) -> frozenset[str]:
    """The groups that the task is made of; InputError for a group, or a model, of another task."""
    target = find_target(config["task"], "task")
    groups: frozenset[str] = getattr(target, "groups", frozenset(GROUPS))
    for group in GROUPS:
        if config.get(group) and group not in groups | {"task", "logger"}:
            raise InputError(
                group, f"none with task={target.__module__.rpartition('.')[2]}", _options(config[group])
            )
    _check_model(find_target(config["model"], "model"), target)
    return groups


def _part(config: dict[str, Any], group: str) -> Any:
    """Make what a task is given of one group: objects, or factories of what it makes itself."""
    if group in KEYED:
        return build_each(config, group)
    if not config[group]:
        return None
    if group == "dataset":
        return dataset_of(config)
    if group == "model":
        return model_of(config["model"])
    make = factory(config[group], group)
    if group == "features":
        return make(output_dir=Path(config["output_dir"]))
    return make() if group == "loss" else make


class OwnModel:
    """The factory of a model that a user has written.

    Its signature has what the node leaves open, which the data then fill in. embedding, latent: keys of the
    node that say how modules are read; they are the factory's own where it takes them, `latent` is both.
    """

    def __init__(self, node: dict[str, Any]) -> None:
        takes = _signature(node, "model").parameters
        _check_keys("model", node, takes, ["embedding", "latent"])
        ours = {"embedding", "latent"} - takes.keys()
        values = {name: value for name, value in node.items() if name not in ours | {"_target_"}}
        self.make = factory({"_target_": node["_target_"], **values}, "model")
        self.embedding = node.get("embedding") if "embedding" in ours else None
        self.latent = node.get("latent")
        self.__signature__ = _left_open(takes, values)

    def __call__(self, **given: Any) -> Any:
        for name, p in self.__signature__.parameters.items():
            needed = p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
            if needed and name not in given:
                raise InputError(f"model.{name}", f"a value, since the data give none ({PAGE})")
        return self.make(**given)


def _left_open(takes: Parameters, values: dict[str, Any]) -> inspect.Signature:
    """The parameters without a value; where any keyword is taken, only those that are null, if any is."""
    more = [name for name in values if name not in takes and values[name] is None]
    named = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in more]
    left = [p for p in takes.values() if values.get(p.name) is None]
    if named:
        left = [p for p in left if p.kind is not p.VAR_KEYWORD]
    return inspect.Signature(sorted([*left, *named], key=lambda p: p.kind))


def _takes_anything(takes: Parameters) -> bool:
    return any(p.kind is p.VAR_KEYWORD for p in takes.values())


def _check_keys(group: str, node: dict[str, Any], takes: Parameters, more: Collection[str]) -> None:
    """InputError for a key of a node that its function does not take, and that is none of `more`."""
    known = {*takes, *more}
    for key, value in node.items():
        if key not in known | {"_target_"} and not _takes_anything(takes):
            raise InputError(f"{group}.{key}", NO_SUCH_KEY, value, nearest(key, known))


def _signature(node: dict[str, Any], group: str) -> inspect.Signature:
    try:
        return inspect.signature(find_target(node, group))
    except (TypeError, ValueError) as error:
        raise InputError(f"{group}._target_", f"a class or a function ({PAGE})", node["_target_"]) from error


def _check_before_reading(config: dict[str, Any], groups: frozenset[str]) -> None:
    """Make `check_reads` of genreg's own loader and classifier before data are read, or even downloaded."""
    if not {"dataset", "model"} <= groups or is_own(config["dataset"]) or is_own(config["model"]):
        return
    loader, model = (find_target(config[group], group) for group in ("dataset", "model"))
    if hasattr(model, "classify"):
        check_reads(model, "tokenizer" in inspect.signature(loader).parameters)


def check_reads(model: Callable[..., Any], texts: bool) -> None:
    """InputError where a model is of texts and the data are numbers, or the other way round."""
    if ("vocabulary" in inspect.signature(model).parameters) != texts:
        words = ("texts (model=transformer)", "numbers (model=mlp)")
        expected, got = words if texts else words[::-1]
        raise InputError("model", f"one that reads {expected}, as the data set has them", f"one of {got}")


def model_of(node: dict[str, Any]) -> Callable[..., Any]:
    """The factory of a model: of a user's own, one that knows how it is to be read."""
    return OwnModel(node) if is_own(node) else factory(node, "model")


def dataset_of(config: dict[str, Any]) -> Callable[..., Dataset]:
    """The data set of a configuration, given a seed, and the folder of files if it reads any."""
    node, folder = config["dataset"], _data_dir(config["data_dir"])
    node = {key: value for key, value in node.items() if key != "data_dir"}
    if is_own(node):
        takes = _signature(node, "dataset").parameters
        _check_keys("dataset", node, takes, OPTIONS)
        return partial(_own_dataset, node, folder, takes)
    make = factory(node, "dataset")
    return partial(make, data_dir=folder) if "data_dir" in inspect.signature(make).parameters else make


def _own_dataset(node: dict[str, Any], folder: Path, takes: Parameters, *, seed: int) -> Dataset:
    """Call a user's own function; its arrays, which may be others at another seed, get a checksum.

    Keys that it does not take say how arrays become a data set.
    """
    anything = _takes_anything(takes)
    options = {} if anything else {key: node[key] for key in node if key in OPTIONS - takes.keys()}
    make = factory({key: value for key, value in node.items() if key not in options}, "dataset")
    given = {"seed": seed, "data_dir": folder}
    made = make(**{key: value for key, value in given.items() if anything or key in takes})
    if not isinstance(made, Dataset):
        with blame("dataset", own):
            made = own(made, name=node["_target_"], seed=seed, **options)
    elif options:
        expected = "no such key, as the function returns a genreg.dataset.Dataset as it is"
        raise InputError(f"dataset.{min(options)}", expected, options[min(options)])
    return replace(made, checksums={**made.checksums, f"{node['_target_']}(seed={seed})": made.digest})


def _data_dir(path: str | None) -> Path:
    if path is not None and not Path(path).is_dir():
        raise InputError("data_dir", "an existing folder (set by data_dir= or GENREG_DATA)", path)
    return data_dir_of(path)


def _options(node: Any) -> str:
    return node.get("_target_", ", ".join(node)) if isinstance(node, dict) else str(node)


def _check_model(model: Any, task: Any) -> None:
    """Refuse a model of another kind than the task trains, where both are classes that say so."""
    kind, words = getattr(task, "trains", (object, ""))
    if isinstance(model, nn.Module):
        expected = f"a class or a function, which makes new weights for each seed ({PAGE})"
        raise InputError("model._target_", expected, f"one {type(model).__name__}")
    if not isinstance(model, type) or issubclass(model, kind):
        return
    genregs = any(base.__module__.startswith("genreg.") for base in model.__mro__)
    if genregs or not (getattr(task, "wraps", False) and issubclass(model, nn.Module)):
        more = "" if genregs else f" ({PAGE})"
        raise InputError("model", f"{words} for this task{more}", model.__name__)


def build_each(config: dict[str, Any], group: str) -> dict[str, Any]:
    """The objects of a group whose options are keyed by their own names."""
    return {name: factory(node, f"{group}.{name}")() for name, node in config[group].items()}


def choose_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one; InputError for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    count = torch.cuda.device_count()
    if ranks.size > 1 and ":" in name:
        raise InputError("device", f"auto or cuda: each of {ranks.size} processes takes its own", name)
    known = ["cpu", *(["cuda"] if count else []), *(f"cuda:{i}" for i in range(count))]
    if name not in known:
        raise InputError("device", f"one of auto, {', '.join(known)} ({count} CUDA devices visible)", name)
    return torch.device(name)
