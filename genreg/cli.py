"""`genreg train`: composes with Hydra (`explain` asks it for keys); the config object dies here."""

import logging
import os
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from genreg import CONFIGS
from genreg import help as help_page
from genreg.errors import GenregError, InputError, report
from genreg.explain import explain
from genreg.identity import Config
from genreg.train import train

log = logging.getLogger("genreg")

KEYED = ("regularizer", "measure", "logger")
"""Groups of which several options may be chosen, each keyed by its own name."""


def main(arguments: list[str]) -> None:
    """Run `genreg train` with these arguments. Raises GenregError or KeyboardInterrupt."""
    parser = get_args_parser()
    parser.error = _bad_flag  # type: ignore[method-assign]
    flags = parser.parse_args(arguments)
    if flags.help:
        print(help_page.text(Path(flags.config_dir) if flags.config_dir else None))
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise, so that the error is explained below
    sys.argv = ["genreg", *arguments]
    failures: list[GenregError] = []

    def job(cfg: DictConfig) -> None:
        """One run of Hydra's; in a sweep a failure is told here, and the next run starts."""
        in_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
        try:
            config = plain(cfg)
            train(config, OmegaConf.to_yaml(OmegaConf.create(config)), in_sweep=in_sweep)
        except Exception as error:
            failures.append(explain(error, flags.overrides))
            if in_sweep:
                report(failures[-1])

    try:
        hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="train")(job)()
    except Exception as error:  # not from a job: the configuration could not be composed
        found = explain(error, flags.overrides)
        wrong = InputError("configuration", "a valid one", str(error).split("\n")[0])
        raise found if isinstance(found, InputError) else wrong from error
    if failures:
        raise failures[0]


def plain(cfg: DictConfig) -> Config:
    """The resolved configuration as plain values, without what an unchosen option left behind.

    `experiment=vat_200/vat regularizer=entropy` leaves the experiment's `vat: {epsilon: 0.3}`, which no
    chosen file completes with a `_target_`: it is dropped, and the log says so.
    """
    config: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    for group in KEYED:
        if not isinstance(config.get(group), dict):
            raise InputError(group, "the names of options", config.get(group))
        for name, node in list(config[group].items()):
            if isinstance(node, dict) and "_target_" not in node:
                log.warning("%s.%s is set but not chosen: left out (choose it with %s=[...,%s])",
                            group, name, group, name)  # fmt: skip
                del config[group][name]
    return config


def _bad_flag(message: str) -> Any:
    raise InputError("genreg train", "a flag that `genreg train --help` lists", message)
