"""The loop of every task: step, log, evaluate, save, stop; loggers are views that may fail."""

import logging
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from torch import OutOfMemoryError

from genreg.errors import DeviceMemoryError, Interrupted
from genreg.parameters import Count, checked
from genreg.run.folder import Row, RunFolder
from genreg.run.identity import Config
from genreg.run.state import State

log = logging.getLogger("genreg")


class View(Protocol):
    """Whatever is shown every row and the pictures of its step: a progress bar, W&B, TensorBoard."""

    def show(self, row: Row, pictures: dict[str, Path]) -> None: ...


class Logger(View, Protocol):
    """A view in another program: started with the run, and told the summary at the end."""

    def start(self, folder: RunFolder, config: Config) -> None: ...
    def finish(self, summary: Row) -> None: ...


class Guarded:
    """A logger whose failure is a warning, once, and the end of its showing: never the end of the run."""

    def __init__(self, name: str, logger: Logger) -> None:
        self.name, self.logger, self.alive = name, logger, True

    def start(self, folder: RunFolder, config: Config) -> None:
        self._call("start", folder, config)

    def show(self, row: Row, pictures: dict[str, Path]) -> None:
        self._call("show", row, pictures)

    def finish(self, summary: Row) -> None:
        self._call("finish", summary)

    def _call(self, method: str, *arguments: Any) -> None:
        if not self.alive:
            return
        try:
            getattr(self.logger, method)(*arguments)
        except Exception as error:
            self.alive = False
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            log.warning("logger.%s stopped (the run folder is complete): %s", self.name, reason)


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
    term is not finite, DeviceMemoryError likewise, and Interrupted, after saving, on SIGINT or SIGTERM (a
    second one ends it at once).
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
    """Whatever ends the run inside stands in its summary."""
    try:
        yield
    except KeyboardInterrupt:
        state.stop("interrupted")
        raise
    except OutOfMemoryError as error:
        short = DeviceMemoryError(state.task.device, state.step, state.task.sizes)
        state.stop("failed", reason=str(short))
        raise short from error
    except Exception as error:
        state.stop("failed", reason=(str(error) or type(error).__name__).splitlines()[0])
        raise


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
    """A list that SIGINT or SIGTERM is appended to; a second signal raises KeyboardInterrupt at once."""
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
