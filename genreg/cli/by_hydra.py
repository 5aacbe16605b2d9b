"""Hands over to Hydra itself: --cfg, --info, completion, sweepers of another kind, launchers by plugin."""

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict, read_write

from genreg.cli.compose import check, compose, explaining, hydra_part, plain
from genreg.errors import InputError, explained, report
from genreg.groups import CONFIGS, OWN, find_modules_in
from genreg.run.folder import Row
from genreg.run.metric import judged
from genreg.run.train import train
from genreg.study import batch, job
from genreg.study.batch import Launcher
from genreg.study.job import Job, Outcome, key
from genreg.study.table import Table

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
    """Make one run of another sweeper. A failure is printed here; Hydra raises the first at the end."""
    try:
        node: Any = HydraConfig.get()
        check(node, cfg.output_dir)
        return value(train(plain(cfg), in_sweep=True), node.sweeper)
    except Exception as error:
        failure = explained(error)
        report(failure)
        raise failure from error


def value(summary: Row, sweeper: DictConfig) -> float | None:
    """The value of the metric that chose the step of a run; InputError if a sweeper goes the other way."""
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


def agree(jobs: list[Job], master: DictConfig, about: Sequence[str]) -> None:
    """Give `master` the launcher that the files of the jobs choose.

    InputError where they choose different ones, or a sweeper: the sweep has begun by then.
    """
    for part in ("launcher", "sweeper"):
        own = hydra_part(master, part)
        chosen = [job.hydra[part] for job in jobs if job.hydra]
        if all(each == own for each in chosen):
            continue
        typed = hydra_part(compose([*about]), part)
        common = chosen[0] if own == typed else own
        if part == "sweeper" or not all(each == common for each in chosen):
            expected = f"one {part} for the whole sweep: type it, or let every arm's file choose the same"
            raise InputError(f"hydra.{part}", expected)
        with read_write(master.hydra), open_dict(master.hydra):
            master.hydra[part] = common


def retries(master: DictConfig) -> bool:
    """True if the launcher runs failed jobs again."""
    return bool(hydra_part(master, "launcher").get("retry_failed", False))


def keeps_going(master: DictConfig) -> bool:
    """True if the launcher goes on after a failure."""
    return bool(hydra_part(master, "launcher").get("keep_going", True))


def launcher_of(master: DictConfig) -> Any:
    """The chosen launcher: one of genreg's, whose options are checked, or any that Hydra knows."""
    context = HydraContext(config_loader=GlobalHydra.instance().config_loader(), callbacks=Callbacks(master))
    with explaining([]):
        return Plugins.instance().instantiate_launcher(context, partial(_run_by_hydra, [*OWN]), master)


def launch(
    jobs: list[Job], launcher: Any, master: DictConfig, dry_run: bool, again: bool, whole: bool = True
) -> None:
    """Run the jobs by a launcher. whole: they are all jobs of the sweep, not those of a stage."""
    retry_failed = retries(master)

    def run(jobs: list[Job], table: Table) -> Sequence[Outcome | None]:
        if isinstance(launcher, Launcher):
            return launcher.run(jobs, table)
        return [ended.return_value for ended in launcher.launch([job.overrides for job in jobs], 0)]

    if dry_run:
        batch.dry_run(jobs, launcher if isinstance(launcher, Launcher) else None, retry_failed)
    else:
        batch.run_batch(
            jobs, run, retry_failed=retry_failed, keep_going=keeps_going(master), again=again, whole=whole
        )


def _run_by_hydra(own: Sequence[Path], cfg: DictConfig) -> Outcome:
    """Run one job under a launcher that composes it anew. own: the folders of --config-dir.

    The process may be another, as submitit's is, which knows nothing of these folders.
    """
    for folder in own:
        if folder not in OWN:
            find_modules_in(folder)
    overrides = list(HydraConfig.get().overrides.task)
    return job.run(Job(overrides, plain(cfg)), retry_failed=True)
