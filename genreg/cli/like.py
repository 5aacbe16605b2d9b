"""`genreg train --like RUN_FOLDER`: a run again, from its config.yaml, and what is not as it was."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genreg import CONFIGS
from genreg.cli.explain import flat
from genreg.cli.help import GROUPS
from genreg.errors import InputError, nearest
from genreg.run.folder import RunFolder
from genreg.run.identity import Config, run_path

AGAIN = "outputs/again"  # where repeated runs lie unless told otherwise
COMPARED = ("genreg", "commit", "python", "packages", "device", "threads", "data")


def config_of(folder: Path, overrides: list[str]) -> DictConfig:
    """The configuration of a run, changed by `overrides`: values of its keys, or other options of a group."""
    try:
        cfg = OmegaConf.load(folder / "config.yaml")
    except OSError as error:
        raise InputError("--like", "a run folder with a config.yaml", str(folder)) from error
    assert isinstance(cfg, DictConfig)
    cfg.output_dir = AGAIN
    groups = [o for o in overrides if o.split("=")[0] in GROUPS]
    if groups:
        with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
            composed = hydra.compose("train", groups)
        for group in (o.split("=")[0] for o in groups):
            if group not in cfg:
                raise InputError(group, "to be chosen without --like, or another group", None)
            cfg[group] = composed[group]
    for override in OverridesParser.create().parse_overrides([o for o in overrides if o not in groups]):
        known = list(flat(cfg))
        key = override.key_or_group
        if override.type is None or key not in known or override.is_sweep_override():
            raise InputError(key, "one value for a key of that run", override.input_line, nearest(key, known))
        try:
            OmegaConf.update(cfg, key, override.value())
        except OmegaConfBaseException as error:
            raise InputError(key, "a usable value", override.input_line) from error
    return cfg


def check_elsewhere(folder: Path, config: Config) -> None:
    """InputError if `config` would land in `folder` itself, where there is nothing left to run."""
    if run_path(config).resolve() == folder.resolve():
        raise InputError("output_dir", "another folder than that of the run to repeat", config["output_dir"])


def environment(folder: Path) -> dict[str, Any]:
    """What the last start of a run was made with; empty if that is not known."""
    starts = RunFolder(folder).environments()
    return starts[-1] if starts else {}


def differences(then: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """One line for each thing that is compared and differs."""
    for key in COMPARED:
        before, after = then.get(key), now.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            for name in sorted(before.keys() | after.keys()):
                if before.get(name) != after.get(name):
                    yield f"{key} {name} was {before.get(name)}, is {after.get(name)}"
        elif key in now and before != after:
            yield f"{key} was {before}, is {after}"
