"""`genreg train --like RUN_FOLDER`: a run again, from its config.yaml, and what is not as it was."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genreg.cli.compose import compose, configs, explaining, flat
from genreg.cli.help import GROUPS
from genreg.errors import InputError, nearest
from genreg.groups import option_of
from genreg.run import trust
from genreg.run.identity import Config, run_path
from genreg.run.read import read_run
from genreg.study.job import group, key, merged

AGAIN = "outputs/again"  # where repeated runs lie unless output_dir= says where
COMPARED = ("genreg", "commit", "python", "packages", "device", "threads", "data")


def config_of(folder: Path, overrides: list[str], about: list[str], trusted: bool = False) -> DictConfig:
    """The configuration of a run, changed by `overrides`: values of its keys, or other options of a group.

    about: overrides of Hydra's own keys, such as where it finds options. trusted: whatever code it names.
    """
    cfg = _recorded(folder)
    groups = [o for o in overrides if group(o) in GROUPS]
    if not trusted:
        chosen = {key(o).rpartition("@")[2] for o in groups}
        written: Any = OmegaConf.to_container(cfg)
        left = {name: node for name, node in written.items() if name not in chosen}
        trust.check(left, folder, "--trust")
    cfg.output_dir = AGAIN
    if groups:
        _choose(cfg, groups, about)
    with explaining(overrides):
        parsed = OverridesParser.create().parse_overrides([o for o in overrides if o not in groups])
    for override in parsed:
        known = list(flat(cfg))
        path = override.key_or_group
        one = override.type is not None and not override.is_sweep_override() and not override.is_delete()
        if not one or path not in known:
            raise InputError(
                path, "one value for a key of that run", override.input_line, nearest(path, known)
            )
        try:
            OmegaConf.update(cfg, path, override.value())
        except OmegaConfBaseException as error:
            raise InputError(path, "a usable value", override.input_line) from error
    return cfg


def _recorded(folder: Path) -> DictConfig:
    """The configuration of a run as it is written, interpolations and all."""
    try:
        with explaining([]):
            cfg = OmegaConf.load(folder / "config.yaml")
    except InputError as error:
        raise InputError("--like", "a run folder with a config.yaml", str(folder)) from error
    if not isinstance(cfg, DictConfig):
        raise InputError("--like", "a config.yaml with keys", str(folder))
    return cfg


def _choose(cfg: DictConfig, groups: list[str], about: list[str]) -> None:
    """Put other options of groups into `cfg`, composed under its task: only some tasks have features."""
    task = option_of("task", str(OmegaConf.select(cfg, "task._target_")))
    with configs():
        composed = compose([*about, *merged([f"task={task}"] if task else [], groups)])
    for node in (key(o).rpartition("@")[2] for o in groups):
        if node not in cfg:
            raise InputError(node, "to be chosen without --like, or another group", None)
        cfg[node] = composed[node]


def check_elsewhere(folder: Path, config: Config) -> None:
    """InputError if `config` would land in `folder` itself, where there is nothing left to run."""
    if run_path(config).resolve() == folder.resolve():
        raise InputError("output_dir", "another folder than that of the run to repeat", config["output_dir"])


def environment(folder: Path) -> dict[str, Any]:
    """The environment of a run's last start; empty if that is not known."""
    starts = read_run(folder).environments
    return starts[-1] if starts else {}


def differences(then: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """One line for each thing that is compared and differs."""
    for kind in COMPARED:
        before, after = then.get(kind), now.get(kind)
        if isinstance(before, dict) and isinstance(after, dict):
            new = after.keys() if kind != "data" else set()  # earlier versions looked at less
            for name in sorted(before.keys() | new):
                if before.get(name) != after.get(name):
                    yield f"{kind} {name} was {before.get(name)}, is {after.get(name)}"
        elif kind in now and before != after:
            yield f"{kind} was {before}, is {after}"
    before, after = then.get("code"), now.get("code")
    if isinstance(before, dict) and isinstance(after, dict):  # earlier versions recorded none
        for name in sorted(before.keys() & after.keys()):
            if before[name] != after[name]:
                yield f"code of {name} is not what it was"
