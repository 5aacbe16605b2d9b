"""Arrays of one's own, in a numpy file."""

import logging
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import numpy as np

from genreg import download
from genreg.dataset.arrays import (
    Items,
    Size,
    Targets,
    array_dataset,
    count,
    doubtful,
    finite,
    is_real,
    strata,
    whole,
    wrong,
)
from genreg.dataset.base import Dataset, Subset
from genreg.dataset.cells import missing, names_in
from genreg.dataset.draw import shuffled
from genreg.download import Source, find
from genreg.errors import InputError
from genreg.parameters import CountOrZero, Neutral, checked

log = logging.getLogger("genreg")

Arrays = dict[str, np.ndarray]
Parted = tuple[Items, np.ndarray]

WHOLE, SPLIT = ("X", "y"), ("x_train", "y_train", "x_test", "y_test")
VALIDATION, UNLABELED = ("x_validation", "y_validation"), "x_unlabeled"
ROLES = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation",
         "test": "test", "unlabeled": "unlabeled"}  # fmt: skip
INPUTS, LABELS = ("x", "image", "images", "data", "features"), ("y", "label", "labels", "target", "targets")
"""Words of which other programs make the names of arrays, as train_images and train_labels."""
UNREADABLE = (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""Errors of numpy and zipfile for broken files."""
CHANNELS = (1, 3, 4)

SOURCE = Source("npz", 0.0, "your own", "a file of your own: dataset.path")


@checked
def npz(
    *,
    data_dir: Path,
    path: str = "pictures.npz",
    labeled: CountOrZero | None = 1000,
    validation: Size = 1000,
    test: Annotated[Size, Neutral(0.2)] = 0.2,
    targets: Annotated[Targets, Neutral("auto")] = "auto",
    no_label: Annotated[int | str | None, Neutral("ask", None)] = "ask",
    class_names: Annotated[str | None, Neutral(None)] = None,
    stratify: Annotated[bool, Neutral(False)] = False,
    subset: Subset = "balanced",
    seed: CountOrZero = 0,
) -> Dataset:
    """Items from an npz file of x_train, y_train, x_test and y_test, or of X and y alone; docs/data.md.

    Names that other programs use mean these, as `meant` has them. class_names: a text file, a line a class.
    x: bytes are brought to [0, 1], and are pictures where they are (N, H, W[, C]): (C, H, W) then; other
    numbers (N, ...) stay as they are. y: whole numbers or words (N,) are classes; others, or all with
    targets=real, real targets (N[, k]). validation: so many or such a share of training, unless x_validation
    and y_validation are there; of X and y, it and test are held out, the same items for every seed. stratify:
    drawn in the proportions of the classes, if there are any; without it, X and y are drawn regardless of
    them, and validation is the last of x_train. x_unlabeled joins the pool, as do items whose label is
    `no_label`; None: every label is a class; `ask`: one that may be none is refused. labeled: items of
    training that keep their label, None for all. path: as `download.find` takes it. Raises InputError for a
    file or an array that is of no use.
    """
    file = find(path, data_dir)
    arrays, left_out = read(file)
    return of_arrays(
        arrays, labeled=labeled, validation=validation, test=test, targets=targets, no_label=no_label,
        stratify=stratify, subset=subset, seed=seed, read=file.name,
        checksums={file.name: download.of_file(file)},
        class_names=names_in(class_names, data_dir),
        left_out={f"of other names ({', '.join(left_out)})": len(left_out)},
    )  # fmt: skip


def of_arrays(
    arrays: Arrays, *, labeled: int | None, validation: Size, test: Size, targets: Targets,
    no_label: int | str | None, stratify: bool, subset: Subset, seed: int, read: str,
    checksums: dict[str, str], left_out: Mapping[str, int] = MappingProxyType({}),
    class_names: Sequence[str] | None = None,
) -> Dataset:  # fmt: skip
    """A data set of named arrays, as `npz` makes it. read: where they are from, in the line that is said."""
    xs = {name: features(name, array) for name, array in arrays.items() if name[0] in "xX"}
    check_alike(arrays, xs)
    parted = partial(apart, targets=targets, no_label=no_label)
    labels = partial(strata, targets=targets) if stratify else None
    parts, more = splits(arrays, xs, validation, test, parted, labels)
    pools = [*([more] if len(more) else []), *([xs[UNLABELED]] if UNLABELED in xs else [])]
    rows = sum(len(x) for x in xs.values())
    without = f", {len(more)} without a label ({no_label})" if len(more) else ""
    return array_dataset(
        parts, np.concatenate(pools) if pools else None, targets=targets, labeled=labeled,
        subset=subset, seed=seed, checksums=checksums, left_out=left_out, class_names=class_names,
        read=f"{read}: {rows} rows of {parts[0].x.shape[1:]}{without}",
    )  # fmt: skip


def read(file: Path) -> tuple[Arrays, list[str]]:
    """The arrays that have a meaning here, and the names of others; InputError for a broken file."""
    if not zipfile.is_zipfile(file):
        expected = "a whole npz file, as numpy.savez(path, X=X, y=y) writes it"
        raise wrong(expected, f"{file}, which is empty, cut off or of another kind")
    name = file.name
    arrays: Arrays = {}
    try:
        with np.load(file) as found:
            own = meant(found.files)
            names, others = chosen(list(own))
            for name in names:
                arrays[name] = np.asarray(found[own[name]])
    except UNREADABLE as error:
        if "Object arrays" in str(error):
            raise wrong(
                f"numbers or words in {name}: {name}.astype(float) or .astype(str)", "objects"
            ) from error
        raise wrong("an undamaged npz file", f"{name}: {str(error).splitlines()[0]}") from error
    return arrays, others


def meant(names: Sequence[str]) -> dict[str, str]:
    """The names in a file by those that are read: `train_images` under x_train, where none is of these."""
    known = {*WHOLE, *SPLIT, *VALIDATION, UNLABELED}
    if known & set(names):
        return {name: name for name in names}
    found: dict[str, str] = {}
    for name in names:
        words = name.lower().split("_")
        role = next((ROLES[word] for word in words if word in ROLES), "")
        kind = next((k for k, of in (("x", INPUTS), ("y", LABELS)) if set(of) & set(words)), "")
        whole = {"x": "X", "y": "y"}.get(kind, "") if len(words) == 1 else ""
        found.setdefault(f"{kind}_{role}" if kind and role and len(words) == 2 else whole or name, name)
    if renamed := [f"{name} as {read}" for read, name in found.items() if read != name]:
        log.info("dataset.path: %s", ", ".join(renamed))
    return found


def chosen(names: list[str]) -> tuple[list[str], list[str]]:
    """Arrays that are read, and others, which are said, or refused where they leave open what is meant."""
    found = set(names)
    wanted = set(WHOLE) if found & set(WHOLE) else set(SPLIT)
    if found & set(VALIDATION) and wanted == set(SPLIT):
        wanted |= set(VALIDATION)
    if missing := sorted(wanted - found):
        raise wrong(f"the array {missing[0]} ({', '.join(SPLIT)}; or X, y)", sorted(names))
    if wanted == set(WHOLE) and found & {*SPLIT, *VALIDATION}:
        raise wrong(f"either X and y or {', '.join(SPLIT)}", sorted(names))
    if other := sorted(found - wanted - {UNLABELED}):
        log.warning("dataset.path: arrays without a meaning here, left out: %s", ", ".join(other))
    return sorted(found & (wanted | {UNLABELED})), other


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
        if x.ndim >= 3 and 1 < x.max() <= 255 and x.min() >= 0 and whole(x).all():
            log.warning("dataset.path: %s has whole numbers up to %g, which stay as they are: pictures of "
                        "bytes, %s.astype('uint8'), are divided by 255", name, x.max(), name)  # fmt: skip
        return x[:, None] if x.ndim == 1 else x
    x = x.astype(np.float32) / 255
    if x.ndim == 4:
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    return x[:, None] if x.ndim in (1, 3) else x


def channels_misplaced(x: np.ndarray) -> bool:
    """True if squares of 1, 3 or 4 channels have these at the wrong end: last for bytes, first for others."""
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


def splits(
    arrays: Arrays, xs: Arrays, validation: float, test: float, parted: Callable[[Items], Parted],
    labels: Callable[[np.ndarray], np.ndarray | None] | None,
) -> tuple[tuple[Items, Items, Items], np.ndarray]:  # fmt: skip
    """Training, validation and test, and the features of items without a label, as `parted` tells them.

    labels: the classes in whose proportions is drawn; None to draw X regardless, and to take the last of
    x_train.
    """

    def part(split: str = "") -> Items:
        x, y = (f"x{split}", f"y{split}") if split else WHOLE
        labels = numbers_or_words(y, arrays[y])
        if len(labels) != len(xs[x]):
            raise wrong(f"as many rows in {y} as in {x}, {len(xs[x])}", len(labels))
        return Items(xs[x], labels, partial(place, y))

    if "X" in xs:
        items, more = parted(part())
        n = len(items)
        sizes = count(validation, n), count(test, n)
        pool, held_out, tested = shuffled(n, *sizes, labels(items.y) if labels else None)
        return (items[pool.numpy()], items[held_out.numpy()], items[tested.numpy()]), more
    (train, more), tests = parted(part("_train")), part("_test")
    if VALIDATION[0] in xs:
        return (train, part("_validation"), tests), more
    n = count(validation, len(train))
    if n >= len(train):
        raise InputError("dataset.validation", f"a share, or a number from 1 to {len(train) - 1}", validation)
    if labels is None:
        return (train[:-n], train[-n:], tests), more
    pool, held_out, _ = shuffled(len(train), n, 0, labels(train.y))
    return (train[pool.sort().values.numpy()], train[held_out.numpy()], tests), more


def apart(part: Items, *, targets: Targets, no_label: int | str | None) -> Parted:
    """Items that have a label, and the features of others; InputError where `no_label` is to be chosen."""
    if is_real(part.y, targets) or part.y.ndim > 1 or no_label is None:
        return part, part.x[:0]
    if no_label == "ask":
        mark = label_of_none(np.unique(part.y))
        if mark is not None:
            expected = f"{mark!r} if it means no label (such items join the pool), or null if it is a class"
            where = part.place(int((part.y == mark).argmax()))
            raise InputError("dataset.no_label", expected, f"{no_label}, where {where} is {mark!r}")
        return part, part.x[:0]
    wanted = str(no_label) if part.y.dtype.kind == "U" else no_label
    without = np.array([label == wanted for label in part.y.tolist()])
    return part[~without], part.x[without]


def label_of_none(labels: np.ndarray) -> int | str | None:
    """One of the labels that may mean that there is none: -1 beside 0, 1, ..., or a word for no value."""
    if labels.dtype.kind == "U":
        return next((str(label) for label in labels if missing(label)), None)
    return -1 if labels.dtype.kind in "if" and doubtful([str(int(label)) for label in labels]) else None


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
