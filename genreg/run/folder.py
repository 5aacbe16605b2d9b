"""The format of a run folder: write it, read it back. Needs no torch, so reports start at once.

config.yaml        the resolved configuration
metrics.jsonl      one row a line, {"step": ..., name: value}; the same bytes however often it was resumed
timing.jsonl       {"step": ..., "seconds": ...} at the same steps: what the machine took
environment.json   versions, device, commit, data checksums of every start
summary.json       status (running, interrupted, failed, done), best and last row, seconds, reason
weights.pt         parameters at the step that validation chose; last_weights.pt at the last step
replicas.npz       of a landscape: every evaluation of every replica, (evaluations, replicas)
histograms.npz     of a GAN, with measure=gradient_norm: counts of gradient norms, (evaluations, bins)
samples/           of a GAN: step=<n>.png, samples from the same latents at every evaluation
curves.png         the rows as a picture; not drawn in a sweep
job.log            what a run of a sweep printed
synced.json        what `genreg sync` last showed to each of its targets
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from genreg.errors import FolderInUseError

Row = dict[str, Any]


@dataclass(frozen=True)
class RunFolder:
    """One run's folder. `path` is made on first write."""

    path: Path

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder, or raise FolderInUseError; the kernel frees the lock of a dead process."""
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            message = f"{self.path}: in use by another process; wait for it to end, or stop it"
            raise FolderInUseError(message) from error
        try:
            yield
        finally:
            lock.release()

    def summary(self) -> Row:
        """The summary; `{}` if the run never started or its summary is damaged."""
        return _read_json(self.path / "summary.json", {})

    def write_summary(self, summary: Row) -> None:
        _write_json(self.path / "summary.json", summary)

    def add_environment(self, environment: Row) -> None:
        """Append one start's environment."""
        path = self.path / "environment.json"
        _write_json(path, [*self.environments(), environment])

    def environments(self) -> list[Row]:
        """The environment of every start, oldest first."""
        return _read_json(self.path / "environment.json", [])

    def synced(self, target: str) -> Row:
        """What `target` was last shown; `{}` if nothing."""
        synced = _read_json(self.path / "synced.json", {})
        found = synced.get(target) if isinstance(synced, dict) else None
        return found if isinstance(found, dict) else {}

    def write_synced(self, target: str, state: Row) -> None:
        synced = _read_json(self.path / "synced.json", {})
        others = synced if isinstance(synced, dict) else {}
        _write_json(self.path / "synced.json", {**others, target: state})

    def write_config(self, config: Row) -> None:
        text = "".join(_yaml(json.dumps({key: value})) for key, value in config.items())
        (self.path / "config.yaml").write_text(text)

    def rows(self) -> list[Row]:
        """All metric rows; a last line that a kill cut short is left out."""
        return _read_lines(self.path / "metrics.jsonl")

    def pictures(self) -> dict[int, dict[str, Path]]:
        """The files of the task's pictures, by step and name."""
        found: dict[int, dict[str, Path]] = {}
        for path in sorted(self.path.glob("*/step=*.png")):
            if (step := path.stem.removeprefix("step=")).isdecimal():
                found.setdefault(int(step), {})[path.parent.name] = path
        return found

    def timing(self) -> list[Row]:
        return _read_lines(self.path / "timing.jsonl")


class RowFile:
    """An append-only file of JSON lines, cut back on resume to where the checkpoint was written."""

    def __init__(self, path: Path, size: int = 0) -> None:
        self._file: IO[bytes] = path.open("ab")
        self._file.truncate(size)

    def append(self, row: Row) -> None:
        self._file.write(json.dumps(row).encode() + b"\n")
        self._file.flush()

    def sync(self) -> int:
        """Put every row on the disk; the size to resume at."""
        os.fsync(self._file.fileno())
        return os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        self._file.close()


@lru_cache(500)
def _yaml(part: str) -> str:
    """One key of a configuration, from JSON to YAML. Kept: it is slow, and runs of a sweep share most."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(json.loads(part)))


def _read_json(path: Path, default: Any) -> Any:
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, UnicodeDecodeError):
        return default


def _write_json(path: Path, value: Any) -> None:
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(json.dumps(value, indent=2) + "\n")
    unfinished.replace(path)


def _read_lines(path: Path) -> list[Row]:
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in lines]
