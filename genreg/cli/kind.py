"""Finds the option of `dataset` that reads a file or folder of one's own, and the keys that it needs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from genreg.dataset.cells import JSONL, Layout, read
from genreg.dataset.image_folder import pictures
from genreg.errors import InputError
from genreg.study.job import as_overrides, key, value

SIZE = 32  # pixels of pictures
SHARE = 0.2  # of validation and of test
WORDS = 3
"""Words of a cell, on average, from which on a column is of texts."""
SUFFIXES = {".csv", ".tsv", ".tab", ".txt", JSONL}


@dataclass(frozen=True)
class Kind:
    """The overrides that read the data, and what they are in words."""

    words: str
    overrides: list[str]


def kind_of(place: Path, path: str, target: str | None, labeled: int | None, given: Sequence[str]) -> Kind:
    """The way to read what lies at `place`, called `path` in the configuration.

    target: the column to predict. given: overrides that were typed. InputError for what no option reads.
    """
    if not place.exists():
        raise InputError("DATA", "an existing file or folder", path)
    typed = {key(o).removeprefix("dataset."): _plain(value(o)) for o in given}
    if place.is_dir() or place.suffix.lower() == ".npz":
        if target:
            words = "none: the labels are y of an npz file, or the subfolders of pictures"
            raise InputError("--target", words, target)
        return _pictures(place, path, labeled) if place.is_dir() else _arrays(path, labeled)
    if place.suffix.lower() not in SUFFIXES and "delimiter" not in typed:
        expected = f"a folder of pictures, or a file {' '.join(sorted({*SUFFIXES, '.npz'}))}"
        raise InputError("DATA", expected, path)
    texts = _texts(place, target, typed)
    if texts is None:
        own = {"dataset": "table", "dataset.path": path, "dataset.labeled": labeled}
        return Kind("a table of numbers", as_overrides(own | _named("dataset.target", target)))
    own = {"dataset": "text_csv", "dataset.path": path, "dataset.labeled": labeled, **texts}
    return Kind("texts", as_overrides(own | _named("dataset.label", target)))


def _named(key: str, column: str | None) -> dict[str, Any]:
    """The override of a column; a number is one of a column without a name."""
    return {} if column is None else {key: _plain(column)}


def _plain(text: str) -> Any:
    """A typed value as YAML reads it."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _arrays(path: str, labeled: int | None) -> Kind:
    own = {"dataset": "npz", "dataset.path": path, "dataset.labeled": labeled, "dataset.validation": SHARE}
    return Kind("arrays", as_overrides(own))


def _pictures(folder: Path, path: str, labeled: int | None) -> Kind:
    held_out = max(1, round(SHARE * len(pictures(folder).names)))
    own = {"dataset": "image_folder", "dataset.path": path, "dataset.size": SIZE, "dataset.labeled": labeled,
           "dataset.validation": held_out, "dataset.test": held_out}  # fmt: skip
    return Kind(f"pictures, resized to {SIZE} pixels", as_overrides(own))


def _texts(file: Path, target: str | None, typed: dict[str, Any]) -> dict[str, Any] | None:
    """The keys of a file of texts; None of a table of numbers."""
    if typed.get("dataset") == "table":
        return None
    columns, _ = read(file, Layout(**{k: typed[k] for k in Layout.__annotations__ if k in typed}))
    others = {name: cells for name, cells in columns.items() if name != target}
    wordy = {name: cells for name, cells in others.items() if _words(cells) >= WORDS}
    named = typed.get("text") or ("text" if "text" in columns else None)
    if named is None and len(wordy) > 1:
        raise InputError("dataset.text", "the column of the texts", None, wordy)
    if named is None and not wordy:
        return None
    name = next(iter(wordy)) if named is None else str(named)
    by = "words" if _words(columns.get(name, ())) >= WORDS else "characters"
    return {"dataset.text": name, "dataset.tokenizer": by}


def _words(cells: Iterable[Any]) -> float:
    """The mean number of words of a cell, of the first so many; 0 where some are no text."""
    texts = [cell for cell in list(cells)[:200] if isinstance(cell, str) and cell]
    return sum(len(text.split()) for text in texts) / max(1, len(texts))
