"""Checkpoints: a run goes on from the newest usable one. Written whole or not at all."""

import hashlib
import io
import logging
import pickle
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genreg.errors import InputError
from genreg.files import read_bytes, write_atomic
from genreg.run.folder import RunFolder
from genreg.run.task import Task

log = logging.getLogger("genreg")

FILES = {"metrics_size": "metrics.jsonl", "timing_size": "timing.jsonl"}
AGAIN = "--again starts from the beginning"
KEPT = 2  # if the newest is damaged, the one before it is used


def resume(task: Task, folder: RunFolder) -> dict[str, Any]:
    """Load the task from the folder's newest usable checkpoint, which is returned; {} if there is none.

    Raises InputError, with nothing changed, where every checkpoint lacks rows or the newest is of other code.
    """
    unusable: dict[Path, InputError] = {}
    for path, state in valid(folder.path):
        if missing := _missing_rows(folder.path, path, state):
            unusable[path] = missing
            continue
        _load(task, path, state)
        for newer, error in unusable.items():
            log.warning("%s: going on from step %s", error, state["step"])
            newer.unlink()  # later rows must not make it look whole
        return state
    if unusable:
        raise next(iter(unusable.values()))
    return {}


def save(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Write `state` as folder/checkpoint-<step>-<sha256>.pt, whole or not at all; keep the two newest."""
    payload = _saved(_alone(state))  # in memory first: the name of the file holds the hash of its bytes
    digest = hashlib.sha256(payload).hexdigest()[:16]
    with write_atomic(folder / f"checkpoint-{step:09d}-{digest}.pt", durable=True) as file:
        file.write(payload)
    with suppress(OSError):  # one too many does no harm
        for path in sorted(folder.glob("checkpoint-*.pt"))[:-KEPT]:
            path.unlink()


def keep(folder: Path) -> None:
    """Keep the newest checkpoint as state-<step>-<sha256>.pt, beyond the end of the run."""
    for path in folder.glob("state-*.pt"):
        path.unlink()
    newest = max(folder.glob("checkpoint-*.pt"))
    newest.rename(folder / newest.name.replace("checkpoint-", "state-"))


def _alone(value: Any) -> Any:
    """The value with copies of the tensors that are views: with a view, torch saves all of what it views."""
    if isinstance(value, Tensor):
        return value.clone() if value.untyped_storage().nbytes() > value.nbytes else value
    if isinstance(value, dict):
        return {key: _alone(part) for key, part in value.items()}
    return type(value)(_alone(part) for part in value) if type(value) in (list, tuple) else value


def save_weights(folder: Path, name: str, weights: dict[str, Tensor]) -> None:
    """Save tensors on the CPU as folder/name, for `torch.load(path, weights_only=True)`."""
    payload = _saved({key: weight.cpu() for key, weight in weights.items()})
    with write_atomic(folder / name, durable=True) as file:
        file.write(payload)


def save_arrays(folder: Path, name: str, arrays: dict[str, Tensor]) -> None:
    """Save tensors as a compressed npz file, folder/name, for programs without torch."""
    named: dict[str, Any] = {key: array.numpy() for key, array in arrays.items()}
    with write_atomic(folder / name, durable=True) as file:
        np.savez_compressed(file, **named)


def _saved(value: Any) -> memoryview:
    """The bytes that torch.save writes: into a file, an error of it is a RuntimeError without a cause."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getbuffer()


def valid(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Each checkpoint whose bytes have the hash in its name, newest first, on the CPU; others are deleted."""
    for path in sorted(folder.glob("checkpoint-*.pt"), reverse=True):
        payload = read_bytes(path)
        if hashlib.sha256(payload).hexdigest()[:16] == path.stem.rsplit("-", 1)[1]:
            try:
                state: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
            except pickle.UnpicklingError:  # whole, but written by a program that saved other types
                path.unlink()
            else:
                yield path, state
        else:
            path.unlink()


def _missing_rows(folder: Path, path: Path, state: dict[str, Any]) -> InputError | None:
    """The error of a file of rows that is shorter than at the checkpoint, if one is.

    Rows are cut back to a checkpoint: `truncate` would fill a shorter file with zero bytes, and the run would
    seem complete though rows are lost.
    """
    for key, name in FILES.items():
        file, size = folder / name, state[key]
        found = file.stat().st_size if file.exists() else 0
        if found < size:
            expected = f"the first {size} bytes of it, which {path.name} goes on from (or {AGAIN})"
            return InputError(str(file), expected, f"{found} bytes")
    return None


def _load(task: Task, path: Path, state: dict[str, Any]) -> None:
    """Let the task take up its state; InputError that names the file where the task has other code now."""
    try:
        task.load_state_dict(state["task"])
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        reason = " ".join(str(error).split())
        raise InputError(str(path), f"a checkpoint of this code ({AGAIN})", reason) from error
