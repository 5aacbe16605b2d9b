"""`genreg train sweep=NAME`, or -m: the jobs that a sweep asks for, stage after stage, by its launcher."""

import itertools
from argparse import Namespace
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from genreg.cli.by_hydra import agree, keeps_going, launch, launcher_of, retries
from genreg.cli.compose import (
    about_hydra,
    compose,
    configs,
    explaining,
    hydra_part,
    process_settings,
)
from genreg.cli.help import GROUPS
from genreg.cli.jobs import Composer
from genreg.errors import InputError
from genreg.run.extend import extend
from genreg.study import file as sweep_file
from genreg.study.batch import SweepFailedError
from genreg.study.job import LOST, Job, finished, group, key, merged, of_hydra, value
from genreg.study.model import Part
from genreg.study.stages import Stages, run_stages
from genreg.study.until import DECIDED

BASIC = f"{BasicSweeper.__module__}.{BasicSweeper.__name__}"


def sweep(flags: Namespace) -> bool:
    """Run a sweep file, or with -m every combination of values; False if a file asks for another sweeper.

    Overrides of hydra's and of the sweep's own keys are about the sweep, all others hold for every job.
    """
    own = [o for o in flags.overrides if key(o) == "sweep" or key(o).startswith("sweep.")]
    given = [o for o in flags.overrides if o not in own and not of_hydra(o)]
    about = about_hydra(flags)
    with configs():
        forced = [f"++{o}" if o.startswith("sweep.") else o for o in own]
        name = next((value(o) for o in own if o.startswith("sweep=")), None)
        place = [o for o in given if key(o) == "output_dir"] or (
            [f"output_dir=outputs/{name}"] if name else []
        )
        master = _master([*about, *forced], [] if own else given, place)
        if own and name is None:
            raise InputError(key(own[0]), "a sweep file beside it: sweep=NAME", own[0])
        node = _node(master)
        dry_run = flags.dry_run or node.get("dry_run") is True
        sweeper = hydra_part(master, "sweeper")
        if sweeper["_target_"] != BASIC or sweeper["max_batch_size"] is not None:
            if own or dry_run:
                raise InputError(
                    "hydra/sweeper", "none beside a sweep file or --dry-run", sweeper["_target_"]
                )
            return False
        with process_settings(master).entered():
            if name is None:
                params = [f"{path}={typed}" for path, typed in (sweeper["params"] or {}).items()]
                jobs = Composer(about).jobs(grid(merged(params, given)))
                agree(jobs, master, about)
                for job in jobs if flags.extend and not dry_run else ():
                    extend(job.config)
                launch(jobs, launcher_of(master), master, dry_run, flags.again)
            else:
                command = None if dry_run else flags.overrides
                typed = any(key(o) == "sweep.seeds" for o in own)
                stages = stages_of(name, node, given, about, command, flags.until, typed)
                _run_file(stages, master, about, dry_run, flags.again)
    return True


def _node(master: DictConfig) -> dict[str, Any]:
    """The content of a sweep file, as far as it is one; empty without a file."""
    node: Any = OmegaConf.to_container(master.sweep, resolve=True) if "sweep" in master else {}
    if not isinstance(node, dict):
        raise InputError("sweep", "a file with the key parts", node)
    return node


def _master(about: list[str], given: list[str], place: list[str]) -> DictConfig:
    """The sweep's own configuration: Hydra's keys, as typed and as options say that hold for all.

    place: the override of output_dir, below which launchers of Hydra write files of their own.
    """
    parser = OverridesParser.create()
    with explaining(given):
        place = [o for o in place if not parser.parse_override(o).is_sweep_override()]
        chosen = [o for o in given if group(o) in GROUPS and not parser.parse_override(o).is_sweep_override()]
    try:
        return compose([*about, *place, *chosen])
    except InputError:  # what is wrong with an option is said of its combinations
        return compose([*about, *place])


def stages_of(
    name: str,
    node: dict[str, Any],
    given: list[str],
    about: list[str],
    command: list[str] | None,
    until: str | None = None,
    typed: bool = False,
) -> Stages:
    """A sweep file on its way. command: what was typed, for sweep.json; None writes no file.

    typed: the number of seeds was.
    """
    chosen = sweep_file.read(node, DECIDED if until else None, typed)
    if any(key(o) == "seed" for o in given):
        raise InputError("seed", "sweep.seeds=N or sweep.seeds=[...]: a sweep has seeds of its own")
    if until and not any(part.until for part in chosen.parts.values()):
        raise InputError("--until", "a part that does not say how many seeds it has", until)
    _check_varied(chosen, given)
    if not any(key(o) == "output_dir" for o in given):
        given = [*given, f"output_dir=outputs/{name}"]
    return Stages(name, chosen, given, Composer(about).jobs, command, _judge)


def _judge(parts: list[Part]) -> list[Any]:
    """The tables of parts. With scipy, which only a sweep with stages needs."""
    from genreg.report.evaluate import evaluate_all

    return list(evaluate_all(parts))


def _check_varied(chosen: sweep_file.SweepFile, given: list[str]) -> None:
    """InputError for a typed key of which the file tries values: one would stand for all of them."""
    typed = {key(o): o for o in given}
    for name, part in chosen.parts.items():
        spaces = part.tune.space.values() if part.tune else ()
        for varied in (part.grid, *spaces):
            for both in sorted(typed.keys() & varied.keys()):
                raise InputError(both, f"a key that part {name} does not vary", typed[both])


def _run_file(stages: Stages, master: DictConfig, about: list[str], dry_run: bool, again: bool) -> None:
    """Run stage after stage by the launcher of the sweep; failures are printed once more at the end."""

    def start(jobs: list[Job], whole: bool) -> None:
        agree(jobs, master, about)
        launcher = launcher_of(master)
        stages.write(jobs)  # behind all that refuses the sweep, before the first run
        try:
            launch(jobs, launcher, master, dry_run, again, whole)
        except SweepFailedError as error:
            found = zip(jobs, error.outcomes, strict=True)
            lost = [(job, outcome) for job, outcome in found if outcome and outcome.status in LOST]
            # the next stage goes on with failed runs, which are results: not with broken ones, or bad input
            without = any(outcome.exit_code == 2 or not finished(job) for job, outcome in lost)
            if whole or without or not keeps_going(master):
                raise

    run_stages(stages, start, retries(master), again, dry_run)


def grid(overrides: list[str]) -> list[list[str]]:
    """Every combination of the comma-separated values, ranges and globs, as `-m` means them."""
    with explaining(overrides):
        parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
        parsed = parser.parse_overrides(overrides)
        _check_size(parsed)
        return BasicSweeper.split_arguments(parsed, None)[0]


def _check_size(overrides: list[Override]) -> None:
    """InputError for a grid of more than so many runs, before its list is made."""
    many, most = 1, sweep_file.RUNS
    for one in overrides:
        if one.is_sweep_override():
            many *= sum(1 for _ in itertools.islice(one.sweep_iterator(), most + 1))
        if many > most:
            raise InputError(one.get_key_element(), f"at most {most:,} runs of a grid", one.input_line)
