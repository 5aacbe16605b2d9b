"""Gives the jobs of a sweep to the launcher that the command line, or a file, has chosen."""

from collections.abc import Sequence
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict, read_write

from genreg.cli.compose import compose, hydra_part, plain
from genreg.cli.explain import explaining
from genreg.errors import InputError
from genreg.launcher import batch, job
from genreg.launcher.job import Job, Outcome
from genreg.launcher.table import Table


def agree(jobs: list[Job], master: DictConfig, about: Sequence[str]) -> None:
    """Let `master` have the launcher that the files of the jobs ask for.

    InputError where they ask for different ones, or for a sweeper, which came too late for that.
    """
    for part in ("launcher", "sweeper"):
        own = hydra_part(master, part)
        asked = [job.hydra[part] for job in jobs if job.hydra]
        if all(each == own for each in asked):
            continue
        typed = hydra_part(compose([*about]), part)
        wanted = asked[0] if own == typed else own
        if part == "sweeper" or not all(each == wanted for each in asked):
            expected = f"one {part} for the whole sweep: type it, or let every arm's file choose the same"
            raise InputError(f"hydra.{part}", expected)
        with read_write(master.hydra), open_dict(master.hydra):
            master.hydra[part] = wanted


def retries(master: DictConfig) -> bool:
    """Whether the launcher runs again what has failed."""
    return bool(hydra_part(master, "launcher").get("retry_failed", False))


def keeps_going(master: DictConfig) -> bool:
    """Whether the launcher goes on after a failure."""
    return bool(hydra_part(master, "launcher").get("keep_going", True))


def launch(jobs: list[Job], master: DictConfig, dry_run: bool, again: bool, whole: bool = True) -> None:
    """Run the jobs by the chosen launcher: one of genreg's, or any that Hydra knows.

    whole: whether they are all of the sweep; of a stage less is said.
    """
    hydra_config = GlobalHydra.instance()
    context = HydraContext(config_loader=hydra_config.config_loader(), callbacks=Callbacks(master))
    with explaining([]):
        launcher: Any = Plugins.instance().instantiate_launcher(context, _run_by_hydra, master)
    retry_failed = retries(master)

    def run(jobs: list[Job], table: Table) -> Sequence[Outcome | None]:
        if hasattr(launcher, "run"):
            return list(launcher.run(jobs, table))
        return [ended.return_value for ended in launcher.launch([job.overrides for job in jobs], 0)]

    if dry_run:
        batch.dry_run(jobs, getattr(launcher, "workers", lambda _jobs: 1), retry_failed)
    else:
        batch.run_batch(
            jobs, run, retry_failed=retry_failed, keep_going=keeps_going(master), again=again, whole=whole
        )


def _run_by_hydra(cfg: DictConfig) -> Outcome:
    """One job under a launcher that composes for itself."""
    from hydra.core.hydra_config import HydraConfig

    overrides = list(HydraConfig.get().overrides.task)
    return job.run(Job(overrides, plain(cfg)), retry_failed=True)
