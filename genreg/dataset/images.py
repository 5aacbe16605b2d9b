"""MNIST and Fashion-MNIST, and the digits that come with scikit-learn."""

import gzip
from pathlib import Path

import numpy as np
import torch

from genreg import download
from genreg.dataset.base import Dataset, Split, Subset, assemble, image_splits, not_in
from genreg.errors import InputError
from genreg.parameters import Count, CountOrZero, checked


@checked
def digits(
    *,
    labeled: CountOrZero = 50,
    subset: Subset = "balanced",
    seed: CountOrZero = 0,
    data_dir: Path | None = None,
) -> Dataset:
    """Handwritten digits, 8 x 8, ten classes: 997 in the pool, 300 validation, 500 test.

    Bundled with scikit-learn (`load_digits`: the test part of the UCI optical digits). x is in [0, 1],
    (1, 8, 8). The split is fixed, stratified by class.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pictures, y = load_digits(return_X_y=True)
    rest, test = train_test_split(np.arange(len(y)), test_size=500, stratify=y, random_state=0)
    train, validation = train_test_split(rest, test_size=300, stratify=y[rest], random_state=0)
    x = torch.from_numpy(pictures.astype(np.float32) / 16).reshape(-1, 1, 8, 8)
    target = torch.from_numpy(y.astype(np.int64))
    keys = [picture.tobytes() for picture in pictures]

    def split(index: np.ndarray) -> Split:
        return Split(x[index], target[index], not_in((keys[i] for i in train), (keys[i] for i in index)))

    return assemble((x[train], target[train]), split(validation), split(test),
                    labeled=labeled, subset=subset, seed=seed)  # fmt: skip


@checked
def mnist(
    *,
    data_dir: Path,
    labeled: CountOrZero = 100,
    validation: Count = 10_000,
    size: Count = 28,
    subset: Subset = "balanced",
    seed: CountOrZero = 0,
    name: str = "mnist",
) -> Dataset:
    """MNIST, or another data set of its format: 60,000 and 10,000 pictures of 28 x 28, ten classes.

    validation: how many of the last training pictures are held out of the pool. size: pictures are framed
    evenly with zeros to so many pixels. x is in [0, 1], (1, size, size).
    """
    if size < 28 or size % 2:
        raise InputError("dataset.size", "an even number from 28", size)
    source = download.source(name)
    train, train_y, test, test_y = (read_idx(path) for path in download.fetch(source, data_dir))
    train, test = (np.pad(x, ((0, 0), *[((size - 28) // 2,) * 2] * 2)) for x in (train, test))
    pool, held_out, tested = image_splits(train, train_y, test, test_y, validation)
    return assemble(pool, held_out, tested, labeled=labeled, subset=subset, seed=seed, checksums=source.files)


def read_idx(path: Path) -> np.ndarray:
    """A gzipped idx file of unsigned bytes: two zero bytes, type 8, rank, big-endian sizes, the data."""
    raw = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(raw, ">i4", count=raw[3], offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)
