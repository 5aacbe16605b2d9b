"""Columns of numbers and words from a text file: of cells, or of one JSON object a line."""

import csv
import io
import json
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import numpy as np

from genreg.dataset.arrays import finite, whole, wrong
from genreg.download import find
from genreg.errors import InputError, nearest

DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t"}
JSONL = ".jsonl"
SIGNS = {"semicolon": ";", "comma": ",", "tab": "\t", "bar": "|", "blanks": " "}
"""Delimiters by their names, as which they are typed: signs would have to be quoted twice."""
MISSING = {"", "na", "n/a", "nan", "null", "?", "<na>", "#n/a", "#na",
           "#value!", "#ref!", "#div/0!", "#name?", "#num!"}  # fmt: skip
"""Cells, in lower case, that hold no value; so does `None`, but `none` may be a word."""
LONGEST_CELL = 2**31 - 1  # Python's own limit, 131,072 characters, is less than some texts have
QUOTED = re.compile(r'"((?:[^"]|"")*)"')
ZEROS = re.compile(r"[+-]?0\d")
COMMA = re.compile(r"[+-]?\d*,\d*(?:[eE][+-]?\d+)?")
POINT = re.compile(r"[+-]?\d*\.\d*(?:[eE][+-]?\d+)?")

Header = Literal["first"] | None
Delimiter = Literal["semicolon", "comma", "tab", "bar", "blanks"]
Mark = Literal["point", "comma"]


@dataclass(frozen=True)
class Layout:
    """The way in which lines of a text file are a table.

    delimiter: between cells, of `SIGNS`; None: as the suffix says. header: `first`: the
    first line has the names of the columns; None: none has, and they are called 0, 1, ... decimal: the mark
    before the decimals of a number. comment: the beginning of lines that are left out.
    """

    delimiter: Delimiter | None = None
    header: Header = "first"
    decimal: Mark = "point"
    comment: str | None = None


@dataclass(frozen=True)
class CellRow:
    """Cells of a row, and the first and last of its lines."""

    cells: list[str]
    first: int
    last: int


def read(file: Path, layout: Layout = Layout()) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Cells (N,) of each column, as text, and the line in which each row ends; of .jsonl, its values."""
    if file.suffix.lower() == JSONL:
        return read_jsonl(file)
    rows = rows_of(file, layout)
    named = layout.header == "first"
    if len(rows) < 1 + named:
        words = "a line of column names and lines of values" if named else "lines of values"
        raise wrong(words, f"{len(rows)} lines in {file}")
    names = rows[0].cells if named else [str(number) for number in range(len(rows[0].cells))]
    for row in rows:
        if len(row.cells) != len(names):
            expected = f"{len(names)} cells a line, as many as {'column names' if named else 'the first has'}"
            raise wrong(expected, f"{len(row.cells)} in {place(row.first, row.last)}")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise wrong("every column name once", twice)
    cells = np.array([row.cells for row in rows[named:]], dtype=object)
    return dict(zip(names, cells.T, strict=True)), np.array([row.last for row in rows[named:]])


def rows_of(file: Path, layout: Layout) -> list[CellRow]:
    """The rows of a table, names of columns and all; InputError where no delimiter is known or found."""
    given = layout.delimiter
    delimiter = SIGNS[given] if given else DELIMITERS.get(file.suffix.lower())
    if delimiter is None:
        expected = "a .csv file (separated by commas), .tsv, .tab or .txt (by tabs), or dataset.delimiter"
        raise wrong(expected, str(file))
    text = without_comments(decoded(file), layout.comment)
    check_delimiter(text, delimiter)
    if delimiter == " ":
        lines = enumerate(text.splitlines(), 1)
        rows = [CellRow(cells, number, number) for number, line in lines if (cells := line.split())]
    else:
        rows = of_tabs(text) if delimiter == "\t" else list(quoted(text, delimiter))
    if layout.decimal == "point":
        return rows
    return [CellRow([pointed(cell, row) for cell in row.cells], row.first, row.last) for row in rows]


def without_comments(text: str, mark: str | None) -> str:
    """The text with nothing in lines that begin with the mark, so that lines keep their numbers."""
    return re.sub(rf"^{re.escape(mark)}.*", "", text, flags=re.MULTILINE) if mark else text


def check_delimiter(text: str, delimiter: str) -> None:
    """InputError where the first line has another delimiter, and not this one."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    other = next((name for name, sign in SIGNS.items() if sign in first and sign != " "), None)
    if delimiter not in first and other:
        this = next(name for name, sign in SIGNS.items() if sign == delimiter)
        expected = f"cells that are separated by {this}, as the suffix says (or dataset.delimiter={other})"
        raise wrong(expected, f"{other} in the first line")


def pointed(cell: str, row: CellRow) -> str:
    """A number with a decimal comma, with a point; InputError for one that has a point already."""
    if POINT.fullmatch(cell) and any(sign.isdigit() for sign in cell):
        raise wrong("numbers with a decimal comma (dataset.decimal=point for points)",
                    f"{cell} in {place(row.first, row.last)}")  # fmt: skip
    return cell.replace(",", ".") if COMMA.fullmatch(cell) else cell


def column(key: str, name: str | int, names: Collection[str]) -> str:
    """The name of a column that was typed under `key`, a number too; InputError with the nearest."""
    numbered = list(map(str, range(len(names))))
    if isinstance(name, int) and name < 0 and list(names) == numbered:
        name = name % len(names) if -name <= len(names) else name
    if str(name) not in names:
        words = f"a number below {len(names)}" if list(names) == numbered else "the name of a column"
        raise InputError(key, words, name, nearest(str(name), names))
    return str(name)


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


def names_in(path: str | None, data_dir: Path) -> list[str] | None:
    """The lines of a file of names, one a class, in the order of their numbers; None without a file."""
    if path is None:
        return None
    lines = (line.strip() for line in decoded(find(path, data_dir)).splitlines())
    return [line for line in lines if line]


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
