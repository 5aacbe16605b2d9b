"""Arrays of one's own, in a numpy file."""

import logging
import zipfile
import zlib
from functools import partial
from pathlib import Path

import numpy as np

from genreg.dataset.arrays import Part, Size, Targets, array_dataset, count, finite, wrong
from genreg.dataset.base import Dataset, Subset, shuffled
from genreg.download import sha256
from genreg.errors import InputError
from genreg.parameters import CountOrZero, checked

log = logging.getLogger("genreg")

Arrays = dict[str, np.ndarray]

WHOLE, SPLIT = ("X", "y"), ("x_train", "y_train", "x_test", "y_test")
VALIDATION, UNLABELED = ("x_validation", "y_validation"), "x_unlabeled"
UNREADABLE = (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What numpy and zipfile raise for files that are broken in one way or another."""
CHANNELS = (1, 3, 4)


@checked
def npz(
    *,
    data_dir: Path,
    path: str = "pictures.npz",
    labeled: CountOrZero | None = 1000,
    validation: Size = 1000,
    test: Size = 0.2,
    targets: Targets = "auto",
    subset: Subset = "balanced",
    seed: CountOrZero = 0,
) -> Dataset:
    """Items from an npz file of x_train, y_train, x_test and y_test, or of X and y alone; docs/data.md.

    x: bytes are brought to [0, 1], and are pictures where they are (N, H, W[, C]): (C, H, W) then; other
    numbers (N, ...) stay as they are. y: whole numbers or words (N,) are classes; others, or all with
    targets=real, real targets (N[, k]). validation: so many or such a share of the last of training, unless
    x_validation and y_validation are there; of X and y, it and test are drawn, the same for every seed.
    x_unlabeled joins the pool. labeled: items of training that keep their label, None for all. path:
    absolute, or within the data folder. Raises InputError for a file or an array that is of no use.
    """
    file = data_dir / path
    arrays = read(file)
    xs = {name: features(name, array) for name, array in arrays.items() if name[0] in "xX"}
    check_alike(arrays, xs)
    return array_dataset(
        splits(arrays, xs, validation, test), xs.get(UNLABELED), targets=targets, labeled=labeled,
        subset=subset, seed=seed, checksums={file.name: sha256(file)},
    )  # fmt: skip


def read(file: Path) -> Arrays:
    """The arrays that have a meaning here; InputError for a broken file or a wrong set of them."""
    if not file.is_file():
        raise wrong("an npz file", str(file))
    if not zipfile.is_zipfile(file):
        expected = "a whole npz file, as numpy.savez(path, X=X, y=y) writes it"
        raise wrong(expected, f"{file}, which is empty, cut off or of another kind")
    name = file.name
    arrays: Arrays = {}
    try:
        with np.load(file) as found:
            for name in chosen(found.files):
                arrays[name] = np.asarray(found[name])
    except UNREADABLE as error:
        if "Object arrays" in str(error):
            raise wrong(
                f"numbers or words in {name}: {name}.astype(float) or .astype(str)", "objects"
            ) from error
        raise wrong("an undamaged npz file", f"{name}: {str(error).splitlines()[0]}") from error
    return arrays


def chosen(names: list[str]) -> list[str]:
    """Those of the arrays that are read; others are said, or refused where they leave open what is meant."""
    found = set(names)
    wanted = set(WHOLE) if found & set(WHOLE) else set(SPLIT)
    if found & set(VALIDATION) and wanted == set(SPLIT):
        wanted |= set(VALIDATION)
    if missing := sorted(wanted - found):
        raise wrong(f"a file with the array {missing[0]} ({', '.join(SPLIT)}; or X, y)", sorted(names))
    if wanted == set(WHOLE) and found & {*SPLIT, *VALIDATION}:
        raise wrong(f"either X and y or {', '.join(SPLIT)}", sorted(names))
    if other := sorted(found - wanted - {UNLABELED}):
        log.warning("dataset.path: arrays without a meaning here, left out: %s", ", ".join(other))
    return sorted(found & (wanted | {UNLABELED}))


def features(name: str, x: np.ndarray) -> np.ndarray:
    """(N, ...) float32: bytes in [0, 1], those of (N, H, W[, C]) as (N, C, H, W)."""
    if x.dtype.kind not in "biuf":
        raise wrong(f"numbers in {name}", str(x.dtype))
    if not x.size or not x.ndim:
        raise wrong(f"items in {name}, along its first axis", f"shape {x.shape}")
    if channels_misplaced(x):
        order = "(0, 2, 3, 1)" if x.dtype == np.uint8 else "(0, 3, 1, 2)"
        raise wrong(
            f"bytes (N, H, W, C), floats (N, C, H, W): {name}.transpose{order}", f"{x.dtype} {x.shape}"
        )
    if x.dtype != np.uint8:
        x = finite(x, partial(place, name))
        return x[:, None] if x.ndim == 1 else x
    x = x.astype(np.float32) / 255
    if x.ndim == 4:
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    return x[:, None] if x.ndim in (1, 3) else x


def channels_misplaced(x: np.ndarray) -> bool:
    """Whether squares of 1, 3 or 4 channels have these at the other end: last for bytes, first for others."""
    if x.ndim != 4:
        return False
    other, *sides = x.shape[1:] if x.dtype == np.uint8 else x.shape[:0:-1]
    return other in CHANNELS and sides[0] == sides[1] not in CHANNELS


def check_alike(arrays: Arrays, xs: Arrays) -> None:
    """InputError where an array of features is of another kind or shape than that of training."""
    train = "X" if "X" in xs else "x_train"
    for name, x in xs.items():
        kinds = {key: str(arrays[key].dtype) for key in (train, name)}
        if len({kind == "uint8" for kind in kinds.values()}) > 1:
            raise wrong("bytes in all arrays of features or in none, as only they are divided by 255", kinds)
        if x.shape[1:] != xs[train].shape[1:]:
            raise wrong(f"items {xs[train].shape[1:]} in {name}, as in {train}", x.shape[1:])


def splits(arrays: Arrays, xs: Arrays, validation: float, test: float) -> tuple[Part, Part, Part]:
    """Training, validation and test."""

    def part(split: str = "") -> Part:
        x, y = (f"x{split}", f"y{split}") if split else WHOLE
        labels = numbers_or_words(y, arrays[y])
        if len(labels) != len(xs[x]):
            raise wrong(f"as many rows in {y} as in {x}, {len(xs[x])}", len(labels))
        return Part(xs[x], labels, partial(place, y))

    if "X" in xs:
        items = part()
        n = len(items)
        pool, held_out, tested = shuffled(n, count(validation, n), count(test, n))
        return items[pool.numpy()], items[held_out.numpy()], items[tested.numpy()]
    train, tests = part("_train"), part("_test")
    if VALIDATION[0] in xs:
        return train, part("_validation"), tests
    n = count(validation, len(train))
    if n >= len(train):
        raise InputError("dataset.validation", f"a share, or a number from 1 to {len(train) - 1}", validation)
    return train[:-n], train[-n:], tests


def numbers_or_words(name: str, y: np.ndarray) -> np.ndarray:
    """(N,) words or numbers, or (N, k) numbers; InputError for anything else."""
    try:
        y = np.char.decode(y, "utf-8") if y.dtype.kind == "S" else y
    except UnicodeDecodeError as error:
        raise wrong(f"words in UTF-8 in {name}", f"byte {error.object[error.start]:#x}") from error
    if y.dtype.kind not in "biufU":
        raise wrong(f"numbers or words in {name}", str(y.dtype))
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.ndim not in ((1,) if y.dtype.kind == "U" else (1, 2)) or not y.size:
        raise wrong(f"one label or one row of targets an item in {name}", f"shape {y.shape}")
    if y.dtype.kind == "f":
        finite(y, partial(place, name))
    return y


def place(name: str, row: int) -> str:
    return f"{name}[{row}]"
