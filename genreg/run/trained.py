"""A trained model as its run left it."""

import logging
import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from genreg.dataset import Dataset
from genreg.errors import InputError, nearest
from genreg.run import code, data
from genreg.run import trust as trust_of
from genreg.run.build import build_task, choose_device
from genreg.run.find import find_runs, is_run
from genreg.run.folder import RunFolder
from genreg.run.identity import Config, experiment_name
from genreg.run.task import Task

log = logging.getLogger("genreg")

FILES = MappingProxyType({"best": "weights.pt", "last": "last_weights.pt"})
NEEDED = ("task", "model", "dataset", "optimizer", "regularizer", "name", "seed", "precision", "data_dir")


@dataclass(frozen=True)
class Trained:
    """model: with its weights, in evaluation mode. dataset: what the run read; None of a landscape.

    config: the run's, as it was recorded. task: whose `evaluate()` gives the recorded metrics again.
    """

    model: nn.Module
    dataset: Dataset | None
    config: Config
    task: Task


def load(
    run_folder: Path | str,
    weights: Literal["best", "last"] = "best",
    *,
    device: str = "cpu",
    data_dir: Path | str | None = None,
    trust: bool = False,
) -> Trained:
    """Load what a finished run trained, built as training built it.

    weights: those of the step that validation chose, or of the last one. data_dir: where data sets lie,
    unless GENREG_DATA or the run's own folder is right. trust: call any code that config.yaml names. Warns
    where code or data are not what they were.

    Raises InputError for a folder that is no finished run's or names code of nobody known, and where the code
    of today makes another model.
    """
    folder = RunFolder(Path(run_folder).absolute())
    state = _weights(folder, weights)
    config = read_config(folder, trust, "trust=True")
    if other := code.changed(folder):
        log.warning("trained with other code of %s: %s", ", ".join(other), folder.path)
    here = {"data_dir": _data_dir(data_dir, config), "output_dir": _output_dir(folder, config)}
    with torch.random.fork_rng(devices=[]):  # initial weights are drawn from torch's own generator
        task: Task = build_task({**config, **here}, choose_device(device))
    _check_data(folder, task)
    try:
        task.load_weights(state)
    except RuntimeError as error:
        expected = "weights of the model that config.yaml and the code of today make"
        raise InputError(str(folder.path / FILES[weights]), expected, str(error).splitlines()[-1]) from error
    return Trained(task.model.eval(), getattr(task, "dataset", None), config, task)


def _weights(folder: RunFolder, weights: str) -> dict[str, Tensor]:
    if weights not in FILES:
        raise InputError("weights", "best or last", weights, nearest(weights, FILES))
    if not is_run(folder.path):
        near = [str(path) for path in find_runs(folder.path)][:5]
        raise InputError("run_folder", "a run's folder", str(folder.path), near)
    path = folder.path / FILES[weights]
    if not path.is_file():
        status = folder.summary().get("status") or "not started"
        raise InputError(
            "run_folder", f"a finished run, which has a {path.name}", f"{folder.path} ({status})"
        )
    try:
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise InputError(str(path), "tensors that torch.save wrote", str(error).splitlines()[0]) from error
    return state


def read_config(folder: RunFolder, trusted: bool, allow: str) -> Config:
    """The configuration of a run, to be built anew. allow: the way to say that its code is trusted."""
    config = folder.config()
    if not trusted:
        trust_of.check(config, folder.path, allow)
    if missing := [key for key in NEEDED if key not in config]:
        raise InputError(str(folder.path / "config.yaml"), f"a configuration with {', '.join(missing)}")
    return config


def _data_dir(given: Path | str | None, config: Mapping[str, Any]) -> str | None:
    """The folder named here; else that of the run, where this machine has it."""
    named, recorded = given or os.environ.get("GENREG_DATA"), config["data_dir"]
    return str(named) if named else recorded if recorded and Path(recorded).is_dir() else None


def _output_dir(folder: RunFolder, config: Config) -> str:
    """The folder in which the run lies now: features are looked for among its neighbours."""
    above = folder.path.parents
    return str(above[min(len(experiment_name(config).split("/")), len(above) - 1)])


def _check_data(folder: RunFolder, task: Task) -> None:
    """Warn of files that are not those of the run."""
    if other := data.differing(folder, task.checksums):
        log.warning("trained on other data: %s is not what it was: %s", ", ".join(other), folder.path)
