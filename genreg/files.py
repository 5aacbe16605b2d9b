"""Files and folders: written whole or not at all, and read where they are files."""

import errno
import os
import platform
import re
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import get_ident
from typing import IO

UNFINISHED = ".unfinished"  # how the name of a file or folder ends that is being written
MISSING = (FileNotFoundError, NotADirectoryError)
"""Errors of a file that is not there; another says that it is, and cannot be read."""

OLD = 86_400.0  # seconds after which a part of an unknown process has been left behind


def _here() -> str:
    """The name of this machine, and of its numbers of processes: containers have their own."""
    try:
        numbers = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        numbers = 0
    return re.sub(r"\W", "_", platform.node())[:32] + f"_{numbers}"


HERE = _here()
PART = re.compile(rf".*\.{HERE}-(\d+)-\d+{UNFINISHED}")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an OSError inside name the file, which a failed write does not know, and not the part of it."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and (error.filename is None or UNFINISHED in str(error.filename)):
            error.filename = str(path)
        raise


IRREGULAR = "is no regular file"


def opened(path: Path) -> IO[bytes]:
    """Open a regular file to read; OSError for a pipe or a device, which may never end."""
    # without O_NONBLOCK, to open a pipe waits for a writer
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, IRREGULAR)
    return file


def read_bytes(path: Path) -> bytes:
    """The content of a regular file, as `opened`."""
    with naming(path), opened(path) as file:
        return file.read()


@contextmanager
def write_atomic(path: Path, durable: bool = False) -> Iterator[IO[bytes]]:
    """Write a temporary file beside `path`, then rename it: `path` is never half written.

    durable: nor is it after a loss of power, which costs some milliseconds of waiting for the disk. A device
    or a pipe, such as /dev/stdout, is written as it is.
    """
    with naming(path):
        if path.parts[:2] == ("/", "dev") or (path.exists() and not path.is_file()):
            with path.open("wb") as file:
                yield file
            return
        with beside(Path(os.path.realpath(path))) as part:  # through a link, to what it leads to
            with part.open("wb") as file:
                yield file
                if durable:  # before the rename, which a file system may put on the disk before the bytes
                    file.flush()
                    os.fsync(file.fileno())
            part.replace(os.path.realpath(path))


@contextmanager
def write_folder(path: Path) -> Iterator[Path]:
    """An empty folder beside `path`, renamed to it at the end: `path`, new or empty, is never half filled."""
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside(path) as part:
            part.mkdir()
            yield part
            part.rename(path)


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A place beside `path` for what is to become it: cleared at the end, or when this process has died."""
    # Each writer has a place of its own: two that shared one would write into what the first has renamed.
    part = path.with_name(f"{path.name}.{HERE}-{os.getpid()}-{get_ident()}{UNFINISHED}")
    clear(path.parent)
    OPEN.add(part.name)
    try:
        yield part
    finally:
        OPEN.discard(part.name)
        _remove(part)


OPEN: set[str] = set()
"""The names of the parts that this process is writing."""


def clear(folder: Path) -> None:
    """Delete parts in a folder that nobody writes: of dead processes here, of others a day later."""
    with suppress(OSError):
        for part in folder.glob(f"*{UNFINISHED}"):
            found = PART.fullmatch(part.name)
            if not _writes(int(found[1]), part) if found else time.time() - part.stat().st_mtime > OLD:
                _remove(part)


def _writes(process: int, part: Path) -> bool:
    if process == os.getpid():
        return part.name in OPEN
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return True
    return True


def _remove(part: Path) -> None:
    """Delete a file or a folder, as far as that is possible."""
    with suppress(OSError):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
