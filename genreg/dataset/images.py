"""MNIST and Fashion-MNIST, and the digits that come with scikit-learn."""

import gzip
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from genreg.dataset.base import Dataset, Split, Subset, assemble, image_splits, not_in
from genreg.dataset.draw import stratified
from genreg.download import Source, by_name, called, fetch
from genreg.errors import InputError
from genreg.parameters import Count, CountOrZero, checked

SOURCES = (
    Source("digits", 0.1, "BSD-3-Clause, with scikit-learn", "bundled with scikit-learn"),
    Source(
        "mnist", 11.6, "not stated", "https://storage.googleapis.com/cvdf-datasets/mnist/",
        {"train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
         "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
         "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
         "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"},
    ),
    Source(
        "fashion_mnist", 30.9, "MIT",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        {"train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
         "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
         "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
         "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"},
    ),
)  # fmt: skip


@checked
def digits(
    *,
    labeled: CountOrZero = 50,
    subset: Subset = "balanced",
    seed: CountOrZero = 0,
) -> Dataset:
    """Handwritten digits, 8 x 8, ten classes: 997 in the pool, 300 validation, 500 test.

    Bundled with scikit-learn (`load_digits`: the test part of the UCI optical digits). x is in [0, 1],
    (1, 8, 8). The split is fixed, stratified by class.
    """
    table = _bundled_digits()
    pictures, y = table[:, :-1], table[:, -1]
    rest, test = stratified(y, 500)
    train, validation = (rest[index] for index in stratified(y[rest], 300))
    x = torch.from_numpy(pictures.astype(np.float32) / 16).reshape(-1, 1, 8, 8)
    target = torch.from_numpy(y.astype(np.int64))
    keys = [picture.tobytes() for picture in pictures]

    def split(index: np.ndarray) -> Split:
        return Split(x[index], target[index], not_in((keys[i] for i in train), (keys[i] for i in index)))

    return assemble((x[train], target[train]), split(validation), split(test),
                    labeled=labeled, subset=subset, seed=seed)  # fmt: skip


@cache
def _bundled_digits() -> np.ndarray:
    """The table of `load_digits`, whole numbers and the class last, without the import of scikit-learn."""
    package = find_spec("sklearn")
    folder = Path(str(package and package.origin)).parent
    with gzip.open(folder / "datasets/data/digits.csv.gz") as file:
        return np.loadtxt(file, delimiter=",")


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
    source = called(name, by_name(SOURCES))
    train, train_y, test, test_y = (read_idx(path) for path in fetch(source, data_dir))
    train, test = (np.pad(x, ((0, 0), *[((size - 28) // 2,) * 2] * 2)) for x in (train, test))
    pool, held_out, tested = image_splits(train, train_y, test, test_y, validation)
    return assemble(pool, held_out, tested, labeled=labeled, subset=subset, seed=seed, checksums=source.files)


def read_idx(path: Path) -> np.ndarray:
    """A gzipped idx file of unsigned bytes: two zero bytes, type 8, rank, big-endian sizes, the data."""
    raw = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(raw, ">i4", count=raw[3], offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)
