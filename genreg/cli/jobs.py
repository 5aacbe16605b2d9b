"""Composes the jobs of a sweep: seeds are copies of an arm, arms that differ in values of one composition."""

import copy
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from genreg.cli.compose import compose, explaining, hydra_parts, job_of, plain, process_settings, with_needs
from genreg.cli.help import GROUPS
from genreg.errors import GenregError, InputError
from genreg.run.train import Settings
from genreg.study.batch import SweepFailedError
from genreg.study.job import Job, finished, group, key, of_another_option, of_hydra, value

SEED = re.compile(r"\$\{\.*seed\}")
SCALARS = {field.name for field in fields(Settings)}


@dataclass
class Composer:
    """Jobs by their overrides. about: overrides of Hydra's own keys, for all of them.

    Hydra needs 120 to 150 ms for a composition; a copy with other values, applied by Hydra's own code to what
    the choices of groups give, a tenth of it. Where more than values is typed (+, ~, an interpolation), or
    where Hydra's own node and the configuration refer to one another, everything is composed anew.
    """

    about: Sequence[str] = ()
    bases: dict[tuple[str, ...], tuple[DictConfig, Job] | None] = field(default_factory=dict)
    arms: dict[tuple[str, ...], Job] = field(default_factory=dict)
    checked: set[tuple[str, ...]] = field(default_factory=set)

    def jobs(self, lists: Sequence[list[str]]) -> list[Job]:
        """One job for each list of overrides; lists that differ in `seed=` alone are composed once.

        InputError for jobs that can be seen to be wrong.
        """
        wrong: dict[tuple[str, ...], GenregError] = {}
        for own in dict.fromkeys(map(_without_seed, lists)):
            if own not in self.arms:
                try:
                    self.arms[own] = self._copied(list(own)) or self._composed(list(own))
                except GenregError as error:
                    wrong[own] = error
        arms = len(self.arms) + len(wrong)
        composed = [own for own in lists if _without_seed(own) in self.arms]
        jobs = {tuple(own): _seeded(self.arms[_without_seed(own)], own) for own in composed}
        wrong |= self._wrong(jobs)
        if wrong:
            _refuse(wrong, arms)
        return with_needs([jobs[tuple(own)] for own in lists], self.about)

    def _wrong(self, jobs: dict[tuple[str, ...], Job]) -> dict[tuple[str, ...], GenregError]:
        """The arms that have jobs left, and values that their targets refuse."""
        found: dict[tuple[str, ...], GenregError] = {}
        left = dict.fromkeys(_without_seed(list(own)) for own, job in jobs.items() if not finished(job))
        for own in (own for own in left if own not in self.checked):
            from genreg.run.build import check_nodes  # with torch, which jobs that are left need anyway

            try:
                check_nodes(self.arms[own].config)
                self.checked.add(own)
            except GenregError as error:
                found[own] = of_another_option(error, own)
        return found

    def _composed(self, overrides: list[str]) -> Job:
        cfg = compose([*self.about, *overrides])
        if SEED.search(OmegaConf.to_yaml(cfg)):
            raise InputError("seed", "no other key that refers to ${seed} in a sweep")
        return job_of(cfg, overrides)

    def _copied(self, overrides: list[str]) -> Job | None:
        """The composition of the choices alone, with the values; None where that could be another."""
        choices = tuple(o for o in overrides if not _is_value(o))
        if not all(map(_is_choice, choices)):
            return None
        if choices not in self.bases:
            self.bases[choices] = _base([*self.about, *choices])
        base, parsed = self.bases[choices], [_parsed(o) for o in overrides if _is_value(o)]
        values = [one for one in parsed if one and not one.is_sweep_override()]
        if base is None or len(values) < len(parsed):
            return None
        cfg = copy.deepcopy(base[0])
        with explaining(overrides):
            ConfigLoaderImpl._apply_overrides_to_config(values, cfg)
        job = replace(base[1], overrides=overrides, config=plain(cfg))
        _ = job.settings
        return job


def _base(choices: list[str]) -> tuple[DictConfig, Job] | None:
    """A composition to copy without Hydra's node, and what that asks of a job; None if they are bound up."""
    try:
        cfg = compose(choices)
        job = Job([], {}, process_settings(cfg), hydra=hydra_parts(cfg))
    except InputError:
        return None  # perhaps a value mends it
    task = OmegaConf.masked_copy(cfg, [str(name) for name in cfg if name != "hydra"])
    OmegaConf.set_struct(task, True)  # no key that there is not; a masked copy forgets it
    node: Any = OmegaConf.to_container(cfg.hydra)
    own = OmegaConf.to_yaml(OmegaConf.create([node["job_logging"], node["job"]["env_set"]]))
    bound = "${hydra:" in (text := OmegaConf.to_yaml(task)) or SEED.search(text) or "${" in own
    return None if bound or node["sweep"]["dir"] != "${output_dir}" else (task, job)


def _is_value(override: str) -> bool:
    """True for a plain value of a key that there is: no choice of a group, nothing added or deleted."""
    name = key(override)
    more = override[0] in "+~" or "=" not in override or "${" in override or of_hydra(override)
    return not more and not {"@", "/"} & set(name) and ("." in name or name in SCALARS)


def _is_choice(override: str) -> bool:
    return group(override) in GROUPS and override[0] not in "+~" and "${" not in override


@cache
def _parsed(override: str) -> Override | None:
    """An override as Hydra reads it; None where it reads nothing, which a composition says best."""
    try:
        return OverridesParser.create().parse_override(override)
    except HydraException:
        return None


def _is_seed(override: str) -> bool:
    return override.startswith("seed=") and value(override).isdecimal()


def _without_seed(overrides: list[str]) -> tuple[str, ...]:
    return tuple(o for o in overrides if not _is_seed(o))


def _seeded(arm: Job, overrides: list[str]) -> Job:
    seeds = [int(value(o)) for o in overrides if _is_seed(o)]
    return replace(arm, overrides=overrides, config={**arm.config, "seed": seeds[0]}) if seeds else arm


def _refuse(wrong: dict[tuple[str, ...], GenregError], arms: int) -> None:
    """Raise what is wrong with all; if they are wrong in several ways, tell each with its overrides first."""
    first = next(iter(wrong.values()))
    if len({str(error) for error in wrong.values()}) == 1:
        raise first
    for overrides, error in wrong.items():
        line = str(error).partition("\n")[0]
        print(f"genreg: {line}  ({shlex.join(overrides)})", file=sys.stderr, flush=True)
    raise SweepFailedError(f"{len(wrong)} of {arms} combinations are wrong, nothing was run", first.exit_code)
