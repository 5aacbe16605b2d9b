"""Street View House Numbers."""

from pathlib import Path

import numpy as np

from genreg.dataset.base import Dataset, Subset, assemble, image_splits
from genreg.download import Source, fetch
from genreg.errors import InputError
from genreg.parameters import Count, CountOrZero, checked

SOURCE = Source(
    "svhn", 246.3, "non-commercial use", "http://ufldl.stanford.edu/housenumbers/",
    {"train_32x32.mat": "md5:e26dedcc434d2e4c54c9b2d4a06d8373",
     "test_32x32.mat": "md5:eb5a983be6a315427106f1b164d9cef3"},
)  # fmt: skip


@checked
def svhn(
    *,
    data_dir: Path,
    labeled: CountOrZero = 1000,
    validation: Count = 7325,
    subset: Subset = "balanced",
    seed: CountOrZero = 0,
) -> Dataset:
    """Street View House Numbers (Netzer et al. 2011), cropped digits: 73,257 and 26,032 of 32 x 32 in colour.

    Ten classes, which are the digits. validation: how many of the last training pictures are held out of the
    pool. The 531,131 easier `extra` pictures are not read. x is in [0, 1], (3, 32, 32). Raises InputError for
    a file that holds anything else.
    """
    train, test = (read_digits(path) for path in fetch(SOURCE, data_dir))
    splits = image_splits(*train, *test, validation)
    return assemble(*splits, labeled=labeled, subset=subset, seed=seed, checksums=SOURCE.files)


def read_digits(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (N, 32, 32, 3) of uint8 and digits (N,) of a MATLAB file with X (32, 32, 3, N) and y (N, 1).

    The files call a zero 10. Raises InputError, in one line, for any other file.
    """
    from scipy.io import loadmat

    try:
        arrays = loadmat(path, variable_names=["X", "y"])
        x, y = arrays["X"], arrays["y"]
    except Exception as error:  # loadmat raises whatever the damaged bytes lead it to
        raise InputError(str(path), "a MATLAB file with X and y", error) from error
    if x.shape != (32, 32, 3, y.size) or x.dtype != np.uint8:
        raise InputError(str(path), f"X of (32, 32, 3, {y.size}) bytes", f"{x.dtype} {x.shape}")
    if not np.isin(y, range(1, 11)).all():
        raise InputError(str(path), "y from 1 to 10", f"{y.min()} to {y.max()}")
    return np.ascontiguousarray(x.transpose(3, 0, 1, 2)), y.ravel() % 10
