"""Composes what was typed into configurations, by Hydra; its errors become one line that names the key."""

import logging
import os
import re
import warnings
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from genreg.cli.help import GROUPS
from genreg.errors import GenregError, InputError, extra, nearest
from genreg.groups import CONFIGS, options
from genreg.run.factory import KEYED
from genreg.run.find import finished_runs
from genreg.run.identity import Config, experiment_name
from genreg.study.job import Job, ProcessSettings, group, key, of_hydra, value

log = logging.getLogger("genreg")
warnings.filterwarnings("ignore", "The version_base parameter")  # of Hydra 1.4; 1.3 warns without it

UNKNOWN_KEY = r"Could not (?:override|delete from config)[^']*'([^']+)'"
TWICE = r"(?:Multiple values for )?(\w+)(?:\.| appears more than once)"
OPTUNA = "hydra/sweeper/optuna"

FIXED: dict[str, tuple[Any, str]] = {
    "run.dir": (".", "'.': output_dir says where runs lie"),
    "sweep.subdir": (".", "'.': output_dir says where runs lie"),
    "output_subdir": (None, "null: a run folder holds its config.yaml"),
    "job.chdir": (False, "false: a run stays in the folder it was started in"),
    "callbacks": ({}, "none: genreg calls no callbacks"),
}
"""Keys of the hydra node that genreg does not honour: their only value, and why."""

NEEDED = ("task", "dataset", "model", "loss", "regularizer", "optimizer", "scheduler", "measure", "logger")
"""Groups of which every configuration has an option, if only `none`."""

BY_TASK = ("generator_optimizer", "unlabeled_optimizer")
"""Groups that only some task chooses an option of; an experiment may have set values of it for another."""


def configs() -> Any:
    """Let Hydra find the groups, for as long as this context lasts."""
    return hydra.initialize_config_dir(str(CONFIGS), job_name="train", version_base="1.3")


def about_hydra(flags: Namespace) -> list[str]:
    """The overrides of Hydra's own keys, with --config-dir first on its search path."""
    given = [o for o in flags.overrides if of_hydra(o)]
    if flags.config_dir is None:
        return given
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
    check_options(overrides)
    with explaining(overrides):
        cfg = hydra.compose("train", overrides, return_hydra_config=True)
        check(cfg.hydra, cfg.output_dir)
        with read_write(cfg.hydra.runtime), open_dict(cfg.hydra.runtime):
            cfg.hydra.runtime.output_dir = os.path.abspath(cfg.hydra.run.dir)
    HydraConfig.instance().set_config(cfg)  # what ${hydra:...} refers to
    return cfg


def check_options(overrides: list[str]) -> None:
    """InputError for an option of a group that is a file of another folder, or chosen twice."""
    for override in (o for o in overrides if group(o) in GROUPS and "=" in o):
        names = re.split(r"[\[\],'\"\s]+", value(override))
        root, chosen = group(override), [name for name in names if name]
        for name in chosen:
            if ".." in name or name.startswith("/"):
                raise InputError(root, f"an option of the group {root}", name)
            if root in KEYED and "[" in override and override.count("[") == 1 and chosen.count(name) > 1:
                raise InputError(root, "no option twice", name)
    for override in (o for o in overrides if key(o) == "hydra.searchpath"):
        with explaining([override]):
            typed: Any = OverridesParser.create().parse_override(override).value()
        if not isinstance(typed, list):
            raise InputError("hydra.searchpath", "a list of folders", typed)
        _check_search(typed)
    if sum(o.startswith("sweep=") for o in overrides) > 1:
        raise InputError("sweep", "one sweep file", [value(o) for o in overrides if o.startswith("sweep=")])


def check(node: DictConfig, output_dir: str) -> None:
    """InputError for what a hydra node asks that genreg does not honour."""
    for path, (only, expected) in FIXED.items():
        found = OmegaConf.select(node, path)
        if found != only:
            raise InputError(f"hydra.{path}", expected, str(found))
    _check_search(node.searchpath)
    if node.sweep.dir != output_dir:
        raise InputError("hydra.sweep.dir", "output_dir, which says where runs lie", node.sweep.dir)


def _check_search(folders: Iterable[str]) -> None:
    for folder in folders:
        if not (folder.startswith("pkg://") or os.path.isdir(folder.removeprefix("file://"))):
            raise InputError("hydra.searchpath", "existing folders", folder)


def process_settings(cfg: DictConfig) -> ProcessSettings:
    """The settings of the process of a run, as its composed configuration has them."""
    with explaining([]):
        log: Any = OmegaConf.to_container(cfg.hydra.job_logging, resolve=True)
        variables: Any = OmegaConf.to_container(cfg.hydra.job.env_set, resolve=True)
        verbose = cfg.hydra.verbose
        if isinstance(verbose, bool):
            verbose = ["root"] if verbose else []
        verbose = [verbose] if isinstance(verbose, str) else list(verbose)
    return ProcessSettings(variables, log if log.get("root") else {}, verbose)


def hydra_part(cfg: DictConfig, part: str) -> dict[str, Any]:
    """The launcher or the sweeper that a configuration asks for, as it is written."""
    return OmegaConf.to_container(cfg.hydra[part])  # type: ignore[return-value]


def hydra_parts(cfg: DictConfig) -> dict[str, dict[str, Any]]:
    return {part: hydra_part(cfg, part) for part in ("launcher", "sweeper")}


def job_of(cfg: DictConfig, overrides: list[str]) -> Job:
    """The job of a composed configuration, its scalars checked."""
    job = Job(overrides, plain(cfg), process_settings(cfg), hydra=hydra_parts(cfg))
    _ = job.settings  # complains here, not in the middle of a sweep
    return job


def plain(cfg: DictConfig) -> Config:
    """The resolved configuration as plain values, without what an unchosen option left behind.

    `experiment=vat_200/vat regularizer=entropy` leaves the experiment's `vat: {epsilon: 0.3}`, which no
    chosen file completes with a `_target_`: it is dropped, and the log says so. So is `BY_TASK`.
    """
    with explaining([]):
        task = OmegaConf.masked_copy(cfg, [str(n) for n in cfg if n != "hydra"]) if "hydra" in cfg else cfg
        config: Config = OmegaConf.to_container(task, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    for needed in NEEDED:
        if needed not in config:
            raise InputError(needed, f"an option of the group {needed}, or none", "~, which deletes it")
    for keyed in KEYED:
        if not isinstance(config.get(keyed), dict):
            raise InputError(keyed, "the names of options", config.get(keyed))
        for name, node in list(config[keyed].items()):
            if isinstance(node, dict) and "_target_" not in node:
                log.warning("%s.%s is set but not chosen: left out (choose it with %s=[...,%s])",
                            keyed, name, keyed, name)  # fmt: skip
                del config[keyed][name]
    for unused in BY_TASK:
        if "_target_" not in config.get(unused, {"_target_": ""}):
            log.warning("%s is set, but this task has none: left out", unused)
            del config[unused]
    return config


SHARED = ("device", "data_dir", "output_dir", "quiet")
"""Keys whose values the needed run takes from the one that needs it."""

Need = tuple[str, int, str]  # experiment, seed and output_dir


def with_needs(jobs: list[Job], about: Sequence[str] = ()) -> list[Job]:
    """Each job with the one that it needs: another of them, or one of its own; where Hydra is initialized.

    about: overrides of Hydra's own keys.
    """
    needs = [_need(job.config) for job in jobs]
    if not any(needs):
        return jobs
    found: dict[Need, Job | None] = {
        (experiment_name(job.config), job.config["seed"], job.config["output_dir"]): job for job in jobs
    }
    for job, need in zip(jobs, needs, strict=True):
        if need and need not in found:
            found[need] = _compose(need, job.config, about)
    return [replace(job, need=found[need]) if need else job for job, need in zip(jobs, needs, strict=True)]


def _need(config: Config) -> Need | None:
    node = config.get("features") or {}
    return (node["experiment"], node.get("seed", 0), config["output_dir"]) if "experiment" in node else None


def _compose(need: Need, config: Config, about: Sequence[str]) -> Job | None:
    """The needed run; None where there is a finished one, and for no experiment: the features say so."""
    experiment, seed, output_dir = need
    if finished_runs(Path(output_dir), experiment, seed):
        return None
    overrides = [f"experiment={experiment}", f"seed={seed}", f"output_dir={output_dir}"]
    try:
        needed = plain(compose([*about, *overrides]))
    except InputError:
        return None
    if needed["name"] != experiment:  # it would not be found by that name
        return None
    return Job(overrides, {**needed, **{key: config[key] for key in SHARED}})


@contextmanager
def explaining(overrides: list[str]) -> Iterator[None]:
    """Turn an error that Hydra raises inside into an InputError that names the key."""
    try:
        yield
    except GenregError:
        raise
    except Exception as error:
        raise _input_error(error, overrides) from error


def _input_error(error: Any, overrides: list[str]) -> InputError:
    message, kind = str(error), type(error).__name__
    if kind == "MissingConfigException":
        return _missing_option(error, message)
    if match := re.match(r"Could not append to config[^']*'([^']+)'", message):
        return InputError(f"+{match[1]}", f"{match[1]}=... without the +, since the key is there")
    if match := re.match(UNKNOWN_KEY, message):
        return _unknown_key(group(match[1]), overrides)
    if match := re.search(r"(?:Ambiguous value for argument|Sweep parameters) '(.*)'", message):
        return _several(key(match[1]), value(match[1]))
    if (match := re.match(TWICE, message)) and f"+{match[1]}" in [o.partition("=")[0] for o in overrides]:
        return InputError(f"+{match[1]}", f"{match[1]}=... without the +, since there is one")
    if kind == "OverrideParseException":
        return InputError("override", "key=value", getattr(error, "override", message.splitlines()[0]))
    if problem := getattr(error, "problem", None):  # of YAML, with its place in the file
        message = f"{problem} in line {error.problem_mark.line + 1}"
    return InputError("configuration", "a valid one", message.split("\n")[0])


def _several(name: str, values: str) -> InputError:
    """The error of a sweep that was typed without -m, or of a list without its brackets."""
    one = values.strip("'\"")
    a_list = "" if values.endswith((")", "]")) else f", [{values}] is one list, \"'{one}'\" one text"
    return InputError(name, f"one value (genreg train -m ... trains each of several{a_list})", values)


def _missing_option(error: Any, message: str) -> InputError:
    path = getattr(error, "missing_cfg_file", None) or message
    root, _, option = str(path).removesuffix(".yaml").partition("/")
    if root in GROUPS:
        return InputError(root, f"an option of the group {root}", option, nearest(option, options(root)))
    if str(path).removesuffix(".yaml") == OPTUNA:
        return InputError("hydra/sweeper", f"{extra('optuna')} for optuna", "no hydra-optuna-sweeper")
    return InputError("configuration", "a file on the search path", path)


def _unknown_key(wrong: str, overrides: list[str]) -> InputError:
    root, _, rest = wrong.partition(".")
    name = rest.split(".")[0]
    known = _keys(overrides)
    chosen = any(other.startswith(f"{root}.{name}.") for other in known)
    if name and name in options(root) and not chosen:
        return InputError(wrong, f"{name} to be chosen: add {root}={name}")
    if wrong in GROUPS:
        return InputError(wrong, f"a task that has {wrong}; genreg train --help says which")
    same = [name for name in known if name.rpartition(".")[2] == wrong.rpartition(".")[2]]
    return InputError(wrong, "a key of the configuration", None, nearest(wrong, same or [*known, *GROUPS]))


def _keys(overrides: list[str]) -> list[str]:
    """Every key of the configuration that the chosen group options compose, dotted."""
    single = [o for o in overrides if "," not in value(o) or "[" in value(o)]
    chosen = [o for o in single if group(o) in GROUPS or key(o) == "hydra.searchpath"]
    inside = GlobalHydra.instance().is_initialized()
    with nullcontext() if inside else configs():
        try:
            return list(flat(hydra.compose("train", chosen)))
        except Exception:
            return list(flat(hydra.compose("train")))


def flat(node: Any, prefix: str = "") -> Iterator[str]:
    """Every key of a configuration, dotted."""
    for name in node:
        path = f"{prefix}{name}"
        child = node._get_node(name)
        if hasattr(child, "items"):
            yield from flat(child, f"{path}.")
        else:
            yield path
