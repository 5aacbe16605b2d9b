"""Data that a function of a user's own returns: arrays, or a data set of torch."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from genreg.dataset.arrays import Size, Targets
from genreg.dataset.base import Dataset, Subset
from genreg.dataset.npz import SPLIT, UNLABELED, VALIDATION, WHOLE, Arrays, chosen, of_arrays
from genreg.errors import PAGE, InputError, nearest
from genreg.parameters import CountOrZero, checked

KEY = "dataset._target_"
RETURNS = f"""a function that returns (x, y), a dictionary of such pairs (train, validation, test), a torch \
Dataset of them, or a genreg.dataset.Dataset ({PAGE})"""


@checked
def own(
    made: Any,
    *,
    name: str,
    labeled: CountOrZero | None = None,
    validation: Size = 0.2,
    test: Size = 0.2,
    targets: Targets = "auto",
    no_label: int | str | None = "ask",
    stratify: bool = False,
    subset: Subset = "balanced",
    seed: CountOrZero = 0,
) -> Dataset:
    """A data set of what a function returned, by the rules of `npz` and with its parameters.

    made: (x, y), a torch `Dataset` of such items, or a dictionary: of `train`, `test` and maybe `validation`,
    each such a pair or `Dataset` or a dictionary of x and y, and of `unlabeled`, x alone; or of arrays by the
    names that an npz file has. name: of the function, in the line that is said.
    """
    try:
        arrays = _named(made)
        chosen(list(arrays))
        return of_arrays(
            arrays, labeled=labeled, validation=validation, test=test, targets=targets, no_label=no_label,
            stratify=stratify, subset=subset, seed=seed, read=name, checksums={},
        )  # fmt: skip
    except InputError as error:
        if error.key != "dataset.path":
            raise
        raise InputError(KEY, error.expected, error.got, error.nearest) from error


OPTIONS = frozenset(own.__annotations__) - {"made", "name", "seed", "return"}
"""Keys of a node that say how arrays become a data set, where the function takes no such parameter."""


def _named(made: Any) -> Arrays:
    """The arrays, by the names that an npz file has for them."""
    if not isinstance(made, Mapping):
        return dict(zip(WHOLE, _pair(made), strict=True))
    if made.keys() <= {*WHOLE, *SPLIT, *VALIDATION, UNLABELED}:
        return {name: _array(values) for name, values in made.items()}
    known = ("train", "validation", "test", "unlabeled")
    for name in made:
        if name not in known:
            raise InputError(KEY, "train, validation, test or unlabeled", name, nearest(str(name), known))
    arrays: Arrays = {}
    for name, values in made.items():
        if name == "unlabeled":
            arrays[UNLABELED] = _array(values)
        else:
            names = WHOLE if made.keys() <= {"train", "unlabeled"} else (f"x_{name}", f"y_{name}")
            arrays |= zip(names, _pair(values), strict=True)
    return arrays


def _pair(made: Any) -> tuple[np.ndarray, np.ndarray]:
    """x and y of all items; InputError for what is no pair."""
    if isinstance(made, torch.utils.data.Dataset):
        made = _items(made)
    if isinstance(made, Mapping) and made.keys() == {"x", "y"}:
        made = made["x"], made["y"]
    if not isinstance(made, tuple | list) or len(made) != 2:
        raise InputError(KEY, RETURNS, made if isinstance(made, str | int) else type(made).__name__)
    x, y = map(_array, made)
    return x, y


def _items(data: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """x and y of each item of a torch data set, which is read once, in its order."""
    items = list(data) if isinstance(data, IterableDataset) else [data[i] for i in range(len(data))]
    if not items or not all(isinstance(item, tuple | list) and len(item) == 2 for item in items):
        raise InputError(
            KEY, f"items (x, y) of a torch Dataset ({PAGE})", type(items[0]).__name__ if items else "none"
        )
    return [_array(x) for x, _ in items], [_array(y) for _, y in items]


def _array(values: Any) -> np.ndarray:
    """The array of a tensor, a picture, a column or a list."""
    try:
        array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
    except (ValueError, TypeError) as error:  # lists of several lengths
        raise InputError(KEY, f"arrays of one shape ({PAGE})", str(error)) from error
    words = array.dtype.kind == "O" and all(isinstance(value, str) for value in array.flat)
    return array.astype(str) if words else array
