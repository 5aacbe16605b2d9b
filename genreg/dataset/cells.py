"""Columns of numbers and words in a text file."""

import csv
import io
from pathlib import Path

import numpy as np

from genreg.dataset.arrays import finite, wrong

DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
MISSING = {"", "na", "n/a", "nan", "null", "?"}
"""Cells, in lower case, that hold no value."""
LONGEST_CELL = 2**31 - 1  # Python's own limit, 131,072 characters, is less than some texts have


def read(file: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Cells (N,) of each column, as text, and the line in which each row ends."""
    if not file.is_file() or file.suffix.lower() not in DELIMITERS:
        raise wrong("a .csv file (separated by commas), or .tsv or .tab (by tabs)", str(file))
    csv.field_size_limit(LONGEST_CELL)
    text = io.StringIO(decoded(file), newline="")
    reader = csv.reader(text, delimiter=DELIMITERS[file.suffix.lower()], strict=True)
    rows, lines = [], []
    try:
        for row in filter(None, reader):
            rows.append([cell.strip() for cell in row])
            lines.append(reader.line_num)
    except csv.Error as error:
        raise wrong("cells that are separated and quoted", f"{error} in line {reader.line_num}") from error
    if len(rows) < 2:
        raise wrong("a line of column names and lines of values", f"{len(rows)} lines in {file}")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(rows[0]):
            raise wrong(f"{len(rows[0])} cells a line, as many as column names", f"{len(row)} in line {line}")
    if len(set(rows[0])) < len(rows[0]):
        twice = next(name for name in rows[0] if rows[0].count(name) > 1)
        raise wrong("every column name once", twice)
    return dict(zip(rows[0], np.array(rows[1:], dtype=object).T, strict=True)), np.array(lines[1:])


def decoded(file: Path) -> str:
    """Its text; InputError for the first byte that is not UTF-8."""
    raw = file.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        got = f"byte {raw[error.start]:#x} in line {line}"
        raise wrong("UTF-8 text (save the file as such)", got) from error


def present(name: str, cells: np.ndarray, lines: np.ndarray) -> None:
    """InputError for the first cell that holds no value."""
    for cell, line in zip(cells, lines, strict=True):
        if cell.lower() in MISSING:
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
