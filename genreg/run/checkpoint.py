"""Checkpoints that survive being killed at any instant."""

import hashlib
import io
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

KEPT = 2  # if the newest is damaged, the one before it is used


def save(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Write `state` as folder/checkpoint-<step>-<sha256>.pt, whole or not at all; keep the two newest."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getbuffer()
    digest = hashlib.sha256(payload).hexdigest()[:16]
    write_atomic(folder / f"checkpoint-{step:09d}-{digest}.pt", payload)
    for path in sorted(folder.glob("checkpoint-*.pt"))[:-KEPT]:
        path.unlink()


def valid(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Each checkpoint whose bytes have the hash in its name, newest first, on the CPU; others are deleted."""
    for path in sorted(folder.glob("checkpoint-*.pt"), reverse=True):
        payload = path.read_bytes()
        if hashlib.sha256(payload).hexdigest()[:16] == path.stem.rsplit("-", 1)[1]:
            try:
                state: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
            except pickle.UnpicklingError:  # whole, but written by a program that saved other types
                path.unlink()
            else:
                yield path, state
        else:
            path.unlink()


def save_weights(folder: Path, name: str, weights: dict[str, Tensor]) -> None:
    """Save tensors on the CPU as folder/name, for `torch.load(path, weights_only=True)`."""
    buffer = io.BytesIO()
    torch.save({key: weight.cpu() for key, weight in weights.items()}, buffer)
    write_atomic(folder / name, buffer.getbuffer())


def save_arrays(folder: Path, name: str, arrays: dict[str, Tensor]) -> None:
    """Save tensors as a compressed npz file, folder/name, for programs without torch."""
    buffer = io.BytesIO()
    named: dict[str, Any] = {key: array.numpy() for key, array in arrays.items()}
    np.savez_compressed(buffer, **named)
    write_atomic(folder / name, buffer.getbuffer())


def write_atomic(path: Path, payload: bytes | memoryview) -> None:
    """Write and fsync a temporary file beside `path`, then rename it: `path` is never half written."""
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        with unfinished.open("wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
