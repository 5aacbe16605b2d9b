"""The line that is said of data of one's own: what was read, what was left out, classes and splits."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from genreg.dataset.base import Dataset

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
