"""CIFAR-10 and CIFAR-100: pickles, read without running anything that they name; ZCA whitening."""

import pickle
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from genreg.dataset.base import Dataset, Split, Subset, assemble, image_splits
from genreg.download import Source, by_name, called, fetch
from genreg.errors import InputError
from genreg.parameters import Count, CountOrZero, checked

SMALLEST = 1e-6  # variance below which a direction is no further stretched
CHUNK = 5000  # items converted at a time


def whitened(dataset: Dataset) -> Dataset:
    """The data set as U S^(-1/2) U' (x - m): mean m and covariance U S U' are those of the pool.

    ZCA, as Miyato et al. (arXiv:1704.03976) prepare CIFAR-10. Variances below 1e-6 count as 1e-6. Each
    direction has variance 1 then, so lengths are in units of standard deviations.
    """
    pool = dataset.unlabeled.flatten(1)
    mean = pool.mean(0, dtype=torch.float64)
    covariance = torch.zeros(len(mean), len(mean), dtype=torch.float64)
    for rows in pool.split(CHUNK):  # float32 has not the digits for the small variances
        covariance.addmm_((rows - mean).T, rows - mean)
    variances, directions = torch.linalg.eigh(covariance / len(pool))
    matrix = directions * variances.clamp_min(SMALLEST).rsqrt() @ directions.T

    def white(x: Tensor) -> Tensor:
        return torch.cat([_mapped(rows, mean, matrix) for rows in x.split(CHUNK)]).view_as(x)

    def split(part: Split) -> Split:
        return replace(part, x=white(part.x))

    return replace(
        dataset, unlabeled=white(dataset.unlabeled), labeled=split(dataset.labeled),
        validation=split(dataset.validation), test=split(dataset.test),
    )  # fmt: skip


def _mapped(x: Tensor, mean: Tensor, matrix: Tensor) -> Tensor:
    return ((x.flatten(1) - mean) @ matrix).to(x.dtype)


Arrays = tuple[np.ndarray, np.ndarray]

RECONSTRUCT = np.empty(0).__reduce__()[0]
ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): RECONSTRUCT,  # of numpy 2
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
"""All that a batch names beside plain values."""

SOURCES = (
    Source(
        "cifar10", 170.5, "not stated", "https://www.cs.toronto.edu/~kriz/",
        {"cifar-10-python.tar.gz": "md5:c58f30108f718f92721af3b95e74349a"},
    ),
    Source(
        "cifar100", 169.0, "not stated", "https://www.cs.toronto.edu/~kriz/",
        {"cifar-100-python.tar.gz": "md5:eb9058c3a382ffc7106e4002c42a8d85"},
    ),
)  # fmt: skip


@checked
def cifar10(
    *,
    data_dir: Path,
    labeled: CountOrZero = 4000,
    validation: Count = 5000,
    zca: bool = False,
    subset: Subset = "balanced",
    seed: CountOrZero = 0,
) -> Dataset:
    """CIFAR-10 (Krizhevsky 2009): 50,000 and 10,000 pictures of 32 x 32 in colour, ten classes.

    validation: how many of the last training pictures are held out of the pool. x is in [0, 1], (3, 32, 32);
    zca: whitened by the pool instead. Raises InputError for a file that holds anything else.
    """
    path, known = _fetched("cifar10", data_dir)
    members = [
        f"cifar-10-batches-py/{name}" for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
    ]
    *train, test = read_batches(path, members, b"labels")
    x, y = (np.concatenate(arrays) for arrays in zip(*train, strict=True))
    return _split((x, y), test, validation, zca, labeled=labeled, subset=subset, seed=seed, checksums=known)


@checked
def cifar100(
    *,
    data_dir: Path,
    labeled: CountOrZero = 10_000,
    validation: Count = 5000,
    zca: bool = False,
    subset: Subset = "balanced",
    seed: CountOrZero = 0,
) -> Dataset:
    """CIFAR-100 (Krizhevsky 2009): 50,000 and 10,000 pictures of 32 x 32 in colour, 100 (fine) classes.

    validation, zca and x: as of `cifar10`.
    """
    path, known = _fetched("cifar100", data_dir)
    train, test = read_batches(path, ["cifar-100-python/train", "cifar-100-python/test"], b"fine_labels")
    return _split(train, test, validation, zca, labeled=labeled, subset=subset, seed=seed, checksums=known)


def _fetched(name: str, data_dir: Path) -> tuple[Path, dict[str, str]]:
    source = called(name, by_name(SOURCES))
    (path,) = fetch(source, data_dir)
    return path, source.files


def _split(train: Arrays, test: Arrays, validation: int, zca: bool, **known: Any) -> Dataset:
    dataset = assemble(*image_splits(*train, *test, validation), **known)
    return whitened(dataset) if zca else dataset


def read_batches(path: Path, members: list[str], labels: bytes) -> list[Arrays]:
    """Pictures (N, 32, 32, 3) of uint8 and class numbers (N,) of each member of the archive.

    labels: the key of the class numbers. Raises InputError, in one line, for an archive that lacks a member,
    or a member that is no such batch.
    """
    try:
        with tarfile.open(path, "r:gz") as archive:
            return [
                read_batch(archive.extractfile(member), labels, f"{path}: {member}") for member in members
            ]
    except (tarfile.TarError, OSError, EOFError, KeyError, zlib.error) as error:
        raise InputError(str(path), f"an archive with {', '.join(members)}", error) from error


def read_batch(file: IO[bytes] | None, labels: bytes, place: str) -> Arrays:
    """Pictures and class numbers of a pickle; InputError, naming `place`, for anything else than a batch."""
    try:
        if file is None:
            raise ValueError("no file")
        batch = BatchUnpickler(file, encoding="bytes").load()
        x, y = batch[b"data"], np.asarray(batch[labels])
    except Exception as error:  # a pickle that was tampered with can raise anything
        raise InputError(place, f"a CIFAR batch: data and {labels.decode()}", error) from error
    if not (isinstance(x, np.ndarray) and x.dtype == np.uint8 and x.shape == (len(y), 3 * 32 * 32)):
        raise InputError(place, f"({len(y)}, 3072) bytes as data", f"{getattr(x, 'dtype', '')} {np.shape(x)}")
    if y.ndim != 1 or y.dtype.kind != "i" or y.min(initial=0) < 0:
        raise InputError(place, f"{labels.decode()} from 0", f"{y.dtype} {y.shape}")
    return x.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), y


class BatchUnpickler(pickle.Unpickler):
    """Makes plain values and arrays; whatever else a pickle names is refused before it is looked up."""

    def find_class(self, module: str, name: str) -> Any:
        """Look these names up in `ALLOWED`; UnpicklingError for all others."""
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no batch needs")
        return ALLOWED[module, name]
