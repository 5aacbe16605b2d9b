"""Commands whose configuration was composed before, so that a finished run is found again without Hydra.

What Hydra makes of a command follows from its words, the YAML files and the code that composes. It is
remembered in the user's cache, by the words and by what these files look like from outside. Where more could
matter (a flag, a key of Hydra's, an interpolation that reads the time or the environment, another source of
files) nothing is, and Hydra composes as ever.
"""

import json
import os
import re
from argparse import Namespace
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from genreg import download
from genreg.groups import CONFIGS
from genreg.run import ranks
from genreg.run.factory import KEYED
from genreg.run.folder import RunFolder
from genreg.run.identity import Config, run_path
from genreg.run.sources import module_file
from genreg.study.job import ProcessSettings, key, of_hydra

if TYPE_CHECKING:
    from omegaconf import DictConfig

COMPOSE = ("genreg.cli.compose", "genreg.groups", "genreg.run.factory", "hydra", "omegaconf")
"""Modules that decide on the composed configuration."""

VARIABLE = "GENREG_DATA"
"""The variable of the environment that train.yaml reads."""

SOURCES = {"hydra", "main", "schema"}
"""What provides YAML files, where no package or folder adds any."""


def finished(arguments: Sequence[str]) -> tuple[Config, ProcessSettings, Namespace] | None:
    """The configuration and the flags of a command whose run is done; None where Hydra is to compose."""
    if not _plain(arguments) or not (known := download.recall(_name(arguments), CONFIGS)):
        return None
    found = json.loads(known)
    if RunFolder(run_path(found["config"])).summary().get("status") != "done":
        return None
    flags = Namespace(overrides=list(arguments), config_dir=None, again=False, extend=False)
    return found["config"], ProcessSettings(*found["process"]), flags


def keep(
    arguments: Sequence[str], cfg: "DictConfig", config: Config, process: ProcessSettings, began: float
) -> None:
    """Remember `config`, the plain values of `cfg`, composed after `began`, in seconds since the epoch."""
    found = {"config": config, "process": [process.variables, process.log, process.verbose]}
    text = json.dumps(found)
    if _plain(arguments) and _follows(cfg, config) and repr(json.loads(text)) == repr(found):
        download.keep(_name(arguments), CONFIGS, text, began)


def _plain(arguments: Sequence[str]) -> bool:
    """True for overrides of one run's own keys."""
    return not ranks.launched() and not any(
        word.startswith("-") or "$" in word or of_hydra(word) or key(word).partition(".")[0] == "sweep"
        for word in arguments
    )


def _follows(cfg: "DictConfig", config: Config) -> bool:
    """True if it follows from words, files and `VARIABLE`, and nothing was left out with a warning."""
    from omegaconf import OmegaConf

    parts: list[Any] = [OmegaConf.masked_copy(cfg, [str(name) for name in cfg if name != "hydra"])]
    parts += [cfg.hydra.job_logging, cfg.hydra.job.env_set]
    resolvers = {
        name for part in parts for name in re.findall(r"\$\{([^${}]*:[^,}]*)", OmegaConf.to_yaml(part))
    }
    whole = {*parts[0]} == {*config} and all({*parts[0][keyed]} == {*config[keyed]} for keyed in KEYED)
    needs = "experiment" in (config.get("features") or {})
    sources = {source.provider for source in cfg.hydra.runtime.config_sources}
    return whole and not needs and resolvers <= {f"oc.env:{VARIABLE}"} and sources <= SOURCES


def _name(arguments: Sequence[str]) -> str:
    """The words, and what beside the YAML files decides on their meaning."""
    files = [path for name in COMPOSE if (path := module_file(name))]
    looks = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    plugins = find_spec("hydra_plugins")  # a package may bring a folder of YAML files
    places = sorted(plugins.submodule_search_locations or ()) if plugins else []
    others = [(place, sorted(os.listdir(place))) for place in places if os.path.isdir(place)]
    return json.dumps([list(arguments), os.environ.get(VARIABLE), looks, others])
