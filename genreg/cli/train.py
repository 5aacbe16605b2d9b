"""`genreg train`: composes one run with Hydra (`launcher/compose.py` many); the config object dies here."""

import logging
import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from genreg import CONFIGS
from genreg.cli import help as help_page
from genreg.cli.explain import explain
from genreg.errors import GenregError, InputError, report
from genreg.run.identity import Config, run_path
from genreg.run.train import train

log = logging.getLogger("genreg")

KEYED = ("regularizer", "measure", "logger")
"""Groups of which several options may be chosen, each keyed by its own name."""


def main(arguments: list[str]) -> None:
    """Run `genreg train` with these arguments. Raises GenregError or KeyboardInterrupt."""
    parser = get_args_parser()
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--like", type=Path)
    parser.error = _bad_flag  # type: ignore[method-assign]
    flags = parser.parse_intermixed_args(arguments)
    if flags.config_dir:
        sys.path.append(str(Path(flags.config_dir).resolve()))  # last: nothing else is found differently
    if flags.help:
        print(help_page.text(Path(flags.config_dir) if flags.config_dir else None))
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise, so that the error is explained below
    sys.argv = ["genreg", *arguments]
    shown = flags.cfg or flags.info or flags.hydra_help or flags.shell_completion
    keys = [key(override) for override in flags.overrides]
    many = flags.multirun or "sweep" in keys
    own_sweeper = any(name.startswith(("hydra/sweeper", "hydra.sweeper")) for name in keys)
    try:
        if flags.like:
            _again(flags)
        elif many and not shown and not own_sweeper:
            from genreg.cli import sweep as compose

            compose.sweep(flags)
        else:
            _one(flags)
    except Exception as error:
        raise explain(error, flags.overrides) from error


def _one(flags: Namespace) -> None:
    """What Hydra does with a command: one run, or a sweep by another sweeper than Hydra's basic one."""
    if flags.dry_run:
        raise InputError("--dry-run", "a sweep: sweep=NAME or -m")
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
        raise found if isinstance(error, GenregError) or isinstance(found, InputError) else wrong from error
    if failures:
        raise failures[0]


def _again(flags: Namespace) -> None:
    """Repeat the run in a folder, and warn of whatever is not as it was then."""
    from genreg.cli import like

    if flags.multirun or flags.cfg or flags.dry_run:
        raise InputError("--like", "one run: no -m, --cfg or --dry-run")
    config = plain(like.config_of(flags.like, flags.overrides))
    like.check_elsewhere(flags.like, config)
    logging.basicConfig(format="[%(asctime)s][%(levelname)s] - %(message)s", level=logging.INFO)
    before = like.environment(flags.like)
    train(config, OmegaConf.to_yaml(OmegaConf.create(config)))
    for line in like.differences(before, like.environment(run_path(config))):
        log.warning("--like: %s", line)


def key(override: str) -> str:
    """The key of an override: `a.b` of `+a.b=3`."""
    return override.split("=")[0].lstrip("+~")


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
