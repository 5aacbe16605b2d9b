"""The archive of a study, which any `unzip` opens: `genreg pack` writes it, all that read folders read it.

verdicts.json      the version of genreg, where the sweep files lie, and every verdict as a report gave it
NAME/sweep.json    and the files of each run below it, as they lay in the folder NAME; no weights, no pictures

An archive may come from anyone: what `genreg pack` would not have written is refused before a byte of it is.
"""

import errno
import filecmp
import json
import os
import re
import stat
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from struct import error as StructError
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, LargeZipFile, ZipFile, ZipInfo

from genreg.errors import InputError, printable, unwritable
from genreg.files import write_atomic
from genreg.run import reader
from genreg.run.folder import Row
from genreg.run.reader import DamagedError
from genreg.study import record

SUFFIX = ".zip"
VERDICTS = "verdicts.json"
OF_A_RUN = ("config.yaml", "environment.json", "summary.json", "metrics.jsonl", "timing.jsonl",
            "replicas.npz", "contours.npz")  # fmt: skip
"""The files of a run that a report reads, or that it is made again from."""

MEMBER = 256 << 20  # bytes of a file of it
TOGETHER = 4 << 30  # bytes of all of them
TIMES = 200  # the size of the archive, beyond `FREE` bytes: rows are a tenth or less when they are packed
FREE = 64 << 20
MOST = 500_000  # files
NAME = 255  # bytes

WRONG = (BadZipFile, LargeZipFile, zlib.error, StructError, EOFError, NotImplementedError, RuntimeError,
         ValueError, KeyError, OverflowError)  # fmt: skip
"""What zipfile raises for a file that is none of ours."""


def copy(folder: Path, runs: Iterable[Path], sweeps: Iterable[Path], place: Path) -> Path:
    """Copy what an archive holds of a folder below `place`, and return that copy, of the folder's own name.

    InputError for a file that is there and is none that genreg writes; MachineError where it cannot be read.
    """
    root = place / folder.resolve().name
    files = [run / name for run in runs for name in OF_A_RUN if os.path.lexists(run / name)]
    for file in (*sweeps, *files):
        to = root / file.relative_to(folder)
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(_anywhere(_content(file), folder.resolve()))
    return root


def _anywhere(content: bytes, folder: Path) -> bytes:
    """The content without the places of this machine: of the folder its name stays, of the data nothing."""
    named = content.replace(str(folder).encode(), folder.name.encode())
    return re.sub(rb"(?m)^data_dir: /.*$", b"data_dir: null", named)


def _content(file: Path) -> bytes:
    try:
        return reader.read_bytes(file, MEMBER)
    except DamagedError as error:
        raise InputError("FOLDER", "files that genreg wrote", f"{file}: {error}") from error
    except OSError as error:
        raise unwritable("FOLDER", error, "files that can be read") from error


def write(path: Path, root: Path, verdicts: Row, force: bool) -> None:
    """Pack a copy of a folder, whole or not at all; the same content gives the same bytes.

    verdicts: what `VERDICTS` holds. InputError for another file of that name, unless force replaces it.
    """
    files = {file.relative_to(root.parent).as_posix(): file for file in root.rglob("*") if file.is_file()}
    try:
        with write_atomic(path) as file:
            with ZipFile(file, "w") as archive:
                _add(archive, VERDICTS, json.dumps(verdicts, indent=1, allow_nan=False).encode() + b"\n")
                for name in sorted(files):
                    _add(archive, name, files[name].read_bytes())
                _check(archive.infolist(), file.tell())
            file.flush()
            if path.is_file() and not force and not filecmp.cmp(path, file.name, shallow=False):
                raise InputError(str(path), "a new file (--force replaces one of other content)")
    except OSError as error:
        raise unwritable("ARCHIVE", error, "a file that can be written") from error
    except DamagedError as error:
        raise InputError("FOLDER", "a study that an archive can hold", str(error)) from error


def _add(archive: ZipFile, name: str, content: bytes) -> None:
    """A member that says nothing of when and where it was written."""
    info = ZipInfo(name)
    info.external_attr, info.create_system, info.compress_type = 0o644 << 16, 3, ZIP_DEFLATED
    try:
        archive.writestr(info, content, compresslevel=9)
    except UnicodeEncodeError as error:
        raise DamagedError(f"a name that is no text: {printable(name)}") from error


@contextmanager
def opened(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """The paths, as folders: an archive among them, or a path into one, is unpacked while this lasts.

    The current folder is then another, in which unpacked files have the names that were typed, so that all
    that is printed of them says `study.zip/NAME/...`. InputError for what is no archive of ours.
    """
    found = [archive_of(path) for path in paths]
    if not any(found):
        yield list(paths)
        return
    here = Path.cwd()
    with TemporaryDirectory(prefix="genreg-") as place:
        roots = {archive: _unpack(archive, Path(place)) for archive in found if archive}
        with chdir(place):
            yield [
                _inside(roots[archive], path.relative_to(archive)) if archive else here / path
                for archive, path in zip(found, paths, strict=True)
            ]


def archive_of(path: Path) -> Path | None:
    """The archive that a path is, or leads into; None for another path."""
    return next((p for p in (path, *path.parents) if p.suffix == SUFFIX and os.path.isfile(p)), None)


def _inside(root: Path, inner: Path) -> Path:
    """The study's folder, or another place that was typed behind the archive's name."""
    return root.parent / inner if inner.parts else root


def verdicts_of(root: Path) -> Row:
    """The content of `VERDICTS` of the archive whose study's folder this is."""
    found: Row = reader.clean_json(reader.read_bytes(root.parent / VERDICTS))
    return found


def _unpack(archive: Path, place: Path) -> Path:
    """Write the files of an archive below place / its name; the study's folder, relative to `place`."""
    typed = archive if not archive.is_absolute() and ".." not in archive.parts else Path(archive.name)
    into = place / typed
    try:
        for name, content in _members(archive):
            path = into / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            os.utime(path, (0, 0))  # when it was unpacked says nothing of the run
        (root,) = (path for path in into.iterdir() if path.is_dir())
        _check_verdicts(root)
    except WRONG as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(str(archive), "an archive that `genreg pack` wrote", reason) from error
    return root.relative_to(place)


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file, once all names are right. One of `WRONG` for an archive that is not."""
    try:
        with reader.opened(archive) as file, ZipFile(file) as found:
            members = found.infolist()
            _check(members, os.fstat(file.fileno()).st_size)
            for member in members:
                yield member.filename, found.read(member)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise DamagedError("it leads to a place before its beginning") from error


def _check(members: Sequence[ZipInfo], size: int) -> None:
    """DamagedError for members that `write` does not make. size: bytes of the archive."""
    if len(members) > MOST:
        raise DamagedError(f"more than {MOST} files")
    total, names = sum(member.file_size for member in members), Counter(m.filename for m in members)
    for member in members:
        if (reason := _wrong(member)) or names[member.filename] > 1:
            raise DamagedError(f"{reason or 'twice'}: {printable(member.filename)[:NAME]}")
    if total > min(TOGETHER, FREE + TIMES * size):
        raise DamagedError(f"{size} bytes that would become {total}")
    if VERDICTS not in names:
        raise DamagedError(f"it has no {VERDICTS}")
    if len({name.partition("/")[0] for name in names if name != VERDICTS}) != 1:
        raise DamagedError("it has not the one folder of a study")


def _wrong(member: ZipInfo) -> str:
    """The reason for which this is no member of an archive of ours; empty if it is one."""
    if member.orig_filename != member.filename or not _is_name(member.filename):
        return "a name that genreg never writes"
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
        return "no regular file"
    if member.flag_bits & 1 or member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        return "encrypted, or packed in another way"
    return f"larger than {MEMBER >> 20} MB" if member.file_size > MEMBER else ""


def _is_name(name: str) -> bool:
    """True for `VERDICTS`, and for a file of ours in a folder, all of whose parts stay below it."""
    *folders, file = name.split("/")
    known = {*OF_A_RUN, record.FILE}
    plain = all(
        part not in ("", ".", "..", *known) and part.isprintable() and "\\" not in part
        and len(part.encode(errors="replace")) <= NAME for part in folders
    )  # fmt: skip
    return name == VERDICTS or (bool(folders) and plain and file in known and folders[0] != VERDICTS)


def _check_verdicts(root: Path) -> None:
    """DamagedError for a file of verdicts that is none, and where a sweep file is missing that it names."""
    found: Any = verdicts_of(root)
    sweeps, verdicts = (found.get("sweeps"), found.get("verdicts")) if isinstance(found, dict) else (0, 0)
    if not isinstance(sweeps, list) or not isinstance(verdicts, dict):
        raise DamagedError(f"{VERDICTS} is none")
    if not all(isinstance(values, dict) for values in verdicts.values()):
        raise DamagedError(f"{VERDICTS} is none")
    there = {path.relative_to(root).as_posix() for path in root.rglob(record.FILE)}
    if missing := [str(name) for name in sweeps if name not in there]:
        raise DamagedError(f"{printable(missing[0])} is missing, of which its verdicts are")
