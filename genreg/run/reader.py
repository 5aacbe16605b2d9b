"""Files of a run folder, which may come from anyone: read within bounds, or refused with the reason."""

import errno
import json
from pathlib import Path
from typing import IO, Any

import yaml

from genreg import files
from genreg.errors import printable

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # written in C where PyYAML has it

LARGEST = 64 << 20  # bytes of a file that is parsed as one value
DEEPEST = 40  # levels of nested values
DIGITS = 300  # of an integer, beyond which it is no float
BITS = 1000


OF_ITSELF = {errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.EINVAL}
"""Reasons for which a file cannot be opened that say nothing of the machine."""


class DamagedError(ValueError):
    """A file is there, but is none that genreg writes; says why."""


def opened(path: Path) -> IO[bytes]:
    """Open a regular file to read. OSError where there is none, or the machine fails; else DamagedError."""
    try:
        return files.opened(path)
    except OSError as error:
        if error.errno not in OF_ITSELF:
            raise
        raise DamagedError(str(error.strerror).removeprefix("is ")) from error


def read_bytes(path: Path, most: int = LARGEST) -> bytes:
    """The content of a regular file of at most so many bytes. OSError or DamagedError."""
    with opened(path) as file:
        found = file.read(most + 1)
    if len(found) > most:
        raise DamagedError(f"larger than {most >> 20} MB")
    return found


def from_json(text: bytes) -> Any:
    """The value of a JSON text; DamagedError for none, and for one that nobody could use."""
    try:
        found = json.loads(text, parse_int=_integer)
    except RecursionError as error:
        raise DamagedError("nested too deeply") from error
    except ValueError as error:
        raise DamagedError(f"no JSON: {error}") from error
    shallow = text.count(b"{") + text.count(b"[") <= DEEPEST  # no need to look at every value
    return found if shallow else bounded(found)


def from_line(text: bytes) -> Any:
    """The value of one line of rows, of which there are many; ValueError for none."""
    try:
        return json.loads(text, parse_int=_integer)
    except RecursionError as error:
        raise DamagedError("nested too deeply") from error


def from_yaml(text: bytes) -> Any:
    """The value of a YAML text; DamagedError for none, for aliases, and for one that nobody could use."""
    try:
        may_have = b"&" in text and b"*" in text
        if may_have and any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, LOADER)):
            raise DamagedError("it has aliases, which genreg never writes")
        return bounded(yaml.load(text, LOADER))
    except RecursionError as error:
        raise DamagedError("nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:
        raise DamagedError(f"no YAML: {str(error).partition(chr(10))[0]}") from error


def bounded(value: Any, level: int = 0) -> Any:
    """`value`; DamagedError where it is nested too deeply, or holds an integer that is no float."""
    if level > DEEPEST:
        raise DamagedError("nested too deeply")
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            bounded(part, level + 1)
    elif isinstance(value, int) and value.bit_length() > BITS:
        raise DamagedError("an integer of too many digits")
    return value


def _integer(text: str) -> int:
    if len(text) > DIGITS:
        raise DamagedError("an integer of too many digits")
    return int(text)


def clean_json(text: bytes) -> Any:
    """The value of a JSON text, `cleaned`."""
    found = from_json(text)
    plain = text.isascii() and b"\\" not in text and b"\x7f" not in text  # no control character in any string
    return found if plain else cleaned(found)


def cleaned(value: Any) -> Any:
    """`value` with every text in it, keys too, as `printable` has it."""
    if isinstance(value, dict):
        return {printable(key): cleaned(part) for key, part in value.items()}
    if isinstance(value, list):
        return [cleaned(part) for part in value]
    return value if value is None or isinstance(value, bool | int | float) else printable(value)
