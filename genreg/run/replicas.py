"""Reads replicas.npz: every evaluation of every replica of a landscape."""

import math
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genreg.files import MISSING
from genreg.run.metric import Described, metric_of
from genreg.run.reader import opened

WRONG = (*MISSING, ValueError, KeyError, TypeError, EOFError, RuntimeError, MemoryError, zlib.error,
         zipfile.BadZipFile)  # fmt: skip
"""What numpy raises for an archive that is none of ours."""


def arrays(folder: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The named arrays of a run folder; `{}` if it has no replicas or lacks one of them."""
    try:
        with opened(folder / "replicas.npz") as file, np.load(file) as found:
            return {name: found[name] for name in names}
    except WRONG:
        return {}


def last(folder: Path, metric: str) -> dict[int, float]:
    """The last value of `metric` of each replica, NaN of a dead one; `{}` if the run has none."""
    found = arrays(folder, ["replica", "died", metric])
    if not found:
        return {}
    values = np.where(found["died"] < 0, found[metric][-1].astype(float), math.nan)
    return dict(zip(found["replica"].tolist(), values.tolist(), strict=True))


def coordinates(folder: Path, metrics: Described | None) -> list[str]:
    """The coordinates in which a run's replicas are, as it describes them: those of the first family that has
    any; none where there are too many to be observed.
    """
    try:
        with opened(folder / "replicas.npz") as file, np.load(file) as found:
            names = [name for name in found.files if metric_of(name, metrics).coordinate]
    except WRONG:
        return []
    return [name for name in names if name.partition("/")[0] == names[0].partition("/")[0]]


def contours(folder: Path, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """The loss over a grid of both coordinates: (X,), (Y,) and the loss, (Y, X)."""
    try:
        with opened(folder / "contours.npz") as file, np.load(file) as found:
            x, y, loss = (found[name].astype(float) for name in (*names, "loss"))
    except WRONG:
        return None
    return (x, y, loss) if loss.shape == (len(y), len(x)) and min(loss.shape) > 1 else None
