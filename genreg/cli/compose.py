"""From overrides to plain values: Hydra composes, and its config object dies here."""

import logging
import os
from argparse import Namespace
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from genreg.cli.explain import explaining
from genreg.errors import InputError
from genreg.factory import KEYED
from genreg.installed import CONFIGS
from genreg.launcher.job import Job
from genreg.launcher.overrides import key, of_hydra
from genreg.launcher.surroundings import Surroundings
from genreg.run.identity import Config

log = logging.getLogger("genreg")

FIXED: dict[str, tuple[Any, str]] = {
    "run.dir": (".", "'.': output_dir says where runs lie"),
    "sweep.subdir": (".", "'.': output_dir says where runs lie"),
    "output_subdir": (None, "null: a run folder holds its config.yaml"),
    "job.chdir": (False, "false: a run stays in the folder it was started in"),
    "callbacks": ({}, "none: genreg calls no callbacks"),
}
"""Keys of the hydra node that genreg does not honour: their only value, and why."""

BY_TASK = ("generator_optimizer", "unlabeled_optimizer")
"""Groups that only some task chooses an option of; an experiment may have set values of it for another."""


def configs() -> Any:
    """Where Hydra finds the groups, for as long as this context lasts."""
    return hydra.initialize_config_dir(str(CONFIGS), job_name="train", version_base="1.3")


def about_hydra(flags: Namespace) -> list[str]:
    """The overrides of Hydra's own keys, with --config-dir first on its search path."""
    given = [o for o in flags.overrides if of_hydra(o)]
    if flags.config_dir is None:
        return given
    if not Path(flags.config_dir).is_dir():
        raise InputError("--config-dir", "an existing folder", flags.config_dir)
    search = [f"file://{Path(flags.config_dir).resolve()}"]
    for override in (o for o in given if key(o) == "hydra.searchpath"):
        with explaining([override]):
            typed: Any = OverridesParser.create().parse_override(override).value()
        if not isinstance(typed, list):
            raise InputError("hydra.searchpath", "a list of folders", typed)
        search += typed
    quoted = ",".join("'" + path.replace("'", r"\'") + "'" for path in search)
    return [*(o for o in given if key(o) != "hydra.searchpath"), f"hydra.searchpath=[{quoted}]"]


def compose(overrides: list[str]) -> DictConfig:
    """The configuration with its hydra node; InputError for what genreg cannot honour of that."""
    with explaining(overrides):
        cfg = hydra.compose("train", overrides, return_hydra_config=True)
        check(cfg.hydra, cfg.output_dir)
        with read_write(cfg.hydra.runtime), open_dict(cfg.hydra.runtime):
            cfg.hydra.runtime.output_dir = os.path.abspath(cfg.hydra.run.dir)
    HydraConfig.instance().set_config(cfg)  # what ${hydra:...} refers to
    return cfg


def check(node: DictConfig, output_dir: str) -> None:
    """InputError for what a hydra node asks that genreg does not honour."""
    for path, (only, expected) in FIXED.items():
        found = OmegaConf.select(node, path)
        if found != only:
            raise InputError(f"hydra.{path}", expected, str(found))
    if node.sweep.dir != output_dir:
        raise InputError("hydra.sweep.dir", "output_dir, which says where runs lie", node.sweep.dir)


def surroundings(cfg: DictConfig) -> Surroundings:
    """What a composed configuration asks of the process of its run."""
    with explaining([]):
        log: Any = OmegaConf.to_container(cfg.hydra.job_logging, resolve=True)
        variables: Any = OmegaConf.to_container(cfg.hydra.job.env_set, resolve=True)
        verbose = cfg.hydra.verbose
        if isinstance(verbose, bool):
            verbose = ["root"] if verbose else []
        verbose = [verbose] if isinstance(verbose, str) else list(verbose)
    return Surroundings(variables, log if log.get("root") else {}, verbose)


def hydra_part(cfg: DictConfig, part: str) -> dict[str, Any]:
    """The launcher or the sweeper that a configuration asks for, as it is written."""
    return OmegaConf.to_container(cfg.hydra[part])  # type: ignore[return-value]


def job_of(cfg: DictConfig, overrides: list[str]) -> Job:
    """The job of a composed configuration, its scalars checked."""
    hydra_parts = {part: hydra_part(cfg, part) for part in ("launcher", "sweeper")}
    job = Job(overrides, plain(cfg), surroundings(cfg), hydra=hydra_parts)
    _ = job.settings  # complains here, not in the middle of a sweep
    return job


def plain(cfg: DictConfig) -> Config:
    """The resolved configuration as plain values, without what an unchosen option left behind.

    `experiment=vat_200/vat regularizer=entropy` leaves the experiment's `vat: {epsilon: 0.3}`, which no
    chosen file completes with a `_target_`: it is dropped, and the log says so. So is `BY_TASK`.
    """
    with explaining([]):
        task = OmegaConf.masked_copy(cfg, [str(name) for name in cfg if name != "hydra"])
        config: Config = OmegaConf.to_container(task, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    for group in KEYED:
        if not isinstance(config.get(group), dict):
            raise InputError(group, "the names of options", config.get(group))
        for name, node in list(config[group].items()):
            if isinstance(node, dict) and "_target_" not in node:
                log.warning("%s.%s is set but not chosen: left out (choose it with %s=[...,%s])",
                            group, name, group, name)  # fmt: skip
                del config[group][name]
    for group in BY_TASK:
        if "_target_" not in config.get(group, {"_target_": ""}):
            log.warning("%s is set, but this task has none: left out", group)
            del config[group]
    return config
