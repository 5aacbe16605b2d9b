"""The format of a run folder: write it, read it back. Needs no torch, so reports start at once.

config.yaml        the resolved configuration
metrics.jsonl      one row a line, {"step": ..., name: value}; the same bytes however often it was resumed
timing.jsonl       {"step": ..., "seconds": ...} at the same steps: what the machine took
environment.json   versions, device, commit, sha256 of the code and data of every start; what was read of data
                   of one's own
summary.json       status (running, interrupted, failed, broken, done), best and last row, seconds, reason,
                   metrics, items of each split; broken: the machine failed, and the next start goes on
weights.pt         parameters at the step that validation chose; last_weights.pt at the last step
state-*.pt         all that further steps depend on, where it is kept: `--extend` goes on from it
replicas.npz       of a landscape: every evaluation of every replica, (evaluations, replicas)
contours.npz       of a landscape of two coordinates: its loss on a grid around the paths
histograms.npz     of a GAN, with measure=gradient_norm: counts of gradient norms, (evaluations, bins)
samples/           of a GAN: step=<n>.png, samples from the same latents at every evaluation;
                   of a classifier with task.frames: how it sees the plane at these steps (samples.png: all)
curves.png         the rows as a picture; not drawn in a sweep
job.log            what a run of a sweep printed
synced.json        what `genreg sync` last showed to each of its targets
.lock, .holder     held by the process that writes; which one that is

A run that was repeated lies beside its folder, as seed=N.before-1, and is found only by its name.
"""

import errno
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from genreg.errors import FolderInUseError, GenregError, unwritable, was_of_machine
from genreg.errors import printable as printable
from genreg.files import MISSING, UNFINISHED, write_atomic
from genreg.run import holder, reader, rows
from genreg.run.metric import is_described
from genreg.run.reader import DamagedError
from genreg.run.rows import Row as Row

SEED = re.compile(r"seed=(\d+)")
MARKS = ("summary.json", "metrics.jsonl")
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


@dataclass(frozen=True)
class RunFolder:
    """One run's folder. `path` is made on first write."""

    path: Path

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder, or raise FolderInUseError.

        The kernel frees the lock when its process dies, so none is left behind, and processes that start the
        same run need not know of each other. The file `.lock` stays: if it were deleted, the next process
        would lock another file of that name.
        """
        made = self._make()
        lock = FileLock(self.path / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise FolderInUseError(f"{self.path}: {holder.in_words(self.path)}") from error
        except (OSError, NotImplementedError) as error:  # the second of filelock, for ENOSYS
            self._unmake(made)
            if getattr(error, "errno", errno.ENOSYS) not in NO_LOCKS:
                raise
            message = (
                f"{self.path}: its file system has no file locks, without which two processes could write"
            )
            raise GenregError(f"{message} one run; choose another with output_dir=") from error
        try:
            for unfinished in self.path.glob(f"*{UNFINISHED}"):  # of a process that was killed
                unfinished.unlink(missing_ok=True)
            holder.write(self.path)
            yield
        finally:
            holder.remove(self.path)
            lock.release()

    def _make(self) -> list[Path]:
        """Make the folder; those that were not there before, the deepest first."""
        made = [path for path in (self.path, *self.path.parents) if not os.path.lexists(path)]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable("output_dir", error) from error
        return made

    def _unmake(self, made: Iterable[Path]) -> None:
        """Remove the folders again in which nothing but a lock was written."""
        with suppress(OSError):
            (self.path / ".lock").unlink()
            for path in made:
                path.rmdir()

    def set_aside(self) -> None:
        """Rename the folder, if there is one, to <name>.before-N, which reports pass over."""
        if not self.path.is_dir():
            return
        with self.lock():  # FolderInUseError where it is being written
            number = 1
            while (aside := self.path.with_name(f"{self.path.name}.before-{number}")).exists():
                number += 1
            self.path.rename(aside)

    @property
    def repeated(self) -> int:
        """The number of times that the run was set aside."""
        return len(list(self.path.parent.glob(f"{self.path.name}.before-*")))

    @property
    def begun(self) -> bool:
        """True if a start would go on from a checkpoint."""
        return any(self.path.glob("checkpoint-*.pt"))

    @property
    def last_state(self) -> Path | None:
        """The file of the state after the last step, if it was kept."""
        return max(self.path.glob("state-*.pt"), default=None)

    def drop_checkpoints(self) -> None:
        """Delete the checkpoints of a finished run, whole and half written; a kill may have come before.

        What cannot be deleted does no harm: the next start of the command tries it again.
        """
        with suppress(OSError):
            for path in self.path.glob("checkpoint-*.pt*"):
                path.unlink(missing_ok=True)

    @property
    def seed(self) -> int:
        """N of a folder called seed=N, else what the configuration says; 0 where it says nothing."""
        if match := SEED.fullmatch(self.path.name):
            return int(match[1])
        seed = self.config().get("seed")
        return seed if isinstance(seed, int) else 0

    def config(self) -> Row:
        """The configuration as plain values; `{}` if there is none, or it is damaged.

        A plain YAML reader is right for what `write_config` wrote (1.0e-06), not for a person's 1e-6.
        """
        try:
            found = reader.from_yaml(reader.read_bytes(self.path / "config.yaml"))
        except (OSError, DamagedError):
            return {}
        return found if isinstance(found, dict) else {}

    def write_config(self, config: Row) -> None:
        text = "".join(_yaml(json.dumps({key: value})) for key, value in config.items())
        with write_atomic(self.path / "config.yaml") as file:
            file.write(text.encode())

    def summary(self) -> Row:
        """The summary; `{}` if the run never started or its summary is damaged."""
        found = _read_json(self.path / "summary.json")
        return as_now(found) if isinstance(found, dict) else {}

    def write_summary(self, summary: Row) -> None:
        _write_json(self.path / "summary.json", summary)

    def environments(self) -> list[Row]:
        """The environment of every start, oldest first."""
        found = _read_json(self.path / "environment.json")
        return [start for start in found if isinstance(start, dict)] if isinstance(found, list) else []

    def starts(self) -> list[Row]:
        """The environments that made the run: of its last start from step 0 and of those that resumed it."""
        return latest(self.environments())

    def add_environment(self, environment: Row) -> None:
        """Append one start's environment."""
        self.write_environments([*self.environments(), environment])

    def write_environments(self, environments: list[Row]) -> None:
        _write_json(self.path / "environment.json", environments)

    def synced(self, target: str) -> Row:
        """The last state that `target` was shown; `{}` if none."""
        found = self._synced().get(target)
        return found if isinstance(found, dict) else {}

    def write_synced(self, target: str, state: Row) -> None:
        _write_json(self.path / "synced.json", {**self._synced(), target: state})

    def _synced(self) -> Row:
        found = _read_json(self.path / "synced.json")
        return found if isinstance(found, dict) else {}

    def rows(self) -> list[Row]:
        """All metric rows; a last line that a kill cut short is left out."""
        return rows.read(self.path / "metrics.jsonl")

    def rows_with(self, metric: str) -> list[Row]:
        """The rows that have `metric`, as far as they can be read."""
        return rows.read_with(self.path / "metrics.jsonl", metric)

    def timing(self) -> list[Row]:
        return rows.read(self.path / "timing.jsonl")

    def seconds_at(self) -> dict[int, float]:
        """Seconds of work until each recorded step, as far as they can be read."""
        found = rows.read_with(self.path / "timing.jsonl", "seconds")
        return {row["step"]: row["seconds"] for row in found}

    def pictures(self) -> dict[int, dict[str, Path]]:
        """The files of the task's pictures, by step and name."""
        found: dict[int, dict[str, Path]] = {}
        for path in sorted(self.path.glob("*/step=*.png")):
            if (step := path.stem.removeprefix("step=")).isdecimal():
                found.setdefault(int(step), {})[path.parent.name] = path
        return found


def latest(starts: list[Row]) -> list[Row]:
    """The last start from step 0, and those that resumed it."""
    first = max((number for number, start in enumerate(starts) if not start.get("resumed")), default=0)
    return starts[first:]


def as_now(summary: Row) -> Row:
    """A summary in today's words: earlier versions called a run failed where the machine had."""
    if summary.get("status") == "failed" and was_of_machine(summary.get("reason")):
        return {**summary, "status": "broken"}
    return summary


def is_whole(summary: Row) -> bool:
    """True if the summary has what its readers need, of the right kind: a folder may come from anyone."""
    status = summary.get("status")
    found = [row for row in (summary.get("best"), summary.get("last")) if row is not None]
    if not isinstance(status, str) or (status == "done" and not summary.get("last")):
        return False
    if not all(isinstance(row, dict) and isinstance(row.get("step"), int) for row in found):
        return False
    values = [value for row in found for name, value in row.items() if "/" in name]  # others are labels
    numbers = [summary.get("step", 0), summary.get("seconds", 0), *values]
    labels = [value for row in found for value in row.values()]
    selection = summary.get("selection") or []
    return (
        all(isinstance(number, int | float) for number in numbers)
        and all(isinstance(label, int | float | str) for label in labels)
        and isinstance(selection, list)
        and len(selection) in (0, 2)
        and all(isinstance(word, str) for word in selection)
        and is_described(summary.get("metrics", {}))
    )


@lru_cache(500)
def _yaml(part: str) -> str:
    """One key of a configuration, from JSON to YAML. Cached: it is slow, and runs of a sweep share most."""
    from omegaconf import OmegaConf  # a report starts without it

    return OmegaConf.to_yaml(OmegaConf.create(json.loads(part)))


def _read_json(path: Path) -> Any:
    """The content of the file; None if it is missing or damaged."""
    try:
        return reader.from_json(reader.read_bytes(path))
    except (*MISSING, DamagedError):
        return None


def _write_json(path: Path, value: Any) -> None:
    with write_atomic(path) as file:
        file.write(json.dumps(value, indent=2).encode() + b"\n")
