"""Texts of one's own, in a table or in lines of JSON."""

import re
from collections import Counter
from pathlib import Path
from typing import Annotated

import numpy as np

from genreg import download
from genreg.dataset import cells
from genreg.dataset.arrays import Items, Size, class_numbers, strata, told, wrong
from genreg.dataset.base import Dataset, Subset
from genreg.dataset.cells import JSONL, Delimiter, Header, Layout, column
from genreg.dataset.table import named_rows, target_values, with_drawn
from genreg.dataset.texts import Texts, text_dataset
from genreg.download import Source, find
from genreg.parameters import Count, CountOrZero, Neutral, checked

HALF = re.compile("[\ud800-\udfff]")
"""Characters that JSON can escape and UTF-8 cannot hold."""

SOURCE = Source("text_csv", 0.0, "your own", "a file of your own: dataset.path")


@checked
def text_csv(
    *,
    data_dir: Path,
    path: str = "texts.csv",
    header: Annotated[Header, Neutral("first")] = "first",
    delimiter: Annotated[Delimiter | None, Neutral(None)] = None,
    comment: Annotated[str | None, Neutral(None)] = None,
    text: str | int = "text",
    label: str | int = "label",
    split: str | int | None = None,
    validation: Size = 0.2,
    test: Annotated[Size, Neutral(0.2)] = 0.2,
    stratify: Annotated[bool, Neutral(False)] = False,
    labeled: Count | None = None,
    subset: Subset = "balanced",
    tokenizer: str = "characters",
    min_count: Count = 2,
    max_length: Count = 128,
    seed: CountOrZero = 0,
) -> Dataset:
    """Texts and their classes in the columns `text` and `label` of a UTF-8 file; docs/data.md.

    path: as `download.find` takes it; .csv is separated by commas, .tsv, .tab and .txt by tabs, .jsonl has an
    object a line. header, delimiter, comment: as in `cells.Layout`. Labels, words or whole numbers, are
    classes in their sorted order; lines of training without one join the pool, as do those of `unlabeled`.
    split, validation, test, stratify: as in `table`; lines without a label are not drawn. labeled: lines that
    keep their label, None for all. tokenizer,
    min_count, max_length: as in `text_dataset`. Raises InputError for a file or a line that is of no use.
    """
    file = find(path, data_dir)
    columns, lines = cells.read(file, Layout(delimiter, header, comment=comment))
    text, label = column("dataset.text", text, columns), column("dataset.label", label, columns)
    split = None if split is None else column("dataset.split", split, columns)
    texts = texts_of(text, columns[text], lines)
    labels = np.array([cells.word(label, *cell) for cell in zip(columns[label], lines, strict=True)], object)
    *rows, more = rows_of(columns[split] if split else None, labels, lines)
    y = target_values(label, labels, lines, more, "classes")
    rows = with_drawn(rows, validation, test, strata(y, "classes") if stratify else None)
    items = Items(texts, y, lambda row: f"line {lines[row]}, column {label}")
    parts = (items[rows[0]], items[rows[1]], items[rows[2]])
    ys, names = class_numbers(parts, real=False)
    train, held_out, tested = (Texts(part.x.tolist(), y.numpy()) for part, y in zip(parts, ys, strict=True))
    dataset = text_dataset(
        train, held_out, tested, texts[more].tolist(), by=tokenizer, min_count=min_count,
        max_length=max_length, labeled=labeled, subset=subset, seed=seed,
        checksums={file.name: download.of_file(file)}, names=names,
    )  # fmt: skip
    return told(dataset, contents(file, texts, labels, lines), names, ys, {})


def texts_of(name: str, values: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """(N,) the texts, without spaces around them; InputError for the first that is none."""
    for value, line in zip(values, lines, strict=True):
        if not isinstance(value, str):
            raise wrong(f"a text in every line of {name}", f"{value!r} in line {line}")
        if half := HALF.search(value):
            raise wrong(f"whole characters in {name}", f"half a character, {half[0]!r}, in line {line}")
    return np.array([value.strip() for value in values], dtype=object)


def rows_of(splits: np.ndarray | None, labels: np.ndarray, lines: np.ndarray) -> list[np.ndarray]:
    """Rows of train, validation, test and unlabeled, where those of train that have no label are."""
    without = np.array([cells.missing(label) for label in labels])
    if splits is None:
        if without.all():
            raise wrong("a label in some lines", f"none in {len(lines)} lines")
        found = [np.flatnonzero(~without), *np.empty((2, 0), dtype=np.int64), np.flatnonzero(without)]
    else:
        found = named_rows(np.where((splits == "train") & without, "unlabeled", splits), lines)
    return found


def contents(file: Path, texts: np.ndarray, labels: np.ndarray, lines: np.ndarray) -> str:
    """The content of the file in words: texts, those without a label, and the longest run of lines."""
    found = [f"{file.name}: {len(texts)} texts"]
    marks = Counter(label or "empty" for label in labels if cells.missing(label))
    if marks:
        each = ", ".join(f"{mark}: {n}" for mark, n in marks.items())
        found.append(f"{marks.total()} without a label ({each})")
    breaks = np.array([text.count("\n") for text in texts])
    if breaks.any() and file.suffix.lower() != JSONL:
        most = int(breaks.argmax())
        where = f"lines {lines[most] - breaks[most]} to {lines[most]}"
        found.append(f"{np.count_nonzero(breaks)} of several lines (the longest: {where})")
    return ", ".join(found)
