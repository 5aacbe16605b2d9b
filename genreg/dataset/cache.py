"""Arrays that are computed once and kept in the user's cache, as long as they are what was computed."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from filelock import FileLock

from genreg import download
from genreg.files import write_atomic

log = logging.getLogger("genreg")

Arrays = dict[str, np.ndarray]


def kept(name: str, make: Callable[[], Mapping[str, np.ndarray]]) -> Arrays:
    """The arrays of the file `name`.npz below the user's cache, made if there is none; one process makes it.

    Beside it stands its sha256: a file that has another is damaged, and is made again with a warning; one
    that has none is of an earlier version, and is made again. Where nothing can be kept, a warning says so.

    name: with a hash of all that the arrays depend on.
    """
    path = download.default_data_dir() / f"{name}.npz"
    with alone(path) as obstacle:
        arrays, damage = read(path)
        if arrays is None:
            arrays = dict(make())
            obstacle = obstacle or written(path, arrays)
            if damage or obstacle:
                log.warning("cache: %s", "; ".join(filter(None, (damage, obstacle))))
    return arrays


@contextmanager
def alone(path: Path) -> Iterator[str]:
    """Keep other processes from the file meanwhile; yields what keeps this one from writing it."""
    lock, obstacle = FileLock(path.with_suffix(".lock")), ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        for unfinished in path.parent.glob(f"{path.stem}.*.*"):  # of a process that died
            unfinished.unlink()
    except OSError as error:
        obstacle = _not_kept(path, error)
    try:
        yield obstacle
    finally:
        lock.release()


def read(path: Path) -> tuple[Arrays | None, str]:
    """The arrays of a file that is as it was written, or None; and what is wrong with one that is not."""
    try:
        if not (beside := digest_beside(path)).is_file():
            return None, ""
        if beside.read_bytes() == download.sha256(path).encode():
            with np.load(path) as arrays:
                return dict(arrays), ""
        return None, f"{path} was damaged and is made again"
    except (FileNotFoundError, NotADirectoryError):
        return None, ""
    except OSError as error:
        return None, f"{path} cannot be read: {error.strerror}"


def written(path: Path, arrays: Arrays) -> str:
    """Write the file and its digest; returns the reason if it could not be written, else an empty text."""
    try:
        with write_atomic(path, durable=True) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            digest = download.sha256(Path(file.name))
            with write_atomic(digest_beside(path), durable=True) as beside:
                beside.write(digest.encode())
    except OSError as error:
        return _not_kept(path, error)
    return ""


def digest_beside(path: Path) -> Path:
    """The path of the file that holds the sha256 of another."""
    return path.with_suffix(".sha256")


def _not_kept(path: Path, error: OSError) -> str:
    return f"cannot keep {path}, which every run computes anew: {error.strerror or error}"
