"""Digests of files and folders, made once: the user's cache remembers them by sizes and times of change.

Needs no torch. A damaged cache, or one that cannot be written, costs time and nothing else.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import get_ident
from typing import NamedTuple

from genreg import download

SETTLED = 2.0  # seconds: what was touched later may change once more within one tick of a file system's clock

TOKENIZER = ("tokenizer*", "vocab*", "merges*", "special_tokens*", "added_tokens*", "*.model")


class Stamp(NamedTuple):
    """The sizes and times of a file, or of all files below a folder. touched: the last time, in seconds."""

    digest: str
    touched: float


def of_file(path: Path, like: str = "") -> str:
    """The sha256 of a file; `md5:` and its md5 where `like` is such a one."""
    what = download.MD5 if like.startswith(download.MD5) else "sha256"
    if (found := recall(what, path)) is None:
        began = time.time()
        found = download.digest_like(path, like)
        keep(what, path, found, began)
    return found


def of_tokenizer(folder: Path) -> str:
    """The sha256 of the files of an encoder's folder that say how it cuts texts."""
    found = hashlib.sha256()
    for file in sorted({file for pattern in TOKENIZER for file in folder.glob(pattern)}):
        found.update(f"{file.name} {of_file(file)}\n".encode())
    return found.hexdigest()


def encoder_folder(name: str) -> Path | None:
    """The folder of an encoder: a local one, or what was fetched from the hub; None if there is none."""
    if (local := Path(name)).is_dir():
        return local
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(name, local_files_only=True))
    except (ImportError, OSError, ValueError):  # not installed, not fetched, no such name
        return None


def recall(what: str, path: Path) -> str | None:
    """The digest that `keep` was given, if nothing at `path` looks otherwise since; else None."""
    try:
        known = json.loads(_place(what, path).read_bytes())
        return str(known["digest"]) if known["stamp"] == stamp(path).digest else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep(what: str, path: Path, digest: str, began: float) -> None:
    """Remember `digest` of what was read at `path` after `began`, in seconds since the epoch.

    Not where a file was touched since, or just before: it may change again and look the same.
    """
    with suppress(OSError):
        seen = stamp(path)
        if seen.touched > began - SETTLED:
            return
        place = _place(what, path)
        place.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(f"{place}.{os.getpid()}.{get_ident()}")
        unfinished.write_text(json.dumps({"path": str(path), "stamp": seen.digest, "digest": digest}))
        unfinished.replace(place)


def stamp(path: Path) -> Stamp:
    """Names, sizes, times of change and inodes of a file or of all files below a folder."""
    entries, touched = [], 0.0
    for place in _below(path):
        stat = place.stat()
        touched = max(touched, stat.st_mtime, stat.st_ctime)
        if not place.is_dir():  # a folder's own time of change tells of files that are gone
            times = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
            entries.append((str(place.relative_to(path)), *times))
    return Stamp(hashlib.sha256(json.dumps(sorted(entries)).encode()).hexdigest(), touched)


def _below(path: Path) -> Iterator[Path]:
    """`path` itself, and all that there is below it; not links that lead nowhere."""
    yield path
    yield from (place for place in path.rglob("*") if place.exists())


def _place(what: str, path: Path) -> Path:
    key = hashlib.sha256(f"{what}\n{os.path.abspath(path)}".encode()).hexdigest()[:32]
    return download.default_data_dir() / "digests" / f"{key}.json"
