"""A table of one's own, in a text file."""

import logging
from pathlib import Path

import numpy as np

from genreg.dataset.arrays import Part, Size, Targets, array_dataset, count, is_real, wrong
from genreg.dataset.base import Dataset, Subset, shuffled
from genreg.dataset.cells import MISSING, number, numbers, present, read
from genreg.download import sha256
from genreg.errors import InputError, nearest
from genreg.parameters import Count, CountOrZero, checked

log = logging.getLogger("genreg")

WORDS = "leave it out by dataset.columns, or code words as 0 and 1"
SPLITS = ("train", "validation", "test", "unlabeled")


@checked
def table(
    *,
    data_dir: Path,
    path: str = "table.csv",
    target: str = "target",
    columns: list[str] | None = None,
    split: str | None = None,
    validation: Size = 0.2,
    test: Size = 0.2,
    targets: Targets = "auto",
    labeled: Count | None = None,
    subset: Subset = "balanced",
    seed: CountOrZero = 0,
) -> Dataset:
    """Lines of a UTF-8 table with a header: one column is the target, others are numbers; docs/data.md.

    path: absolute, or within the data folder; .csv is separated by commas, .tsv and .tab by tabs. columns:
    those of the features, None for all others; over the pool each has mean 0 and standard deviation 1.
    target: words and whole numbers are classes; other numbers, or all with targets=real, are scaled alike.
    split: the column that says `train`, `validation`, `test` or `unlabeled`; without it, or without lines
    of validation, they are drawn, the same for every seed. labeled: lines of training that keep their
    target, None for all. Raises InputError for a file or a cell that is of no use.
    """
    file = data_dir / path
    cells, lines = read(file)
    features = feature_columns(list(cells), target, columns, split)
    *rows, more = split_rows(cells[split] if split else None, lines, validation, test)
    x = np.stack([numbers(name, cells[name], lines, WORDS) for name in features], 1)
    x = standardized(x, np.concatenate((rows[0], more)))
    y = target_values(target, cells[target], lines, more, targets)
    if is_real(y[rows[0]], targets):
        y, targets = standardized_target(target, y, rows[0]), "real"
    items = Part(x, y, lambda row: f"line {lines[row]}, column {target}")
    return array_dataset(
        (items[rows[0]], items[rows[1]], items[rows[2]]), x[more] if len(more) else None, targets=targets,
        labeled=labeled, subset=subset, seed=seed, checksums={file.name: sha256(file)},
    )  # fmt: skip


def feature_columns(names: list[str], target: str, columns: list[str] | None, split: str | None) -> list[str]:
    """Names of the features; InputError for a name that there is not, or that has another role."""
    for key, name in [("target", target), ("split", split), *(("columns", name) for name in columns or [])]:
        if name is not None and name not in names:
            raise InputError(f"dataset.{key}", "the name of a column", name, nearest(name, names))
    roles = {target, split}
    if columns is not None:
        if not columns or roles & set(columns) or len(set(columns)) < len(columns):
            raise InputError("dataset.columns", "columns beside target and split, each once", columns)
        return columns
    if "" in names:
        raise wrong(
            "a name for every column (pandas: to_csv(index=False)), or dataset.columns", "one without"
        )
    if not (others := [name for name in names if name not in roles]):
        raise wrong("columns beside target and split", names)
    return others


def target_values(
    name: str, cells: np.ndarray, lines: np.ndarray, unlabeled: np.ndarray, targets: Targets
) -> np.ndarray:
    """Numbers, where all cells are or are asked to be, words otherwise; anything in the rows `unlabeled`."""
    known = np.ones(len(cells), dtype=bool)
    known[unlabeled] = False
    cells, lines = cells[known], lines[known]
    if targets == "real" or all(number(cell) is not None for cell in cells if cell.lower() not in MISSING):
        values = numbers(name, cells, lines, "dataset.targets=classes takes words")
    else:
        present(name, cells, lines)
        values = cells.astype(str)
    found = np.zeros(len(known), dtype=values.dtype)
    found[known] = values
    return found


def split_rows(
    cells: np.ndarray | None, lines: np.ndarray, validation: float, test: float
) -> list[np.ndarray]:
    """Rows of train, validation, test and unlabeled."""
    n, none = len(lines), np.array([], dtype=np.int64)
    if cells is None:
        return [*(i.numpy() for i in shuffled(n, count(validation, n), count(test, n))), none]
    for cell, line in zip(cells, lines, strict=True):
        if cell not in SPLITS:
            raise InputError("dataset.split", f"a column of {', '.join(SPLITS)}", f"{cell!r} in line {line}")
    train, held_out, tested, more = (np.flatnonzero(cells == name) for name in SPLITS)
    if not len(train) or not len(tested):
        raise InputError("dataset.split", "lines of train and of test", f"{len(train)} and {len(tested)}")
    if not len(held_out):
        pool, drawn, _ = (i.numpy() for i in shuffled(len(train), count(validation, len(train)), 0))
        train, held_out = train[np.sort(pool)], train[drawn]
    return [train, held_out, tested, more]


def standardized(x: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """x as float32; columns of the rows `pool` have mean 0 and standard deviation 1, or 0 if constant."""
    from sklearn.preprocessing import StandardScaler

    scaled: np.ndarray = StandardScaler().fit(x[pool]).transform(x).astype(np.float32)
    return scaled


def standardized_target(name: str, y: np.ndarray, train: np.ndarray) -> np.ndarray:
    """(N, 1): y as `standardized` by its rows `train`; the scale is said."""
    known = y[train]
    log.info("dataset.target: %s has mean %g and standard deviation %g in training: mse is in units of %g",
             name, known.mean(), known.std(), known.var())  # fmt: skip
    return standardized(y[:, None], train)
