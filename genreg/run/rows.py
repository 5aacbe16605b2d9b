"""Files of rows: one JSON object a line, appended while a run goes on."""

import json
import os
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

from genreg.files import MISSING, naming
from genreg.run import reader

Row = dict[str, Any]

LARGEST = 4 << 30  # bytes of a file of rows


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
    return [reader.from_line(line) for line in _lines(path)]


def _lines(path: Path) -> list[bytes]:
    return reader.read_bytes(path, LARGEST).split(b"\n")[:-1]


def read_with(path: Path, name: str) -> list[Row]:
    """The rows that have a number under `name`; other lines are not even parsed, damaged ones left out.

    Raises OSError for a file that is there and cannot be read: without its rows a result would be another.
    """
    key, rows = json.dumps(name).encode(), []
    try:
        lines = _lines(path)
    except (*MISSING, reader.DamagedError):
        return []
    for line in lines:
        if key in line:
            try:
                row = reader.from_line(line)
            except ValueError:
                continue
            if isinstance(row, dict) and isinstance(row.get(name), int | float) and "step" in row:
                rows.append(row)
    return rows
