"""The loop of every task: step, log, evaluate, save, stop; loggers are views that may fail."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from genreg.errors import (
    DeviceMemoryError,
    GenregError,
    Interrupted,
    MachineError,
    cause,
    of_machine,
    of_memory,
)
from genreg.parameters import Count, checked
from genreg.run.folder import Row, RunFolder
from genreg.run.logger import View
from genreg.run.state import State


@checked
def run(
    task: Any,
    folder: RunFolder,
    *,
    steps: Count,
    log_every: Count,
    eval_every: Count,
    checkpoint_every: Count,
    views: Sequence[Any] = (),  # each a View, which pydantic cannot check
) -> Row:
    """Train `task` to `steps`, from the folder's newest valid checkpoint if there is one; the summary.

    Rows are appended to the folder and shown to `views`. Raises DivergedError, after recording it, when a
    term is not finite, MachineError or DeviceMemoryError likewise where not the task failed but the machine,
    and Interrupted, after saving, on SIGINT or SIGTERM (a second one ends it at once).
    """
    state = State(task, folder)
    with recorded(state):
        with stop_signals() as stopping:
            if state.step == 0:
                state.draw(evaluates=False)
            while state.step < steps and not stopping:
                state.record(task.step(state.step))
                last = state.step == steps
                logs, evaluates = (last or state.step % every == 0 for every in (log_every, eval_every))
                pictures = state.draw(evaluates)
                if logs or evaluates:
                    _write_row(state, logs, evaluates, pictures, views)
                if state.step % checkpoint_every == 0 and not last:
                    state.save()
            if state.step < steps:
                state.save()
                raise Interrupted(f"interrupted at step {state.step}; the same command resumes it")
        return state.finish()


@contextmanager
def recorded(state: State) -> Iterator[None]:
    """Record in the summary how the run inside ended before its last step."""
    try:
        yield
    except KeyboardInterrupt:
        state.stop("interrupted")
        raise
    except Exception as error:
        if not of_machine(error):
            state.stop("failed", reason=(str(error) or type(error).__name__).splitlines()[0])
            raise
        broken: GenregError = MachineError(cause(error))
        if of_memory(error):
            broken = DeviceMemoryError(state.task.device, state.step, state.task.sizes)
        state.stop("broken", reason=str(broken))
        raise broken from error


def _write_row(
    state: State, logs: bool, evaluates: bool, pictures: dict[str, Path], views: Sequence[View]
) -> None:
    """Append the terms' means, the evaluation of the model as it stands, or both; and show them."""
    row: Row = state.means() if logs else {}
    if evaluates:
        row |= state.evaluated(state.task.evaluate())
    state.write(row)
    for view in views:
        view.show({"step": state.step, **row}, pictures)


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """A list to which SIGINT or SIGTERM is appended; a second signal raises KeyboardInterrupt at once.

    The loop reads the list between steps: an exception in the middle of an update would leave weights and
    optimizer of different steps, from which no run could go on bit for bit.
    """
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
