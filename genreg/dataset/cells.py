"""Columns of numbers and words from a text file: of cells, or of one JSON object a line."""

import csv
import io
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from genreg.dataset.arrays import finite, whole, wrong
from genreg.errors import InputError

DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
MISSING = {"", "na", "n/a", "nan", "null", "?", "<na>", "#n/a", "#na",
           "#value!", "#ref!", "#div/0!", "#name?", "#num!"}  # fmt: skip
"""Cells, in lower case, that hold no value; so does `None`, but `none` may be a word."""
LONGEST_CELL = 2**31 - 1  # Python's own limit, 131,072 characters, is less than some texts have
QUOTED = re.compile(r'"((?:[^"]|"")*)"')
ZEROS = re.compile(r"[+-]?0\d")


@dataclass(frozen=True)
class CellRow:
    """Cells of a row, and the first and last of its lines."""

    cells: list[str]
    first: int
    last: int


def read(file: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Cells (N,) of each column, as text, and the line in which each row ends."""
    delimiter = DELIMITERS.get(file.suffix.lower())
    if delimiter is None:
        raise wrong("a .csv file (separated by commas), or .tsv or .tab (by tabs)", str(file))
    text = decoded(file)
    rows = of_tabs(text) if delimiter == "\t" else list(quoted(text, delimiter))
    if len(rows) < 2:
        raise wrong("a line of column names and lines of values", f"{len(rows)} lines in {file}")
    names = rows[0].cells
    for row in rows:
        if len(row.cells) != len(names):
            expected = f"{len(names)} cells a line, as many as column names"
            raise wrong(expected, f"{len(row.cells)} in {place(row.first, row.last)}")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise wrong("every column name once", twice)
    cells = np.array([row.cells for row in rows[1:]], dtype=object)
    return dict(zip(names, cells.T, strict=True)), np.array([row.last for row in rows[1:]])


def of_tabs(text: str) -> list[CellRow]:
    """Rows of a table of tabs, where a quotation mark is text; programs put some around cells all the same.

    Quotes over tabs or line breaks count only where the table has even rows with them, and not without.
    """
    lines = enumerate((line.rstrip("\r\n") for line in io.StringIO(text, newline="")), 1)
    cut = [(line.split("\t"), number) for number, line in lines if line]
    rows = [CellRow([without_marks(cell).strip() for cell in cells], number, number) for cells, number in cut]
    if even(rows):
        return rows
    with suppress(InputError):
        joined = list(quoted(text, "\t"))
        swallows = any(row.first < row.last and any("\t" in cell for cell in row.cells) for row in joined)
        if even(joined) and not swallows:
            return joined
    return rows


def even(rows: list[CellRow]) -> bool:
    """True if all rows have as many cells."""
    return len({len(row.cells) for row in rows}) <= 1


def without_marks(cell: str) -> str:
    """A cell without the quotation marks around it; one that is not closed is text."""
    found = QUOTED.fullmatch(cell)
    return found[1].replace('""', '"') if found else cell


def quoted(text: str, delimiter: str) -> Iterator[CellRow]:
    """Rows of RFC 4180, whose quoted cells may hold delimiters and line breaks."""
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    first = 1
    try:
        for cells in reader:
            if cells:
                yield CellRow([cell.strip() for cell in cells], first, reader.line_num)
            first = reader.line_num + 1
    except csv.Error as error:
        said, last = str(error), reader.line_num
        if "end of data" in said:
            said, last = "a quotation mark that is never closed", first
        raise wrong("cells that are separated and quoted", f"{said} in {place(first, last)}") from error


def place(first: int, last: int) -> str:
    return f"line {last}" if first >= last else f"lines {first} to {last}"


def decoded(file: Path) -> str:
    """Its text; InputError for the first byte that is not UTF-8."""
    raw = file.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        got = f"byte {raw[error.start]:#x} in line {line}"
        raise wrong("UTF-8 text (save the file as such)", got) from error


def missing(cell: str) -> bool:
    """True if a cell holds no value."""
    return cell.lower() in MISSING or cell == "None"


def present(name: str, cells: np.ndarray, lines: np.ndarray) -> None:
    """InputError for the first cell that holds no value."""
    for cell, line in zip(cells, lines, strict=True):
        if missing(cell):
            expected = f"a value in every line of column {name} (fill it in, or leave line or column out)"
            raise wrong(expected, f"{cell or 'nothing'} in line {line}")


def number(cell: str) -> float | None:
    """None for a word."""
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def numbers(name: str, cells: np.ndarray, lines: np.ndarray, remedy: str) -> np.ndarray:
    """Cells as float64; InputError for the first that is missing, a word or not finite."""
    present(name, cells, lines)
    values = [number(cell) for cell in cells]
    for value, cell, line in zip(values, cells, lines, strict=True):
        if value is None:
            expected = f"numbers in column {name} ({remedy})"
            raise wrong(expected, f"{cell!r} in line {line}")
    found = np.array(values, dtype=np.float64)
    finite(found, lambda row: f"line {lines[row]}, column {name}")
    return found


def labels(name: str, cells: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Labels (N,): whole numbers as int64, where all are; other numbers as float64; else words, as spelled.

    Words too: numbers beyond int64, and all where leading zeros tell two of one value apart, as in codes
    (01 and 1). 1 and 1.0 are one number. InputError for a cell without a value.
    """
    present(name, cells, lines)
    if any(number(cell) is None for cell in cells):
        return cells.astype(str)
    found = numbers(name, cells, lines, "words too")
    if not whole(found).all():
        return found
    exact = [int(Decimal(cell)) for cell in cells]
    spelled: dict[int, set[str]] = {}
    for value, cell in zip(exact, cells, strict=True):
        spelled.setdefault(value, set()).add(cell)
    codes = any(len(same) > 1 and any(map(ZEROS.match, same)) for same in spelled.values())
    beyond = any(abs(value) >= 2**63 for value in spelled)
    return cells.astype(str) if codes or beyond else np.array(exact, dtype=np.int64)


def read_jsonl(file: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Values (N,) under each key that some line has, None where one has not, and the line of each."""
    rows, lines = [], []
    for line, text in enumerate(decoded(file).split("\n"), 1):
        if text.strip():
            rows.append(parsed(text, line))
            lines.append(line)
    if not rows:
        raise wrong("a JSON object a line", f"none in {file}")
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: np.empty(len(rows), dtype=object) for name in names}
    for name, values in columns.items():
        values[:] = [row.get(name) for row in rows]
    return columns, np.array(lines)


def parsed(text: str, line: int) -> dict[str, Any]:
    """The object of a line; InputError, with what json says, for anything else."""
    try:
        row = json.loads(text)
    except json.JSONDecodeError as error:
        said = f"{error.msg} at character {error.pos + 1} of line {line}"
        raise wrong("a JSON object a line", said) from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, thousands of brackets
        raise wrong("a JSON object a line", f"{error} in line {line}") from error
    if not isinstance(row, dict):
        raise wrong("a JSON object a line", f"{text.strip()[:40]} in line {line}")
    return row


def word(name: str, value: Any, line: int) -> str:
    """A value as a cell of a table has it: nothing where there is none; InputError for lists and objects."""
    if isinstance(value, (list, dict)):
        raise wrong(f"words or numbers in {name}", f"{json.dumps(value)[:40]} in line {line}")
    return value.strip() if isinstance(value, str) else "" if value is None else json.dumps(value)
