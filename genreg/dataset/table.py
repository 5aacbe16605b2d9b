"""A table of one's own, in a text file."""

import logging
from pathlib import Path
from typing import Annotated

import numpy as np

from genreg import download
from genreg.dataset.arrays import Items, Size, Targets, array_dataset, count, is_real, strata, wrong
from genreg.dataset.base import Dataset, Subset
from genreg.dataset.cells import Delimiter, Header, Layout, Mark, column, labels, names_in, numbers, read
from genreg.dataset.draw import shuffled
from genreg.download import Source, find
from genreg.errors import InputError
from genreg.parameters import Count, CountOrZero, Neutral, checked

log = logging.getLogger("genreg")

WORDS = "leave it out by dataset.columns, or code words as 0 and 1"
INDICES = ("id", "index", "idx", "row", "nr", "no", "unnamed: 0")
"""Names, in small letters, of columns that number the rows."""
SPLITS = ("train", "validation", "test", "unlabeled")

SOURCE = Source("table", 0.0, "your own", "a file of your own: dataset.path")


@checked
def table(
    *,
    data_dir: Path,
    path: str = "table.csv",
    header: Annotated[Header, Neutral("first")] = "first",
    delimiter: Annotated[Delimiter | None, Neutral(None)] = None,
    decimal: Annotated[Mark, Neutral("point")] = "point",
    comment: Annotated[str | None, Neutral(None)] = None,
    target: str | int = "target",
    columns: list[str | int] | None = None,
    split: str | int | None = None,
    validation: Size = 0.2,
    test: Annotated[Size, Neutral(0.2)] = 0.2,
    targets: Annotated[Targets, Neutral("auto")] = "auto",
    class_names: Annotated[str | None, Neutral(None)] = None,
    stratify: Annotated[bool, Neutral(False)] = False,
    labeled: Count | None = None,
    subset: Subset = "balanced",
    seed: CountOrZero = 0,
) -> Dataset:
    """Lines of a UTF-8 table: one column is the target, others are numbers; docs/data.md.

    path: as `download.find` takes it; .csv is separated by commas, .tsv, .tab and .txt by tabs. header,
    delimiter, decimal, comment: as in `cells.Layout`; columns without names are typed as numbers. columns:
    those of the features, None for all others; over the pool each has mean 0 and standard deviation 1.
    target: words and whole numbers are classes; other numbers, or all with targets=real, are scaled alike.
    split: the column that says `train`, `validation`, `test` or `unlabeled`; without it, or without lines
    of validation, they are drawn, the same for every seed; stratify: in the proportions of the classes, if
    the target has any. class_names: a text file, a line a class, for labels that are numbers. labeled:
    lines of training that keep their target, None for all. Raises InputError for a file or a cell that is of
    no use.
    """
    file = find(path, data_dir)
    cells, lines = read(file, Layout(delimiter, header, decimal, comment))
    features, target, split = roles(list(cells), target, columns, split)
    *rows, more = named_rows(cells[split] if split else None, lines)
    y = target_values(target, cells[target], lines, more, targets)
    rows = with_drawn(rows, validation, test, strata(y, targets) if stratify else None)
    x = np.stack([numbers(name, cells[name], lines, WORDS) for name in features], 1)
    if columns is None:
        tell_indices(features, x)
    x = standardized(x, np.concatenate((rows[0], more)))
    if is_real(y[rows[0]], targets):
        y, targets = standardized_target(target, y, rows[0]), "real"
    items = Items(x, y, lambda row: f"line {lines[row]}, column {target}")
    return array_dataset(
        (items[rows[0]], items[rows[1]], items[rows[2]]), x[more] if len(more) else None, targets=targets,
        labeled=labeled, subset=subset, seed=seed, class_names=names_in(class_names, data_dir),
        checksums={file.name: download.of_file(file)},
        read=f"{file.name}: {len(lines)} rows, {len(features)} column{'s' * (len(features) > 1)}",
    )  # fmt: skip


def roles(
    names: list[str], target: str | int, columns: list[str | int] | None, split: str | int | None
) -> tuple[list[str], str, str | None]:
    """Names of the features, the target and the column of splits.

    InputError for a name that there is not, or that has another role.
    """
    target = column("dataset.target", target, names)
    split = None if split is None else column("dataset.split", split, names)
    if columns is not None:
        chosen = [column("dataset.columns", name, names) for name in columns]
        if not chosen or {target, split} & set(chosen) or len(set(chosen)) < len(chosen):
            raise InputError("dataset.columns", "columns beside target and split, each once", columns)
        return chosen, target, split
    if "" in names:
        raise wrong(
            "a name for every column (pandas: to_csv(index=False)), or dataset.columns", "one without"
        )
    if not (others := [name for name in names if name not in (target, split)]):
        raise wrong("columns beside target and split", names)
    return others, target, split


def tell_indices(names: list[str], x: np.ndarray) -> None:
    """Name the columns that count the rows, or are called so and have a value of its own in each."""
    for name, values in zip(names, x.T, strict=True):
        counts = len(values) > 2 and (np.diff(values) == 1).all()
        called = name.lower() in INDICES and len(np.unique(values)) == len(values)
        if counts or called:
            log.warning("dataset.columns: %s looks like an index of the rows, and is a feature: list the "
                        "others to leave it out", name)  # fmt: skip


def target_values(
    name: str, cells: np.ndarray, lines: np.ndarray, unlabeled: np.ndarray, targets: Targets
) -> np.ndarray:
    """Numbers, where real targets are asked for, `labels` otherwise; anything in the rows `unlabeled`."""
    known = np.ones(len(cells), dtype=bool)
    known[unlabeled] = False
    cells, lines = cells[known], lines[known]
    if targets == "real":
        values = numbers(name, cells, lines, "dataset.targets=classes takes words")
    else:
        values = labels(name, cells, lines)
    found = np.zeros(len(known), dtype=values.dtype)
    found[known] = values
    return found


def named_rows(cells: np.ndarray | None, lines: np.ndarray) -> list[np.ndarray]:
    """Rows of train, validation, test and unlabeled; all of train where no column names them."""
    if cells is None:
        return [np.arange(len(lines)), *np.empty((3, 0), dtype=np.int64)]
    for cell, line in zip(cells, lines, strict=True):
        if cell not in SPLITS:
            raise InputError("dataset.split", f"a column of {', '.join(SPLITS)}", f"{cell!r} in line {line}")
    train, held_out, tested, more = (np.flatnonzero(cells == name) for name in SPLITS)
    if not len(train) or not len(tested):
        raise InputError("dataset.split", "lines of train and of test", f"{len(train)} and {len(tested)}")
    return [train, held_out, tested, more]


def with_drawn(
    rows: list[np.ndarray], validation: float, test: float, labels: np.ndarray | None
) -> list[np.ndarray]:
    """Rows of train, validation and test, of which those without any are drawn from train.

    labels: of every row; None to draw without regard to them.
    """
    train, held_out, tested = rows
    if len(held_out):
        return rows
    n, given = len(train), len(tested) > 0
    sizes = count(validation, n), 0 if given else count(test, n)
    pool, drawn, rest = (i.numpy() for i in shuffled(n, *sizes, None if labels is None else labels[train]))
    return [train[np.sort(pool) if given else pool], train[drawn], tested if given else train[rest]]


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
