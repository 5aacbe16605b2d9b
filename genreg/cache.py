"""Arrays that are computed once and kept in the user's cache."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from filelock import FileLock

from genreg import download

Arrays = dict[str, np.ndarray]


def kept(name: str, make: Callable[[], Mapping[str, np.ndarray]]) -> Arrays:
    """The arrays of the file `name`.npz below the user's cache, made if there is none; one process makes it.

    name: with a hash of all that the arrays depend on.
    """
    path = download.default_data_dir() / f"{name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            unfinished = Path(f"{path}.{os.getpid()}.npz")
            np.savez(unfinished, **make())  # type: ignore[arg-type]
            unfinished.replace(path)
    with np.load(path) as arrays:
        return dict(arrays)
