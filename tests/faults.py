"""Faults of file operations below a folder, in this process: the k-th fails, all from it on, or a kill."""

import builtins
import errno
import io
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from genreg.files import UNFINISHED

Say = Callable[[], str]

CHANGES = ("create", "write", "mkdir", "fsync", "truncate", "replace", "rename", "unlink", "remove", "rmdir")
NAMELESS = ("write", "fsync", "truncate")  # operations whose error does not name the file
KINDS: dict[str, tuple[int, bool]] = {  # the error, and if it lasts for all that change something
    "EIO": (errno.EIO, False),
    "ESTALE": (errno.ESTALE, False),
    "EACCES": (errno.EACCES, False),
    "ENOSPC": (errno.ENOSPC, True),
    "EROFS": (errno.EROFS, True),
    "kill": (0, True),
}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
DEAD = 2**22 + 7
"""No process has this number: those of Linux end before."""


class Killed(BaseException):
    """SIGKILL: nothing runs afterwards that could write, whatever `finally` says."""


class Faults:
    """Strikes at the `at`-th operation of a file below `root`. seen: all of them; struck: the one."""

    def __init__(self, root: Path, kind: str, at: int) -> None:
        self.root, self.at, self.kind = f"{root}/", at, kind
        self.error, self.lasts = KINDS[kind]
        self.seen: list[str] = []
        self.struck, self.process = "", os.getpid()

    @property
    def count(self) -> int:
        return len(self.seen)

    def operate(self, name: str, place: Any, raw: "Raw | None" = None, data: bytes = b"") -> None:
        """Count an operation, and raise if it is the one; a write that fails has written the half."""
        path = _path(place)
        if path is None or not path.startswith(self.root):
            return
        self.seen.append(f"{name} {path}")
        full = self.lasts and self.kind != "kill"
        late = self.count > self.at and self.lasts
        if (self.count != self.at and not late) or (full and name not in CHANGES) or not self.at:
            return
        first, self.struck = not self.struck, self.struck or f"{name} {path}"
        if data and raw and first:
            io.FileIO.write(raw, data[: len(data) // 2])
        if self.kind == "kill":
            raise Killed
        raise OSError(self.error, os.strerror(self.error), *([] if name in NAMELESS else [path]))


class Raw(io.FileIO):
    """A file whose reads and writes are counted."""

    faults: Faults

    def write(self, data: Any) -> int:  # type: ignore[override]
        self.faults.operate("write", self.fileno(), self, bytes(data))
        return super().write(data)

    def truncate(self, size: int | None = None) -> int:
        self.faults.operate("truncate", self.fileno())
        return super().truncate(size)

    def readinto(self, buffer: Any) -> Any:
        self.faults.operate("read", self.fileno())
        return super().readinto(buffer)

    def readall(self) -> Any:
        self.faults.operate("read", self.fileno())
        return super().readall()


def _path(place: Any) -> str | None:
    """The absolute path of a path or an open descriptor."""
    if isinstance(place, int):
        try:
            return os.readlink(f"/proc/self/fd/{place}")
        except OSError:
            return None
    return os.path.abspath(os.fsdecode(place)) if isinstance(place, str | bytes | os.PathLike) else None


def inject(monkeypatch: pytest.MonkeyPatch, faults: Faults) -> None:
    """Let every operation go through `faults`; processes forked from here are left alone."""

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if os.getpid() in (faults.process, DEAD):
                creates = name == "open" and _creates(*arguments[1:2], **options)
                faults.operate("create" if creates else name, arguments[0] if arguments else ".")
            return function(*arguments, **options)

        return call

    names = ("open", "mkdir", "replace", "rename", "unlink", "remove", "rmdir", "fsync", "scandir", "listdir",
             "stat")  # fmt: skip
    for name in names:
        monkeypatch.setattr(os, name, counted(name, getattr(os, name)))
    kind = type("Raw", (Raw,), {"faults": faults})
    opened = _opener(kind, io.open)
    for module in (io, builtins):
        monkeypatch.setattr(module, "open", counted("open", opened))
    if faults.kind == "kill":
        monkeypatch.setattr(os, "getpid", lambda: DEAD)


def _creates(mode: str | int = "r", flags: int = 0, **_: Any) -> bool:
    """True where a file is opened to be written, by Python's mode or by flags."""
    return bool({*"wax+"} & {*mode}) if isinstance(mode, str) else bool((mode | flags) & WRITING)


def _opener(kind: Callable[..., Raw], plain: Callable[..., Any]) -> Callable[..., Any]:
    def opened(file: Any, mode: str = "r", buffering: int = -1, encoding: Any = None, errors: Any = None,
               newline: Any = None, closefd: bool = True, opener: Any = None) -> Any:  # fmt: skip
        path = _path(file)
        if path is None or not path.startswith(kind.faults.root):  # type: ignore[attr-defined]
            return plain(file, mode, buffering, encoding, errors, newline, closefd, opener)
        raw = kind(file, mode.translate({ord("b"): None, ord("t"): None}), closefd, opener)
        if "b" in mode and buffering == 0:
            return raw
        two = io.BufferedRandom if "+" in mode else io.BufferedReader if "r" in mode else io.BufferedWriter
        buffered: Any = two(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding or "utf-8", errors, newline,
                                                             line_buffering=buffering == 1)  # fmt: skip

    return opened


def strike(monkeypatch: pytest.MonkeyPatch, root: Path, kind: str, at: int, action: Callable[[], Any]) -> Any:
    """What `action` gave with a fault at its `at`-th operation below `root`, None if killed; the fault."""
    faults = Faults(root, kind, at)
    with monkeypatch.context() as patched:
        inject(patched, faults)
        answer = None
        with suppress(Killed):
            answer = action()
    if kind == "kill" and faults.struck:  # whatever code that caught it made of it
        answer = None
    return answer, faults


FEWER = 3


def full(every: dict[str, int]) -> list[Any]:
    """Cases of the slow tier, each so-manieth operation for each kind; a third of them of the full one."""
    return [
        pytest.param(kind, often * times, marks=tier)
        for kind, often in every.items()
        for times, tier in ((1, pytest.mark.slow), (FEWER, pytest.mark.full))
    ]


EVERY = {"EIO": 1, "kill": 1, "ENOSPC": 2, "EACCES": 4, "ESTALE": 8}


def points(number: int, every: int, kind: str) -> list[int]:
    """The operations at which it strikes: each `every`-th, of each kind others."""
    return list(range(1 + list(KINDS).index(kind) * every // len(KINDS), number + 1, every))


def content(folder: Path, but: tuple[str, ...] = ()) -> dict[str, Any]:
    """The bytes of every file below a folder, of a summary without its seconds."""
    found: dict[str, Any] = {}
    for path in (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in but):
        found[str(path.relative_to(folder))] = path.read_bytes()
        if path.name == "summary.json":
            found[str(path.relative_to(folder))] = json.loads(path.read_bytes()) | {"seconds": 0}
    return found


def parts(folder: Path) -> list[Path]:
    return list(folder.rglob(f"*{UNFINISHED}"))


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Say:
    """What was said on stderr since the last call: a line or two, and never a traceback."""

    def lines() -> str:
        text = capfd.readouterr().err
        assert "Traceback" not in text
        assert len(text.splitlines()) <= 2, text
        return text

    return lines
