"""What only Hydra's own main does: --cfg, --info, --hydra-help, completion, and sweepers of another kind."""

import os
import sys
from argparse import Namespace
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig, OmegaConf

from genreg.cli import compose
from genreg.cli.explain import explaining
from genreg.errors import InputError, explained, report
from genreg.installed import CONFIGS
from genreg.launcher.overrides import key
from genreg.run.folder import Row
from genreg.run.metric import judged
from genreg.run.train import train

SWITCHES = {
    "direction": {"minimize": "min", "maximize": "max"},  # optuna
    "optim.maximize": {"False": "min", "True": "max"},  # nevergrad
    "ax_config.experiment.minimize": {"True": "min", "False": "max"},
}
"""Keys of sweepers that say which way is better, with what each value means."""


def by_hydra(flags: Namespace, arguments: list[str]) -> None:
    """Let Hydra answer what was typed."""
    if flags.again:
        raise InputError("--again", "one run, or a sweep by Hydra's basic sweeper")
    if flags.dry_run:
        raise InputError("--dry-run", "a sweep: sweep=NAME or -m")
    if flags.multirun and "sweep" in map(key, flags.overrides):
        raise InputError("hydra/sweeper", "a grid: what the runs of a sweep file are stands in it")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise, so that the error can be explained
    first = [argument for argument in arguments if argument not in flags.overrides]
    sys.argv = ["genreg", *first, *flags.overrides]  # Hydra itself takes no override after a flag
    with explaining(flags.overrides):
        hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="train")(_job)()


def _job(cfg: DictConfig) -> float | None:
    """One run of another sweeper. A failure is told here; Hydra raises the first when all have been tried."""
    try:
        node: Any = HydraConfig.get()
        compose.check(node, cfg.output_dir)
        return value(train(compose.plain(cfg), in_sweep=True), node.sweeper)
    except Exception as error:
        failure = explained(error)
        report(failure)
        raise failure from error


def value(summary: Row, sweeper: DictConfig) -> float | None:
    """What a sweeper is told of a run: what chose its step. InputError if it looks the other way."""
    found = judged(summary)
    if found is None:
        return None
    name, number, better = found
    for switch, ways in SWITCHES.items():
        typed: Any = OmegaConf.select(sweeper, switch)
        if isinstance(typed, ListConfig):
            if len(typed) != 1:
                raise InputError(f"hydra.sweeper.{switch}", "one direction: a run has one value", list(typed))
            typed = typed[0]
        word = str(getattr(typed, "name", typed))
        if ways.get(word, better) != better:
            right = next(word for word, way in ways.items() if way == better)
            larger = "larger" if better == "max" else "smaller"
            raise InputError(f"hydra.sweeper.{switch}", f"{right}: of {name} the {larger} is better", word)
    return number
