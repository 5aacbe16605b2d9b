"""A data set as tensors, which of its items are labeled, and a labeled batch."""

import hashlib
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from genreg.dataset.draw import balanced, proportional, some
from genreg.dataset.tokenizer import Vocabulary
from genreg.errors import InputError

ITEMS = ("e", "y", "mask", "tokens", "numbers")  # of a batch: tensors of one row for each item


@dataclass(frozen=True)
class Batch:
    """A labeled batch; the `batch` hook of a method may change it, by `dataclasses.replace`.

    e: (B, ...) the embedded inputs. y: (B,) class numbers, (B, classes) probabilities, or (B, k) real targets
    where `classes` is 0. mask: (B, T) true at positions that are not padding; None where nothing is padded.
    tokens: (B, T) the rows of an embedding table that e is, of `vocabulary` rows in all; None where e is no
    table's. replicas: R runs that are trained as one program; B / R items after one another belong to each.
    numbers: (B,) of an unlabeled batch, whose items a method remembers: their places among the `pool` items.
    """

    e: Tensor
    y: Tensor
    classes: int = 0
    mask: Tensor | None = None
    tokens: Tensor | None = None
    vocabulary: int = 0
    replicas: int = 1
    numbers: Tensor | None = None
    pool: int = 0

    def mean(self, values: Tensor) -> Tensor:
        """The mean of one value for each item, (B,): a scalar; of replicas, (R,)."""
        return mean_of(values, self.replicas)

    def factor(self, value: Any, like: Tensor) -> Any:
        """A method's parameter as a factor of `like`, whose first dimension is of items, or of replicas.

        It is the number itself, or a column where replicas have numbers of their own.
        """
        return factor_of(value, like, self.replicas)

    def repeated(self, times: int) -> "Batch":
        """The batch so many times over; of replicas, the copies of each follow one another."""
        if times == 1:
            return self
        items = {name: x for name in ITEMS if (x := getattr(self, name)) is not None}
        copies: dict[str, Any] = {
            name: torch.cat([part for part in x.chunk(self.replicas) for _ in range(times)])
            for name, x in items.items()
        }
        return replace(self, **copies)

    @property
    def probabilities(self) -> Tensor:
        """(B, classes): y, one-hot where it holds class numbers."""
        return self.y if self.y.ndim == 2 else F.one_hot(self.y, self.classes).to(self.e.dtype)


def mean_of(values: Tensor, replicas: int) -> Tensor:
    """The mean of one value for each item, (B,): a scalar; of replicas, (R,)."""
    return values.mean() if replicas == 1 else values.view(replicas, -1).mean(1)


def factor_of(value: Any, like: Tensor, replicas: int) -> Any:
    """A number as it is; of (R,) numbers, a column for the first dimension of `like`."""
    if not isinstance(value, Tensor):
        return value
    column = value.to(like.dtype).repeat_interleave(len(like) // replicas)
    return column.view(-1, *[1] * (like.ndim - 1))


Subset = Literal["balanced", "proportional", "first"]
DRAWS = {"balanced": balanced, "proportional": proportional}


@dataclass(frozen=True)
class Split:
    """x: inputs, batch first; y: (N,) class indices or (N, k) real targets.

    clean: (N,) true where x is not in the training pool.
    """

    x: Tensor
    y: Tensor
    clean: Tensor

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, chosen: Tensor) -> "Split":
        return Split(self.x[chosen], self.y[chosen], self.clean[chosen])

    @property
    def mixed(self) -> bool:
        """True if some items are clean and others are not, so that the clean ones are worth a look alone."""
        return bool(self.clean.any() and not self.clean.all())

    def sharing(self, other: "Split") -> "Split":
        """The split with the tensors of another where those are equal."""
        return Split(*(_held_once(getattr(self, n), getattr(other, n)) for n in ("x", "y", "clean")))

    def to(self, device: torch.device) -> "Split":
        return Split(self.x.to(device), self.y.to(device), self.clean.to(device))


def _held_once(x: Tensor, other: Tensor) -> Tensor:
    return other if torch.equal(x, other) else x


@dataclass(frozen=True)
class Modes:
    """Equal Gaussians: centers (K, d); sigma: standard deviation of each coordinate around its center."""

    centers: Tensor
    sigma: float

    def to(self, device: torch.device) -> "Modes":
        return Modes(self.centers.to(device), self.sigma)


@dataclass(frozen=True)
class Dataset:
    """Everything a run reads, whole on one device.

    unlabeled: the training pool without its labels (it contains the labeled items too).
    classes: 0 if nothing is labeled (`labeled` is empty then), or if targets are real numbers. checksums:
    sha256 of each file that the tensors were read from. modes: of data that were drawn from a known mixture.
    corrupted: copies of the test items, by what was done to them. vocabulary: of texts, whose items are rows
    of its numbers, padded behind. told: of data of one's own, one line of what was read.
    """

    labeled: Split
    unlabeled: Tensor
    validation: Split
    test: Split
    classes: int
    checksums: dict[str, str] = field(default_factory=dict)
    modes: Modes | None = None
    corrupted: dict[str, Split] = field(default_factory=dict)
    vocabulary: Vocabulary | None = None
    told: str = ""

    @property
    def input_shape(self) -> list[int]:
        return list(self.unlabeled.shape[1:])

    @property
    def outputs(self) -> int:
        """The number of outputs of a model: one a class, or one a real target; 0 without labels."""
        real = len(self.labeled) and self.labeled.y.is_floating_point()
        return self.labeled.y.shape[1] if real else self.classes

    @property
    def digest(self) -> str:
        """The sha256 of all inputs and targets, wherever they came from."""
        found = hashlib.sha256()
        splits = (self.labeled, self.validation, self.test)
        for tensor in (self.unlabeled, *(part for split in splits for part in (split.x, split.y))):
            found.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
            found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return found.hexdigest()

    @property
    def items(self) -> dict[str, int]:
        """The number of items of each split, and of the clean ones where these are evaluated alone."""
        found = {"labeled": len(self.labeled), "unlabeled": len(self.unlabeled)}
        for name, split in (("validation", self.validation), ("test", self.test)):
            found[name] = len(split)
            if split.mixed:
                found[f"{name}_clean"] = int(split.clean.sum())
        found |= {f"test_{kind}": len(split) for kind, split in self.corrupted.items()}
        return found

    def sharing(self, other: "Dataset") -> "Dataset":
        """The data set with the tensors of another where those are equal, so that they are held once."""
        return replace(
            self,
            unlabeled=_held_once(self.unlabeled, other.unlabeled),
            validation=self.validation.sharing(other.validation),
            test=self.test.sharing(other.test),
        )

    def to(self, device: torch.device) -> "Dataset":
        return replace(
            self,
            labeled=self.labeled.to(device),
            unlabeled=self.unlabeled.to(device),
            validation=self.validation.to(device),
            test=self.test.to(device),
            modes=self.modes and self.modes.to(device),
            corrupted={kind: split.to(device) for kind, split in self.corrupted.items()},
        )


def assemble(
    train: tuple[Tensor, Tensor],
    validation: Split,
    test: Split,
    *,
    labeled: int,
    subset: Subset,
    seed: int,
    checksums: dict[str, str] | None = None,
    modes: Modes | None = None,
    names: Sequence[str] = (),
) -> Dataset:
    """A data set whose pool is `train`, of which `labeled` items keep their label.

    subset: `balanced` draws them by `seed`, class counts differing by at most one; `proportional`, classes
    as the pool has them; `first` takes the first lines. names: labels of the classes, where these are not
    their numbers. Raises InputError if there are fewer than classes or more than items.
    """
    x, y = train
    classes = int(torch.cat((y, validation.y, test.y)).max()) + 1
    if not classes <= labeled <= len(y):
        raise InputError("dataset.labeled", f"a number from {classes} (classes) to {len(y)} (items)", labeled)
    chosen = torch.arange(labeled) if subset == "first" else DRAWS[subset](y, labeled, seed, names)
    known = Split(x[chosen], y[chosen], torch.zeros(labeled, dtype=torch.bool))
    return Dataset(known, x, validation, test, classes, checksums or {}, modes)


def regression(
    train: Split,
    validation: Split,
    test: Split,
    *,
    labeled: int,
    seed: int,
    subset: Subset = "balanced",
    checksums: dict[str, str] | None = None,
) -> Dataset:
    """A data set of real targets whose pool is `train`; which are known is drawn, or the `first` are."""
    if not 1 <= labeled <= len(train):
        raise InputError("dataset.labeled", f"a number from 1 to {len(train)} (items)", labeled)
    drawn = some(len(train), labeled, seed=seed, stream="labeled")
    chosen = torch.arange(labeled) if subset == "first" else drawn
    known = Split(train.x[chosen], train.y[chosen], torch.zeros(labeled, dtype=torch.bool))
    return Dataset(known, train.x, validation, test, classes=0, checksums=checksums or {})


def unlabeled(
    pool: Tensor, validation: Tensor, test: Tensor, checksums: dict[str, str] | None = None
) -> Dataset:
    """A data set without classes; the label of every validation and test item reads 0."""
    seen = {row.numpy().tobytes() for row in pool}

    def split(x: Tensor) -> Split:
        clean = not_in(seen, (row.numpy().tobytes() for row in x))
        return Split(x, torch.zeros(len(x), dtype=torch.long), clean)

    return Dataset(split(pool[:0]), pool, split(validation), split(test), 0, checksums or {})


def drawn(split: Split, key: str, n: int, seed: int) -> Split:
    """`n` of its items, drawn by the stream `validation`; InputError, naming `key`, for too many."""
    if n > len(split):
        raise InputError(key, f"at most {len(split)} (items)", n)
    return split[some(len(split), n, seed=seed, stream="validation").to(split.y.device)]


def not_in(pool: Iterable[Hashable], items: Iterable[Hashable]) -> Tensor:
    """For each item, whether it stands nowhere in `pool`: the `clean` mask of a split."""
    seen = set(pool)
    return torch.tensor([item not in seen for item in items], dtype=torch.bool)


def image_splits(
    train: np.ndarray, train_y: np.ndarray, test: np.ndarray, test_y: np.ndarray, validation: int
) -> tuple[tuple[Tensor, Tensor], Split, Split]:
    """Pool, validation (the last `validation` training items) and test, from (N, H, W) or (N, H, W, C) uint8.

    x is float32 in [0, 1], (N, C, H, W). Pictures that also stand in the pool are not `clean`.
    """
    if not 0 < validation < len(train):
        raise InputError("dataset.validation", f"a number from 1 to {len(train) - 1}", validation)
    pool = {picture.tobytes() for picture in train[:-validation]}

    def split(pictures: np.ndarray, y: np.ndarray) -> Split:
        x = torch.from_numpy(pictures.astype(np.float32) / 255)
        x = x[:, None] if x.ndim == 3 else x.permute(0, 3, 1, 2).contiguous()
        clean = torch.tensor([picture.tobytes() not in pool for picture in pictures])
        return Split(x, torch.from_numpy(y.astype(np.int64)), clean)

    whole = split(train, train_y)
    held_out = slice(-validation, None)
    return (
        (whole.x[:-validation], whole.y[:-validation]),
        Split(whole.x[held_out], whole.y[held_out], whole.clean[held_out]),
        split(test, test_y),
    )
