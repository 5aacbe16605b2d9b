"""Texts of one's own, in a table or in lines of JSON."""

import logging
import re
from pathlib import Path

import numpy as np

from genreg.dataset import cells, jsonl
from genreg.dataset.arrays import Part, Size, class_labels, class_numbers, wrong
from genreg.dataset.base import Dataset, Subset
from genreg.dataset.table import split_rows, target_values
from genreg.dataset.texts import Texts, text_dataset
from genreg.download import sha256
from genreg.errors import InputError, nearest
from genreg.parameters import Count, CountOrZero, checked

log = logging.getLogger("genreg")

JSONL = ".jsonl"
HALF = re.compile("[\ud800-\udfff]")
"""What JSON can escape and UTF-8 cannot hold."""


@checked
def text_csv(
    *,
    data_dir: Path,
    path: str = "texts.csv",
    text: str = "text",
    label: str = "label",
    split: str | None = None,
    validation: Size = 0.2,
    test: Size = 0.2,
    labeled: Count | None = None,
    subset: Subset = "balanced",
    tokenizer: str = "characters",
    min_count: Count = 2,
    max_length: Count = 128,
    seed: CountOrZero = 0,
) -> Dataset:
    """Texts and their classes in the columns `text` and `label` of a UTF-8 file; docs/data.md.

    path: absolute, or within the data folder; .csv is separated by commas, .tsv and .tab by tabs, .jsonl has
    an object a line. Labels, words or whole numbers, are classes in their sorted order; lines of training
    without one join the pool, as do those of `unlabeled`. split, validation, test: as in `table`; lines
    without a label are not drawn. labeled: lines that keep their label, None for all. tokenizer, min_count,
    max_length: as in `text_dataset`. Raises InputError for a file or a line that is of no use.
    """
    file = data_dir / path
    columns, lines = read(file, text, label, split)
    texts = texts_of(text, columns[text], lines)
    labels = np.array([jsonl.word(label, *cell) for cell in zip(columns[label], lines, strict=True)], object)
    *rows, more = rows_of(columns[split] if split else None, labels, lines, validation, test)
    y = target_values(label, labels, lines, more, "classes")
    items = Part(texts, y, lambda row: f"line {lines[row]}, column {label}")
    parts = (items[rows[0]], items[rows[1]], items[rows[2]])
    ys = class_numbers(parts, real=False)
    train, held_out, tested = (Texts(part.x.tolist(), y.numpy()) for part, y in zip(parts, ys, strict=True))
    names = np.unique(class_labels(parts[0])).astype(str).tolist()
    return text_dataset(
        train, held_out, tested, texts[more].tolist(), by=tokenizer, min_count=min_count,
        max_length=max_length, labeled=labeled, subset=subset, seed=seed,
        checksums={file.name: sha256(file)}, names=names,
    )  # fmt: skip


def read(file: Path, text: str, label: str, split: str | None) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Cells (N,) of the columns, and the line of each; InputError for a column that there is not."""
    if not file.is_file() or file.suffix.lower() not in {*cells.DELIMITERS, JSONL}:
        raise wrong("a .csv, .tsv or .jsonl file of texts and labels", str(file))
    columns, lines = (jsonl if file.suffix.lower() == JSONL else cells).read(file)
    for key, name in (("text", text), ("label", label), ("split", split)):
        if name is not None and name not in columns:
            raise InputError(f"dataset.{key}", "the name of a column", name, nearest(name, columns))
    return columns, lines


def texts_of(name: str, values: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """(N,) the texts, without spaces around them; InputError for the first that is none."""
    for value, line in zip(values, lines, strict=True):
        if not isinstance(value, str):
            raise wrong(f"a text in every line of {name}", f"{value!r} in line {line}")
        if half := HALF.search(value):
            raise wrong(f"whole characters in {name}", f"half a character, {half[0]!r}, in line {line}")
    return np.array([value.strip() for value in values], dtype=object)


def rows_of(
    splits: np.ndarray | None, labels: np.ndarray, lines: np.ndarray, validation: float, test: float
) -> list[np.ndarray]:
    """Rows of train, validation, test and unlabeled, where those of train that have no label are."""
    without = np.array([label.lower() in cells.MISSING for label in labels])
    if splits is None:
        drawn = np.flatnonzero(~without)
        if not len(drawn):
            raise wrong("a label in some lines", f"none in {len(lines)} lines")
        *rows, _ = split_rows(None, lines[drawn], validation, test)
        found = [*(drawn[chosen] for chosen in rows), np.flatnonzero(without)]
    else:
        splits = np.where((splits == "train") & without, "unlabeled", splits)
        found = split_rows(splits, lines, validation, test)
    if len(found[3]):
        log.info("dataset.path: %d of %d lines are unlabeled, and join the pool", len(found[3]), len(lines))
    return found
