"""Objects of a text file, one a line."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from genreg.dataset.arrays import wrong
from genreg.dataset.cells import decoded


def read(file: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
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
