"""Where a run goes on: the newest checkpoint that its files of rows still reach."""

import logging
from pathlib import Path
from typing import Any

from genreg.errors import InputError
from genreg.run import checkpoint
from genreg.run.folder import RunFolder
from genreg.run.task import Task

log = logging.getLogger("genreg")

FILES = {"metrics_size": "metrics.jsonl", "timing_size": "timing.jsonl"}
AGAIN = "--again starts from the beginning"


def resume(task: Task, folder: RunFolder) -> dict[str, Any]:
    """Load the task from the folder's newest usable checkpoint, which is returned; {} if there is none.

    Raises InputError, with nothing changed, where rows are missing to each, or the newest is of other code.
    """
    unusable: dict[Path, InputError] = {}
    for path, state in checkpoint.valid(folder.path):
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


def _missing_rows(folder: Path, path: Path, state: dict[str, Any]) -> InputError | None:
    """What a file of rows that is shorter than at the checkpoint lacks: cut back, it would be lengthened."""
    for key, name in FILES.items():
        file, size = folder / name, state[key]
        found = file.stat().st_size if file.exists() else 0
        if found < size:
            expected = f"the first {size} bytes of it, which {path.name} goes on from (or {AGAIN})"
            return InputError(str(file), expected, f"{found} bytes")
    return None


def _load(task: Task, path: Path, state: dict[str, Any]) -> None:
    """Let the task take up its state; whatever a task of other code raises is told with the file."""
    try:
        task.load_state_dict(state["task"])
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        reason = " ".join(str(error).split())
        raise InputError(str(path), f"a checkpoint of this code ({AGAIN})", reason) from error
