"""Every option of every group, and a small configuration in which it trains."""

from copy import deepcopy
from functools import cache
from typing import Any

import tiny
import yaml
from conftest import yaml_options
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from genreg import CONFIGS
from genreg.cli.compose import plain
from genreg.cli.help import GROUPS
from genreg.groups import nodes
from genreg.measure import GanMeasure
from genreg.model import Gan, TextClassifier
from genreg.model.landscape import Landscape
from genreg.run.factory import KEYED, find_target

CASES = [(group, option) for group in GROUPS if group != "sweep" for option in yaml_options(group)]
"""Group and option."""


def composed(*overrides: str) -> dict[str, Any]:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return plain(compose("train", list(overrides)))


SMALL = {
    "resnet18": "model.widths=[4,4,4,4]",
    "conv_small": "model.widths=[4,4,4,4,4]",
    "conv_large": "model.widths=[4,4,4,4,4]",
    "dcgan": "model.width=4",
    "resnet_gan": "model.width=4",
}

PICTURES = ["dataset=npz", "dataset.labeled=30", "dataset.validation=100"]


def is_of_a_generator(group: str, option: str) -> bool:
    """True if only task=wgan can use it: by the class that it names, or since it has no labels."""
    unlabeled = group == "dataset" and option != "none" and "labeled" not in nodes(group)[option]
    if group == "features" or unlabeled:
        return True
    target = target_of(group, option) if group in ("model", "measure") else None
    return isinstance(target, type) and issubclass(target, (Gan, GanMeasure))


def target_of(group: str, option: str) -> Any:
    """What the YAML of an option names; None where it names nothing."""
    node = OmegaConf.load(CONFIGS / group / f"{option}.yaml")
    return find_target(OmegaConf.to_container(node), group) if "_target_" in node else None


def overrides_for(group: str, option: str) -> list[str]:
    given = [f"{group}={option}", "device=cpu", "logger=none"]
    if group == "regularizer" and option != "none":
        given += ["model.dropout=0.2", "model.batch_norm=true"]
    landscape = group == "model" and issubclass(target_of(group, option), Landscape)
    if (group, option) in (("dataset", "none"), ("loss", "none")) or landscape:
        given += ["task=landscape"]
    if (group, option) == ("dataset", "diabetes"):
        given += ["loss=mse"]
    if group == "dataset" and "tokenizer" in nodes(group)[option]:
        given += ["model=transformer", "model.width=8"]
    if group == "model" and issubclass(target_of(group, option), TextClassifier):
        given += ["dataset=text_csv", *([] if option == "pretrained_encoder" else ["model.width=8"])]
    if option.startswith(("vat_200_bert/", "vat_200_tokens/", "pretrain")):
        given += ["dataset.max_length=16"]
    if option.startswith("features/"):
        given += ["model.widths=[4,4,4,4,4]"]
    if is_of_a_generator(group, option):
        given += ["task=wgan"]
    if option == "conditional_wasserstein":
        given += ["task.conditional=true"]
    if option == "hessian_negative_share":
        given += ["measure.hessian_negative_share.steps=5"]
    if option in ("fid", "kid", "precision_recall", "dcgan", "resnet_gan"):
        given += ["features=random"]
    if option in ("fid", "kid", "precision_recall") or group == "features" or option in SMALL:
        given += ["dataset=mnist"] if option == "classifier" else PICTURES
    if option.startswith("wgan_sn/"):
        given += ["dataset.size=32", "dataset=fashion_mnist", "features=random"]
    if option.startswith("vat_mnist/"):
        given += ["model.widths=[4,4,4,4]"]
    if of := download_of(option):
        given += tiny.overrides(of)
        given += ["dataset.zca=false"] if of == "cifar10" else []  # seconds; test_cifar.py has it
    if of and group == "experiment":
        given += [SMALL["conv_large"]]
    return given + ([SMALL[option]] if option in SMALL else [])


def configured(group: str, option: str) -> dict[str, Any]:
    """The configuration of `overrides_for`, of few compositions: one takes Hydra 0.2 seconds."""
    given = dict(override.split("=", 1) for override in overrides_for(group, option))
    config = deepcopy(of_task(given.pop("task", "classify")))
    for key, value in given.items():
        if key in GROUPS:
            node = {} if value == "none" else deepcopy(every_node()[key][value])
            config[key] = {value: node} if node and key in KEYED else node
        else:
            *path, last = key.split(".")
            node = config
            for name in path:
                node = node[name]
            node[last] = yaml.safe_load(value)
    return config


@cache
def of_task(option: str) -> dict[str, Any]:
    return composed(f"task={option}")


@cache
def every_node() -> dict[str, dict[str, Any]]:
    """The node of every option by group, but for those that choose other groups."""
    chosen = [case for case in CASES if case[0] not in ("experiment", "task") and case[1] != "none"]
    nodes: dict[str, dict[str, Any]] = composed(*(f"+{g}@each.{g}.{o}={o}" for g, o in chosen))["each"]
    return nodes


def download_of(option: str) -> str | None:
    """Which of the large downloads an option reads, if any; an experiment is named cifar10_4000/ARM."""
    name = option.split("/")[0].split("_")[0]
    return name if name in tiny.SIZES else None
