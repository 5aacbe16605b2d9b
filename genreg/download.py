"""Files from elsewhere: where they lie, how they are downloaded, their sha256."""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISDIR
from typing import NamedTuple

from genreg.errors import FAILING, GenregError, InputError, nearest, unwritable
from genreg.files import beside, clear, read_bytes
from genreg.files import write_atomic as write_atomic

ATTEMPTS = 3
NO_DOWNLOAD = "no download"
NOTHING = "nothing to fetch"
MD5 = "md5:"


@dataclass(frozen=True)
class Source:
    """A data set: `url` is where its files lie; without files, what it is made of, in words.

    files: the sha256 of each file, by its name; `md5:` and the md5 where that is what its publisher gives.
    """

    name: str
    megabytes: float
    licence: str
    url: str
    files: dict[str, str] = field(default_factory=dict)


def default_data_dir() -> Path:
    """The user's cache folder, for when neither `data_dir` nor GENREG_DATA names another."""
    from platformdirs import user_cache_path

    return user_cache_path("genreg", appauthor=False)


def by_name(sources: Iterable[Source]) -> dict[str, Source]:
    return {source.name: source for source in sources}


def data_dir_of(data_dir: str | None) -> Path:
    """The folder of the data sets, where the key `data_dir` has this value."""
    return Path(data_dir) if data_dir else default_data_dir()


def find(path: str, data_dir: Path, kind: str = "file") -> Path:
    """Data of one's own, by a path as it was typed: absolute, in the shell's folder, or in the data folder.

    kind: `file` or `folder`. Raises InputError, with both places, where there is nothing of the name.
    """
    wanted = f"an existing {kind}" + " of pictures" * (kind == "folder")
    found = place_of(path, data_dir)
    if not found.exists():
        typed = Path(path).expanduser().is_absolute()
        where = "" if typed else f" in {Path.cwd()} (here) or {data_dir} (data_dir)"
        raise InputError("dataset.path", wanted + where, f"no such {kind}: {path}")
    if found.is_dir() != (kind == "folder"):
        other = "a folder" if found.is_dir() else "a file"
        raise InputError("dataset.path", wanted, f"{other}: {found}")
    return found


def place_of(path: str, data_dir: Path) -> Path:
    """The place where `find` looks: the first that has anything of that name, or the last."""
    here = Path(path).expanduser()
    return here if here.is_absolute() or here.exists() else data_dir / path


def called(name: str, known: Mapping[str, Source]) -> Source:
    """The source of that name; InputError with the nearest names if there is none."""
    if name not in known:
        raise InputError("data set", "the name of a data set", name, nearest(name, known))
    return known[name]


def sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_like(path: Path, expected: str) -> str:
    """The digest of a file, of the kind of `expected`: its sha256, or `md5:` and its md5."""
    if not expected.startswith(MD5):
        return sha256(path)
    with path.open("rb") as file:
        return MD5 + hashlib.file_digest(file, "md5").hexdigest()


def named(digest: str) -> str:
    """A checksum with the name of its kind before it."""
    return digest.replace(":", " ") if digest.startswith(MD5) else f"sha256 {digest}"


def state(source: Source, data_dir: Path) -> str:
    """`present`, `missing` or `damaged`: every file in place with its hash, or not; or `nothing to fetch`."""
    if not source.files:
        return NOTHING
    paths = {data_dir / source.name / file: digest for file, digest in source.files.items()}
    if not all(path.is_file() for path in paths):
        return "missing"
    return (
        "present" if all(digest_like(path, digest) == digest for path, digest in paths.items()) else "damaged"
    )


def verify(path: Path, expected: str) -> None:
    """Raise InputError, naming file, both hashes and the remedy, unless `path` has the digest `expected`."""
    if (got := digest_like(path, expected)) != expected:
        message = f"{named(expected)}\n  got {named(got).split()[1]}: the file is damaged; delete it and run "
        raise InputError(str(path), message + f"`genreg data fetch {path.parent.name}`")


def fetch(source: Source, data_dir: Path, url: str | None = None) -> list[Path]:
    """The verified files of `source` under `data_dir`, downloading those that are missing.

    url: another folder to download from. A file in place is never fetched again: it is verified, and
    raises InputError if damaged. Raises GenregError when a download fails three times.
    """
    paths = [data_dir / source.name / file for file in source.files]
    clear(data_dir / source.name)
    for path, digest in zip(paths, source.files.values(), strict=True):
        if path.exists():
            verify(path, digest)
        elif source.url.startswith(NO_DOWNLOAD) and not url:
            raise InputError(str(path), f"a file that has {NO_DOWNLOAD}: put it there, {named(digest)}")
        else:
            _download((url or source.url) + path.name, path, digest)
    return paths


def _download(url: str, path: Path, digest: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside(path) as part:
            part.mkdir()
            _pull(url, part / path.name, digest)
            (part / path.name).replace(path)
    except OSError as error:
        raise unwritable("data_dir", error) from error


def _pull(url: str, path: Path, digest: str) -> None:
    """Download one file; InputError for no address, GenregError where it cannot be had or is another."""
    import pooch

    try:
        puller = pooch.create(path.parent, base_url="", registry={path.name: digest},
                              urls={path.name: url}, retry_if_failed=ATTEMPTS - 1)  # fmt: skip
        pooch.get_logger().setLevel("WARNING")
        puller.fetch(path.name, progressbar=True)
    except OSError as error:  # those of requests are OSErrors too
        if error.errno in FAILING:
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise GenregError(f"cannot download {url}: {reason[:120]}\n  put {path.name} into {path.parents[1]} "
                          "by hand, or name a folder that has it in GENREG_DATA") from error  # fmt: skip
    except ValueError as error:
        if "hash" not in str(error):
            raise InputError("--url", "an address, such as https://...", url) from error
        raise GenregError(f"{url}: what was downloaded does not have {named(digest)}; try again") from error


SETTLED = 2.0  # seconds: what was touched later may change once more within one tick of a file system's clock

TOKENIZER = ("tokenizer*", "vocab*", "merges*", "special_tokens*", "added_tokens*", "*.model")


class Stamp(NamedTuple):
    """The sizes and times of a file, or of all files below a folder. touched: the last time, in seconds."""

    digest: str
    touched: float


def of_file(path: Path, like: str = "") -> str:
    """The sha256 of a file; `md5:` and its md5 where `like` is such a one."""
    what = MD5 if like.startswith(MD5) else "sha256"
    if (found := recall(what, path)) is None:
        began = time.time()
        found = digest_like(path, like)
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
        known = json.loads(read_bytes(_place(what, path)))
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
        with write_atomic(place) as file:
            file.write(json.dumps({"path": str(path), "stamp": seen.digest, "digest": digest}).encode())


def stamp(path: Path) -> Stamp:
    """Names, sizes, times of change and inodes of a file or of all files below a folder."""
    entries, touched, start = [], 0.0, len(str(path)) + 1
    for place, stat in _below(path):
        touched = max(touched, stat.st_mtime, stat.st_ctime)
        if not S_ISDIR(stat.st_mode):  # a folder's own time of change tells of files that are gone
            times = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
            entries.append((place[start:] or ".", *times))
    return Stamp(hashlib.sha256(json.dumps(sorted(entries)).encode()).hexdigest(), touched)


def _below(path: Path) -> Iterator[tuple[str, os.stat_result]]:
    """`path` itself, and all that there is below it; not links that lead nowhere."""
    yield str(path), path.stat()
    for folder, folders, files in os.walk(path):
        for place in (f"{folder}/{name}" for name in (*folders, *files)):
            with suppress(FileNotFoundError):
                yield place, os.stat(place)


def _place(what: str, path: Path) -> Path:
    key = hashlib.sha256(f"{what}\n{os.path.abspath(path)}".encode()).hexdigest()[:32]
    return default_data_dir() / "digests" / f"{key}.json"
