"""Makes a data set of a user's arrays, says in one line what was read, and names the place of an error."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from genreg.dataset.base import Dataset, Split, Subset, assemble, not_in, regression
from genreg.errors import InputError
from genreg.parameters import Count

TOLD = 8
"""Classes that are named in the line; of more, the first so many."""


def told(
    dataset: Dataset, read: str, names: Sequence[str], ys: Sequence[Tensor], left_out: Mapping[str, int]
) -> Dataset:
    """The data set with its line.

    read: the file, and what is in it. names: the labels of its classes; ys: the class numbers of training,
    validation and test. left_out: how many of what.
    """
    parts = [read]
    if any(left_out.values()):
        parts.append("left out " + ", ".join(f"{n} {what}" for what, n in left_out.items() if n))
    if names:
        counts = sum(y.bincount(minlength=len(names)) for y in ys).tolist()  # type: ignore[union-attr]
        parts.append(classes(names, counts))
    else:
        parts.append("real targets" if dataset.outputs else "no classes")
    if doubtful(names):
        parts.append("-1 is a class")
    sizes = dataset.items
    names_of = {"labeled": "labeled", "unlabeled": "pool", "validation": "validation", "test": "test"}
    parts.append(", ".join(f"{name} {sizes[split]}" for split, name in names_of.items()))
    return replace(dataset, told="; ".join(parts))


def classes(names: Sequence[str], counts: Sequence[int]) -> str:
    """The classes with how many items each has: `classes 1: 59, 2: 71, 3: 48`."""
    each = [f"{short(name)}: {n}" for name, n in zip(names, counts, strict=True)]
    if len(each) <= TOLD:
        return f"classes {', '.join(each)}"
    return f"{len(each)} classes of {min(counts)} to {max(counts)} items ({', '.join(each[:TOLD])}, ...)"


def short(name: str) -> str:
    """A label in one short line: files may hold anything."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    return plain if len(plain) <= 40 else plain[:37] + "..."


def doubtful(names: Sequence[str]) -> bool:
    """True if -1 may be meant as no label: beside two classes or more, all numbers from 0 on."""
    others = [name for name in names if name != "-1"]
    return len(others) == len(names) - 1 >= 2 and all(name.isdecimal() for name in others)


Targets = Literal["auto", "classes", "real"]
Size = Count | Annotated[float, Field(gt=0, lt=1)]
"""So many items, or such a share of them."""


def wrong(expected: str, got: object = None) -> InputError:
    """Return the error that says what a file should hold."""
    return InputError("dataset.path", expected, got)


def count(size: float, n: int) -> int:
    """The number of items, of n, that a `Size` means; at least one."""
    return int(size) if size >= 1 else max(1, round(size * n))


@dataclass(frozen=True)
class Items:
    """Items of one split. x: (N, ...) float32; y: (N,) finite numbers or words, or (N, k) finite numbers.

    place: the number of a row -> where it stands in the user's file.
    """

    x: np.ndarray
    y: np.ndarray
    place: Callable[[int], str]

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, chosen: Any) -> "Items":
        rows = np.arange(len(self))[chosen]
        return Items(self.x[chosen], self.y[chosen], lambda row: self.place(rows[row]))


def array_dataset(
    parts: tuple[Items, Items, Items],
    unlabeled: np.ndarray | None,
    *,
    targets: Targets,
    labeled: int | None,
    subset: Subset,
    seed: int,
    checksums: dict[str, str],
    read: str,
    left_out: Mapping[str, int] = MappingProxyType({}),
    class_names: Sequence[str] | None = None,
) -> Dataset:
    """A data set of training, validation and test; `unlabeled` joins the pool. labeled: None for all.

    read, left_out: what is said of the file, as in `told`. class_names: of labels that are numbers.
    """
    real = is_real(parts[0].y, targets)
    names: list[str] = []
    if real:
        ys = [real_targets(part, parts[0]) for part in parts]
    else:
        ys, names = class_numbers(parts)
        names = names if class_names is None else named(names, class_names)
    pools = [x for x in (parts[0].x, unlabeled) if x is not None]
    pool = {digest(row) for x in pools for row in x}

    def split(part: Items, y: Tensor) -> Split:
        return Split(torch.from_numpy(part.x), y, not_in(pool, (digest(row) for row in part.x)))

    train, validation, test = map(split, parts, ys)
    known: dict[str, Any] = {"labeled": labeled, "subset": subset}
    if labeled is None:
        known = {"labeled": len(train), "subset": "first"}
    if real:
        dataset = regression(train, validation, test, seed=seed, checksums=checksums, **known)
    else:
        pool_of = (train.x, train.y)
        dataset = assemble(pool_of, validation, test, seed=seed, checksums=checksums, names=names, **known)
    if unlabeled is not None:
        dataset = replace(dataset, unlabeled=torch.cat([torch.from_numpy(x) for x in pools]))
    return told(dataset, read, names, ys, left_out)


def named(labels: Sequence[str], names: Sequence[str]) -> list[str]:
    """The names of classes that are numbers, from 0 or from 1 on; InputError where they are not of these."""
    key = "dataset.class_names"
    if word := next((label for label in labels if not label.isdecimal()), None):
        raise InputError(key, "labels that are numbers from 0 or from 1 on", word)
    numbers = [int(label) for label in labels]
    first = int(min(numbers) > 0 and max(numbers) == len(names))
    if max(numbers) - first >= len(names):
        raise InputError(key, f"a line for each label up to {max(numbers)}", f"{len(names)} lines")
    return [names[number - first] for number in numbers]


def digest(row: np.ndarray) -> bytes:
    """A hash of an item, 16 bytes."""
    return hashlib.blake2b(row.tobytes(), digest_size=16).digest()


def finite(x: np.ndarray, place: Callable[[int], str]) -> np.ndarray:
    """x as float32; InputError for the first row where a number is none, or is beyond float32."""
    with np.errstate(over="ignore"):
        single = np.ascontiguousarray(x, dtype=np.float32)
    bad = ~np.isfinite(single)
    if bad.any():
        row = int(bad.reshape(len(x), -1).any(1).argmax())
        value = x[row][bad[row]].flat[0]
        raise wrong("finite numbers (drop the row, or fill it in)", f"{value} at {place(row)}")
    return single


def whole(y: np.ndarray) -> np.ndarray:
    """A mask of the entries of y that are words or whole numbers."""
    return y == np.floor(y) if y.dtype.kind == "f" else np.ones(y.shape, dtype=bool)


def is_real(y: np.ndarray, targets: Targets) -> bool:
    """True if targets are real: asked for, or because a number of training is not whole."""
    return targets == "real" or (targets == "auto" and not whole(y).all())


def strata(y: np.ndarray, targets: Targets) -> np.ndarray | None:
    """The labels by whose classes splits are drawn; None for real targets, or what are no labels."""
    classes = y.ndim == 1 and targets != "real" and whole(y).all()
    return y if classes else None


def real_targets(part: Items, train: Items) -> Tensor:
    """Targets (N, k); InputError for words, or another k than training has."""
    if part.y.dtype.kind == "U":
        raise wrong("numbers as real targets (dataset.targets=classes takes words)",
                    f"{part.y[0].item()!r} at {part.place(0)}")  # fmt: skip
    if part.y.shape[1:] != train.y.shape[1:]:
        raise wrong(f"targets of the shape {train.y.shape[1:]} that training has",
                    f"{part.y.shape[1:]} at {part.place(0)}")  # fmt: skip
    return torch.from_numpy(part.y.astype(np.float32).reshape(len(part), -1))


def class_numbers(parts: tuple[Items, Items, Items], *, real: bool = True) -> tuple[list[Tensor], list[str]]:
    """Class numbers (N,) of each part, from 0, in the sorted order of the labels of the first; these labels.

    real: whether `dataset.targets=real` is another choice, and worth a word where labels are none.
    """
    labels = [class_labels(part, real=real) for part in parts]
    names = np.unique(labels[0])
    for part, y in zip(parts, labels, strict=True):
        strange = ~np.isin(y, names) if y.dtype.kind == names.dtype.kind else np.ones(len(y), dtype=bool)
        if strange.any():
            row = int(strange.argmax())
            instead = "; dataset.targets=real for measurements" if real else ""
            raise wrong(
                f"classes of which training has items (shuffle the rows, or leave these out{instead})",
                f"{y[row].item()!r} at {part.place(row)}",
            )
    kind = bool if parts[0].y.dtype.kind == "b" else names.dtype
    ys = [torch.from_numpy(np.searchsorted(names, y)) for y in labels]
    return ys, names.astype(kind).astype(str).tolist()


def class_labels(part: Items, *, real: bool = True) -> np.ndarray:
    """Labels (N,), words or whole numbers as int64; InputError for anything else."""
    if part.y.ndim == 2:
        raise wrong("one label an item: y.argmax(1) of one-hot rows (or dataset.targets=real)",
                    f"{part.y.shape[1]} numbers at {part.place(0)}")  # fmt: skip
    fractions = ~whole(part.y)
    if fractions.any():
        row = int(fractions.argmax())
        instead = " (or dataset.targets=real)" if real else ""
        raise wrong(
            f"words or whole numbers as labels{instead}", f"{part.y[row].item()} at {part.place(row)}"
        )
    if part.y.dtype.kind == "f":
        inexact = np.abs(part.y) >= 2 / np.finfo(part.y.dtype).eps  # 2^53 of float64: it has no neighbours
        if inexact.any():
            row = int(inexact.argmax())
            expected = f"integers as labels: {part.y.dtype} does not tell whole numbers of this size apart"
            raise wrong(expected, f"{part.y[row].item():.0f} at {part.place(row)}")
    return part.y if part.y.dtype.kind == "U" else part.y.astype(np.int64)
