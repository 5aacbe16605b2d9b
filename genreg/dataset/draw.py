"""Draws of items: none depends on the order in which a file has them, which may be class by class."""

import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from genreg import streams
from genreg.errors import InputError

log = logging.getLogger("genreg")

SHOWN = 10  # classes that a line names


def some(n: int, k: int, *, stream: str, seed: int = 0) -> Tensor:
    """Indices of at most k of n items, in random order, by a stream of `seed`."""
    return torch.randperm(n, generator=streams.generator(seed, stream))[:k]


def chosen(items: int, x: Tensor, *, stream: str = "measure/items") -> Tensor:
    """Rows of a tensor: drawn, the same of all that are as long; all as they stand if at most `items`."""
    return x if len(x) <= items else x[some(len(x), items, stream=stream).to(x.device)]


def balanced(y: Tensor, n: int, seed: int, names: Sequence[str] = ()) -> Tensor:
    """Indices of `n` items of `y`, as equal in class as possible, drawn by the stream `labeled` of `seed`.

    Raises InputError, with the label of `names`, where a class has too few items.
    """
    draw = streams.generator(seed, "labeled")
    classes = int(y.max()) + 1
    extra = set(torch.randperm(classes, generator=draw)[: n % classes].tolist())
    want = [n // classes + (c in extra) for c in range(classes)]
    return _of_classes(y, want, draw, names)


def proportional(y: Tensor, n: int, seed: int, names: Sequence[str] = ()) -> Tensor:
    """Indices of `n` items of `y`, its classes in their proportions, drawn as `balanced` draws.

    At least one item of each class, where n is no smaller than their number.
    """
    draw = streams.generator(seed, "labeled")
    counts = y.bincount()
    least = counts.clamp_max(1) if n >= int((counts > 0).sum()) else torch.zeros_like(counts)
    return _of_classes(y, apportioned(counts, n, draw, least=least).tolist(), draw, names)


def _of_classes(y: Tensor, want: Sequence[int], draw: torch.Generator, names: Sequence[str]) -> Tensor:
    """Indices of so many items of each class, one class after another."""
    found = []
    for c, k in enumerate(want):
        members = (y == c).nonzero()[:, 0]
        if k > len(members):
            label = names[c] if names else c
            expected = f"at most {len(members)} items of class {label}, all that training has"
            raise InputError("dataset.labeled", expected, f"{k} of {sum(want)}, with subset=balanced")
        found.append(members[torch.randperm(len(members), generator=draw)[:k]])
    return torch.cat(found)


def apportioned(
    counts: Tensor, n: int, draw: torch.Generator, *, least: Tensor | None = None, most: Tensor | None = None
) -> Tensor:
    """The number of items, of n, for each class, in the proportions of `counts`, by the largest remainder.

    Between `least` (0) and `most` (its count); which of equal remainders go first is drawn.
    """
    order = torch.randperm(len(counts), generator=draw)
    counts = counts[order]
    got = torch.zeros_like(counts) if least is None else least[order].clone()
    most = counts if most is None else most[order]
    for _ in range(n - int(got.sum())):
        lacking = n * counts - counts.sum() * got  # of its exact share, in whole numbers
        got[torch.where(got < most, lacking, lacking.min() - 1).argmax()] += 1
    return torch.empty_like(got).index_copy_(0, order, got)


def shuffled(
    n: int, validation: int, test: int, labels: np.ndarray | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of pool, validation and test of n items, drawn at random, always the same.

    labels: (n,) of the classes, in whose proportions each of the three is drawn, by the largest remainder;
    the pool has an item of every class first, and classes of which validation or test has none are said.
    Where there are not so many items, they are drawn without regard to classes. Raises InputError if nothing
    is left for the pool.
    """
    if validation + test >= n:
        raise InputError("dataset.validation", f"validation + test below {n} (items)", validation + test)
    names, codes = np.unique(np.zeros(n) if labels is None else labels, return_inverse=True)
    if validation + test > n - len(names):
        return shuffled(n, validation, test)
    y = torch.from_numpy(codes)
    draw = torch.Generator().manual_seed(0)
    order = torch.randperm(n, generator=draw)
    held = apportioned(y.bincount(), validation + test, draw, most=y.bincount() - 1)
    first = apportioned(held, validation, draw)
    _tell_absent(names, (first == 0) | ((held == first) & (test > 0)))
    y = y[order]
    rank = torch.empty_like(y)  # of an item among those of its class
    for c in range(len(names)):
        rank[y == c] = torch.arange(int((y == c).sum()))
    in_test = (rank >= first[y]) & (rank < held[y])
    return order[rank >= held[y]], order[rank < first[y]], order[in_test]


def stratified(y: np.ndarray, held: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the items that stay and of those held out, classes in their proportions.

    Those of scikit-learn's `train_test_split(..., test_size=held, stratify=y, random_state=seed)`, whose
    import takes a second or two: data sets that were cut by it stay as they are.
    """
    draw = np.random.RandomState(seed)
    _, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])
    first = _in_proportion(counts, len(y) - held, draw)
    second = _in_proportion(counts - first, held, draw)
    stay, out = [], []
    for of_class, a, b in zip(members, first, second, strict=True):
        order = of_class[draw.permutation(len(of_class))]
        stay += order[:a].tolist()
        out += order[a : a + b].tolist()
    return draw.permutation(stay), draw.permutation(out)


def _in_proportion(counts: np.ndarray, n: int, draw: np.random.RandomState) -> np.ndarray:
    """The number of items, of n, for each class: whole shares, then one each by the largest remainder."""
    shares = counts / counts.sum() * n
    found: np.ndarray = np.floor(shares)
    remainders, left = shares - found, n - int(found.sum())
    for value in np.unique(remainders)[::-1] if left else ():
        equal = np.flatnonzero(remainders == value)
        found[draw.choice(equal, size=min(len(equal), left), replace=False)] += 1
        left -= min(len(equal), left)
        if not left:
            break
    return found.astype(int)


def _tell_absent(names: np.ndarray, absent: Tensor) -> None:
    if absent.any():
        found = [str(name) for name, lacking in zip(names, absent.tolist(), strict=True) if lacking]
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        log.warning("dataset: %d of %d classes have no item in validation or in test, being too few: %s%s",
                    len(found), len(names), ", ".join(found[:SHOWN]), more)  # fmt: skip
