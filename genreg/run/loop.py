"""The loop of every task: step, log, evaluate, save, stop; loggers are views that may fail."""

import logging
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from torch import Tensor

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
from genreg.run import ranks
from genreg.run.folder import Row, RunFolder
from genreg.run.logger import View
from genreg.run.state import State
from genreg.run.task import Task

log = logging.getLogger("genreg")


@checked
def run(
    task: Any,
    folder: RunFolder,
    *,
    steps: Count,
    log_every: Count,
    eval_every: Count,
    checkpoint_every: Count,
    keep_state: bool = False,
    views: Sequence[Any] = (),  # each a View, which pydantic cannot check
) -> Row:
    """Train `task` to `steps`, from the folder's newest valid checkpoint if there is one; the summary.

    Rows are appended to the folder and shown to `views`. Raises DivergedError, after recording it, when a
    term is not finite, MachineError or DeviceMemoryError likewise where not the task failed but the machine,
    and Interrupted, after saving, on SIGINT or SIGTERM (a second one ends it at once).
    """
    one = Training(task, folder, Pace(steps, log_every, eval_every, checkpoint_every), views)
    with recorded(one.state):
        if ranks.size > 1:
            ranks.first_state({"step": one.state.step, "task": task.state_dict()})
        with stop_signals() as stopping:
            one.begin()
            while one.left and not ranks.some(bool(stopping)):
                one.follow(ranks.step(task, one.state.step))
            if one.left:
                one.interrupt()
        return one.state.finish(keep_state)


@dataclass(frozen=True)
class Pace:
    """The number of steps of a run, and of those between its logs, evaluations and checkpoints."""

    steps: int
    log_every: int
    eval_every: int
    checkpoint_every: int

    def at(self, step: int) -> tuple[bool, bool, bool]:
        """True for what is due after `step` steps: a log, an evaluation, a checkpoint."""
        last = step == self.steps
        logs, evaluates = (last or step % every == 0 for every in (self.log_every, self.eval_every))
        return logs, evaluates, step % self.checkpoint_every == 0 and not last


class Training:
    """A run and what follows each of its steps, whoever makes the step: rows, pictures and checkpoints."""

    def __init__(self, task: Task, folder: RunFolder, pace: Pace, views: Sequence[View]) -> None:
        self.task, self.pace, self.views = task, pace, views
        self.state = State(task, folder)

    @property
    def left(self) -> bool:
        """True until the last step has been made."""
        return self.state.step < self.pace.steps

    def begin(self) -> None:
        """Draw what is due before the first step."""
        if self.state.step == 0:
            self.state.draw(evaluates=False)

    def follow(self, terms: dict[str, Tensor]) -> None:
        """Record the terms of a step that was made, and do what is due after it."""
        state = self.state
        state.record(terms)
        logs, evaluates, saves = self.pace.at(state.step)
        pictures = state.draw(evaluates)
        if logs or evaluates:
            self._write_row(logs, evaluates, pictures)
        if saves:
            state.save()

    def interrupt(self) -> NoReturn:
        """Save and raise Interrupted."""
        self.state.save()
        raise Interrupted(f"interrupted at step {self.state.step}; the same command resumes it")

    def _write_row(self, logs: bool, evaluates: bool, pictures: dict[str, Path]) -> None:
        """Append the terms' means, the evaluation of the model as it stands, or both; and show them."""
        row: Row = self.state.means() if logs else {}
        if evaluates:
            ranks.check_equal(self.task)
            row |= self.state.evaluated(self.task.evaluate())
        self.state.write(row)
        if remark := self.task.remark(row):
            log.warning("step %d: %s", self.state.step, remark)
        for view in self.views:
            view.show({"step": self.state.step, **row}, pictures)


def assist(task: Task, pace: Pace) -> None:
    """Make the steps of a run whose folder rank 0 has, from where it stands there; none of one that is over.

    Raises Interrupted where one of the processes was stopped.
    """
    if not (state := ranks.first_state()):
        return
    task.load_state_dict(state["task"])
    with stop_signals() as stopping:
        for step in range(state["step"], pace.steps):
            if ranks.some(bool(stopping)):
                raise Interrupted
            ranks.step(task, step)
            _, evaluates, _ = pace.at(step + 1)
            if evaluates:
                ranks.check_equal(task)


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
