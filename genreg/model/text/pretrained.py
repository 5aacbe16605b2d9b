"""A model that goes on from a run of `task=pretrain`."""

import pickle
from pathlib import Path

import torch

from genreg import digests
from genreg.errors import InputError
from genreg.model.base import Classifier
from genreg.run.data import PRETRAINED
from genreg.run.folder import find_runs, weights_of

NEW = ("output.",)
"""Parameters of a classifier that a run of `task=pretrain` does not teach: they start as they were drawn."""


def load_pretrained(model: Classifier, folder: str | None) -> None:
    """Give a model the weights that a run of `task=pretrain` chose, all but those of its output.

    folder: the run's own, or one with no other finished run below. Raises InputError where there is none
    or more than one, and for weights of another model or vocabulary.
    """
    if folder is None:
        return
    paths = weights_of(find_runs(Path(folder)))
    if len(paths) != 1:
        near = [str(path.parent) for path in paths[:5]]
        raise InputError("model.pretrained", "the folder of one finished run of task=pretrain", folder, near)
    (path,) = paths
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise InputError("model.pretrained", f"tensors in {path.name}", str(error).splitlines()[0]) from error
    prefix = "encoder."
    weights = {name.removeprefix(prefix): w for name, w in found.items() if name.startswith(prefix)}
    own = {name: w for name, w in model.state_dict().items() if not name.startswith(NEW)}
    wrong = [name for name in own if name not in weights or weights[name].shape != own[name].shape]
    if wrong:
        name = wrong[0]
        got = tuple(weights[name].shape) if name in weights else "none"
        expected = f"a run with the same data and model: {name} of shape {tuple(own[name].shape)}"
        raise InputError("model.pretrained", expected, f"{got} in {folder}")
    model.load_state_dict({name: weights[name] for name in own}, strict=False)
    model.checksums = {PRETRAINED: digests.of_file(path)}
