"""Pictures of one's own, in a numpy file."""

import hashlib
from pathlib import Path

import numpy as np

from genreg.dataset.base import Dataset, Subset, assemble, image_splits
from genreg.errors import InputError
from genreg.parameters import Count, CountOrZero, checked

ARRAYS = ("x_train", "y_train", "x_test", "y_test")


@checked
def npz(
    *,
    data_dir: Path,
    path: str = "pictures.npz",
    labeled: CountOrZero = 1000,
    validation: Count = 1000,
    subset: Subset = "balanced",
    seed: CountOrZero = 0,
) -> Dataset:
    """Pictures from an npz file of x_train, y_train, x_test and y_test.

    x: (N, H, W) or (N, H, W, C) unsigned bytes; y: (N,) class numbers from 0. path: absolute, or within the
    data folder. validation: how many of the last training pictures are held out of the pool. x becomes
    (C, H, W) in [0, 1]. Raises InputError for a missing file or an array that is missing or of another kind.
    """
    file = data_dir / path
    if not file.is_file():
        raise InputError("dataset.path", "an npz file", str(file))
    found = np.load(file)
    for name in ARRAYS:
        if name not in found:
            raise InputError("dataset.path", f"a file with the array {name}", sorted(found))
    train, train_y, test, test_y = (found[name] for name in ARRAYS)
    for x in (train, test):
        if x.dtype != np.uint8 or x.ndim not in (3, 4):
            raise InputError("dataset.path", "pictures (N, H, W[, C]) of uint8", f"{x.dtype} {x.shape}")
    pool, held_out, tested = image_splits(train, train_y.ravel(), test, test_y.ravel(), validation)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return assemble(
        pool, held_out, tested, labeled=labeled, subset=subset, seed=seed, checksums={file.name: digest}
    )
