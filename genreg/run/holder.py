"""The process that holds a run folder, as others are told of it who find it locked.

The kernel frees a lock when its process dies. Where the folder lies on a server that other machines reach,
the server frees it, and may not notice for a while that a machine is gone: then a person must judge.
"""

import json
import os
import platform
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from genreg.files import HERE, write_atomic
from genreg.run import reader
from genreg.run.reader import DamagedError

FILE = ".holder"  # beside .lock, which some versions of filelock cut to nothing when they look at it


def _boot() -> str:
    """The name of this start of the machine; empty where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def write(folder: Path) -> None:
    """Write down that this process holds the folder."""
    told = {"host": platform.node(), "here": HERE, "boot": _boot(), "process": os.getpid()}
    with suppress(OSError), write_atomic(folder / FILE) as file:
        file.write(json.dumps({**told, "since": time.strftime("%Y-%m-%d %H:%M")}).encode())


def remove(folder: Path) -> None:
    with suppress(OSError):
        (folder / FILE).unlink()


def in_words(folder: Path) -> str:
    """Words for who holds a locked folder, and how to free it."""
    who = "in use by another process"
    if found := _read(folder / FILE):
        host = found.get("host")
        who += f", {found.get('process')} on {host} since {found.get('since')}"
        free = f"delete {folder / '.lock'} and start again"
        if found.get("here") != HERE:
            return (
                f"{who}, which wrote {_ago(folder)}; wait for it, or stop it there; if {host} is down, {free}"
            )
        if not _lives(found):
            return f"{who}, which has ended, but its file system holds the lock; {free}"
    return f"{who}; wait for it to end, or stop it"


def _lives(found: dict[str, Any]) -> bool:
    """True if the process of this machine is alive: since it started, it has not started anew."""
    if found.get("boot") != _boot():
        return False
    try:
        os.kill(int(found.get("process", 0)), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:  # of another user
        return True
    return True


def _ago(folder: Path) -> str:
    """The time since anything in the folder was written, in words, by the clock of its file system."""
    written = [path.stat().st_mtime for path in folder.iterdir() if path.name != ".lock"]
    minutes = max(0, round((time.time() - max(written)) / 60))
    return "in the last minute" if minutes < 1 else f"last {minutes} minutes ago"


def _read(path: Path) -> dict[str, Any]:
    try:
        found = reader.from_json(reader.read_bytes(path))
    except (OSError, DamagedError):
        return {}
    return found if isinstance(found, dict) else {}
