"""Files of rows: one JSON object a line, appended while a run goes on."""

import json
import os
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

from genreg.files import MISSING, naming, read_bytes

Row = dict[str, Any]


class RowFile:
    """An append-only file of JSON lines, cut back on resume to where the checkpoint was written."""

    def __init__(self, path: Path, size: int = 0) -> None:
        """Open the file, cut back to `size` bytes: rows after the checkpoint are made again, bit for bit."""
        self.path = path
        # Without a buffer: what a failed write has left in one would be written once more behind its half.
        self._file: FileIO = path.open("ab", buffering=0)
        self._file.truncate(size)

    def append(self, row: Row) -> None:
        with naming(self.path):
            size, line = self.size, json.dumps(row).encode() + b"\n"
            try:
                while line:  # a disk that becomes full takes a part
                    line = line[self._file.write(line) :]
            except OSError:
                with suppress(OSError):
                    self._file.truncate(size)
                raise

    def sync(self) -> int:
        """Put every row on the disk, before a checkpoint refers to them; the size to resume at."""
        with naming(self.path):
            os.fsync(self._file.fileno())
        return self.size

    @property
    def size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        with naming(self.path):
            self._file.close()


def read(path: Path) -> list[Row]:
    """All rows; a last line that a kill cut short is left out. Raises ValueError for a damaged line."""
    if not path.exists():
        return []
    return [json.loads(line) for line in read_bytes(path).split(b"\n")[:-1]]


def read_with(path: Path, name: str) -> list[Row]:
    """The rows that have a number under `name`; other lines are not even parsed, damaged ones left out.

    Raises OSError for a file that is there and cannot be read: without its rows a result would be another.
    """
    key, rows = json.dumps(name).encode(), []
    try:
        lines = read_bytes(path).split(b"\n")[:-1]
    except MISSING:
        return []
    for line in lines:
        if key in line:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and isinstance(row.get(name), int | float) and "step" in row:
                rows.append(row)
    return rows
