"""Asks Hydra for the jobs of a sweep: each arm is composed once, its seeds are copies."""

import re
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.callbacks import Callbacks
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import configure_log
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from genreg import CONFIGS
from genreg.cli.explain import explain
from genreg.cli.train import key, plain
from genreg.errors import InputError
from genreg.launcher import batch, job, plan
from genreg.launcher import sweep as sweep_file
from genreg.launcher.job import Job, Outcome
from genreg.launcher.table import Table


def sweep(flags: Namespace) -> None:
    """Run a sweep file, or with -m every combination of values.

    Overrides of hydra's and of the sweep's own keys are about the sweep, all others hold for every job.
    """
    about = [o for o in flags.overrides if re.match(r"(hydra[./]|sweep\b)", key(o))]
    given = [o for o in flags.overrides if o not in about]
    with hydra.initialize_config_dir(str(CONFIGS), job_name="train", version_base="1.3"):
        search = [f"hydra.searchpath=[file://{Path(flags.config_dir).resolve()}]"] if flags.config_dir else []
        about = [*search, *(f"++{o}" if o.startswith("sweep.") else o for o in about)]
        master = hydra.compose("train", about, return_hydra_config=True)
        configure_log(master.hydra.job_logging)
        node: Any = OmegaConf.to_container(master.sweep, resolve=True) if "sweep" in master else {}
        dry_run = flags.dry_run or node.get("dry_run") is True
        name = next((o.partition("=")[2] for o in about if o.startswith("sweep=")), None)
        if name is None:
            jobs = compose_jobs(grid(given), search)
        else:
            jobs = of_file(name, node, given, search, None if dry_run else flags.overrides)
        _launch(jobs, master, dry_run)


def of_file(
    name: str, node: dict[str, Any], given: list[str], search: list[str], command: list[str] | None
) -> list[Job]:
    """The jobs of a sweep file. command: what was typed, for sweep.json; None writes no file."""
    chosen = sweep_file.read(node)
    if any(key(o) == "seed" for o in given):
        raise InputError("seed", "sweep.seeds=N or sweep.seeds=[...]: a sweep has seeds of its own")
    if not any(key(o) == "output_dir" for o in given):
        given = [*given, f"output_dir=outputs/{name}"]
    owners, lists = plan.batches(sweep_file.arms(chosen), given)
    jobs = compose_jobs(lists, search)
    batch.look(jobs, retry_failed=False)  # refuses a run twice before anything is written
    if command is not None:
        plan.write(Path(jobs[0].config["output_dir"]), name, command, chosen, owners, jobs)
    return jobs


def grid(overrides: list[str]) -> list[list[str]]:
    """Every combination of the comma-separated values, ranges and globs, as `-m` means them."""
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    return BasicSweeper.split_arguments(parser.parse_overrides(overrides), None)[0]


def compose_jobs(lists: Sequence[list[str]], search: Sequence[str] = ()) -> list[Job]:
    """One job for each list of overrides; lists that differ in `seed=` alone are composed once."""
    arms: dict[tuple[str, ...], Job] = {}
    jobs = []
    for overrides in lists:
        own = tuple(o for o in overrides if not re.fullmatch(r"seed=\d+", o))
        if own not in arms:
            arms[own] = _compose(list(own), search)
        seeds = [int(o.partition("=")[2]) for o in overrides if o not in own]
        jobs.append(_seeded(arms[own], overrides, seeds[0]) if seeds else arms[own])
    return jobs


def _compose(overrides: list[str], search: Sequence[str]) -> Job:
    try:
        cfg = hydra.compose("train", [*search, *overrides])
        if re.search(r"\$\{\.*seed\}", OmegaConf.to_yaml(cfg)):
            raise InputError("seed", "no other key that refers to ${seed} in a sweep")
        return of_config(cfg, overrides)
    except Exception as error:
        raise explain(error, overrides) from error


def of_config(cfg: DictConfig, overrides: list[str]) -> Job:
    """The job of a composed configuration."""
    config = plain(cfg)
    return Job(overrides, config, OmegaConf.to_yaml(OmegaConf.create(config)))


def _seeded(arm: Job, overrides: list[str], seed: int) -> Job:
    yaml = re.sub(r"^seed: .*$", f"seed: {seed}", arm.yaml, count=1, flags=re.MULTILINE)
    return Job(overrides, {**arm.config, "seed": seed}, yaml)


def _launch(jobs: list[Job], master: DictConfig, dry_run: bool) -> None:
    """Give the jobs to the chosen launcher: one of genreg's, or any that Hydra knows."""
    hydra_config = GlobalHydra.instance()
    context = HydraContext(config_loader=hydra_config.config_loader(), callbacks=Callbacks(master))
    launcher: Any = Plugins.instance().instantiate_launcher(context, _run_by_hydra, master)
    options: dict[str, Any] = getattr(launcher, "options", {})
    retry_failed = options.get("retry_failed", False)

    def run(jobs: list[Job], table: Table) -> Sequence[Outcome | None]:
        if hasattr(launcher, "run"):
            return launcher.run(jobs, table)
        return [ended.return_value for ended in launcher.launch([job.overrides for job in jobs], 0)]

    if dry_run:
        workers = launcher.workers(jobs) if hasattr(launcher, "workers") else 1
        batch.dry_run(jobs, workers, retry_failed)
    else:
        keep_going = options.get("keep_going", True)
        batch.run_batch(jobs, run, retry_failed=retry_failed, keep_going=keep_going)


def _run_by_hydra(cfg: DictConfig) -> Outcome:
    """One job under a launcher that composes for itself."""
    from hydra.core.hydra_config import HydraConfig

    return job.run(of_config(cfg, list(HydraConfig.get().overrides.task)), retry_failed=True)
