"""The protocol of a logger, and the thread that keeps its failures and its waiting from the run."""

import logging
import sys
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, Protocol

from genreg.run.folder import Row, RunFolder
from genreg.run.identity import Config

log = logging.getLogger("genreg")

SOON = 5.0  # seconds that are waited for without a word
GRACE = 5.0  # seconds beyond its patience that a logger has to give up by itself


class View(Protocol):
    """Shows a run while it trains: a progress bar, W&B, TensorBoard."""

    def show(self, row: Row, pictures: dict[str, Path]) -> None:
        """Show one row, which has its `step`, and the pictures of this step by name."""


class Logger(Protocol):
    """A view in another program: `logger=NAME` while a run trains, `genreg sync --to NAME` afterwards.

    Its class is the `_target_` of configs/logger/NAME.yaml. One that inherits from this class writes `start`,
    `show`, `finish` and `clear`; one that does not has all members where it is to be used by `sync`. Whatever
    they raise is a warning, or the failure of that one run in `sync`. They are called in a thread of the
    logger's own, which a run waits for at its end only.
    """

    takes_files: bool = False
    """True if `add_files` does anything: else `genreg sync --artifacts` is refused."""

    agent_variable: str = ""
    """The environment variable of a program that starts runs and waits for the rows of each.

    If one was finished before, the logger is started and finished once more. A literal; empty for none."""

    patience: float = 20.0
    """Seconds that a run waits at its end for each call that is not over; then the logger is left."""

    def start(self, folder: RunFolder, config: Config) -> None:
        """Begin to show a run, or go on where an earlier start of it ended."""

    def show(self, row: Row, pictures: dict[str, Path]) -> None:
        """Show one row, as every `View`."""

    def finish(self, summary: Row) -> None:
        """End the run: done, failed or interrupted, with its best row. Called if `start` came back."""

    def clear(self, folder: RunFolder) -> None:
        """Remove what was shown of the run before: `sync` then shows every row."""

    @property
    def place(self) -> Row:
        """The place of the rows, such as a project: at another place `sync` shows a run once more."""
        return {}

    def covers(self, folder: RunFolder, before: Row, wanted: Row) -> bool:
        """True if the run needs not be shown again: `sync` says `unchanged`.

        before: `wanted` of the last time, {} if there was none. wanted: status of the run, size of its rows,
        whether `artifacts` go with them, and `place`. Raises where that cannot be found out.
        """
        more = {"artifacts": True}  # with them is more than without
        return all(before.get(key, ...) in (value, more.get(key, value)) for key, value in wanted.items())

    def add_files(self, folder: RunFolder) -> None:
        """Add the weights, pictures and configuration of the run."""

    def prepare(self) -> str:
        """Find out once, before many runs start, what each would wait for; a line for the user, or empty."""
        return ""

    @property
    def note(self) -> str:
        """The place of the record, and the next thing to do, in a line for the user; may be empty."""
        return ""

    def abandon(self) -> None:
        """Let go of all that the end of the process would wait for: a call has not come back in time."""


def lacking(logger: object) -> list[str]:
    """The members of the protocol that an object does not have."""
    return [name for name in dir(Logger) if not (name.startswith("_") or hasattr(logger, name))]


class LoggerThread:
    """Calls a logger in a thread of its own, one call after the other, and ends within its patience.

    After a failure only `finish` is still called. The thread is a daemon: no process waits for it.
    """

    def __init__(self, name: str, logger: Logger) -> None:
        self.name, self.logger = name, logger
        self.error: Exception | None = None
        self.calls: SimpleQueue[tuple[str, tuple[Any, ...]] | None] = SimpleQueue()
        self.answered, self.left = 0, False
        self.over = Event()  # Thread.join, once interrupted, takes a living thread for a dead one
        Thread(target=self._work, name=f"logger.{name}", daemon=True).start()

    def call(self, method: str, *arguments: Any) -> None:
        """Have a method called, later; this returns at once."""
        self.calls.put((method, arguments))

    def end(self) -> Exception | None:
        """Wait until all calls are answered, or one takes too long; the first error.

        KeyboardInterrupt ends the waiting too, and is raised once the logger is left.
        """
        self.calls.put(None)
        try:
            self.over.wait(SOON)
            patience = getattr(self.logger, "patience", Logger.patience)
            if not self.over.is_set():
                line = f"waiting for logger.{self.name}, at most {patience:g} s (Ctrl-C: no longer)"
                print(line, file=sys.stderr, flush=True)
            self._wait(patience + GRACE)
        except KeyboardInterrupt:
            self.error = self.error or TimeoutError("not waited for any longer (Ctrl-C)")
            raise
        finally:
            self.left = not self.over.is_set()
            if self.left:
                with suppress(Exception):
                    self.logger.abandon()
        return self.error

    def _wait(self, seconds: float) -> None:
        """Wait as long as a call is answered within so many seconds."""
        while not self.over.is_set():
            before = self.answered
            self.over.wait(seconds)
            if not self.over.is_set() and self.answered == before:
                self.error = self.error or TimeoutError(f"no answer within {seconds:g} s")
                return

    def _work(self) -> None:
        started = False
        while call := self.calls.get():
            method, arguments = call
            if self.error is None or (method == "finish" and started and not self.left):
                try:
                    getattr(self.logger, method)(*arguments)
                    started = True
                except Exception as error:
                    self.error = self.error or error
            self.answered += 1
        self.over.set()


class SafeLogger:
    """A logger whose failure is a warning, once: never the end of the run, and never its waiting for long."""

    def __init__(self, name: str, logger: Logger, quiet: bool = False) -> None:
        self.name, self.logger, self.quiet = name, logger, quiet

    def start(self, folder: RunFolder, config: Config) -> None:
        self.folder, self.thread = folder, LoggerThread(self.name, self.logger)
        self.thread.call("start", folder, config)

    def show(self, row: Row, pictures: dict[str, Path]) -> None:
        self.thread.call("show", row, pictures)

    def finish(self, summary: Row) -> None:
        """Wait for the logger, not beyond its patience nor beyond Ctrl-C, and say where the record is."""
        self.thread.call("finish", summary)
        with suppress(KeyboardInterrupt):  # the run is over: there is nothing else to interrupt
            self.thread.end()
        note = self._note()
        if error := self.thread.error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            later = note or f"`genreg sync {self.folder.path} --to {self.name}` shows it afterwards"
            log.warning("logger.%s stopped (the run folder is complete): %s; %s", self.name, reason, later)
        elif note and not self.quiet:
            log.info("logger.%s: %s", self.name, note)

    def _note(self) -> str:
        with suppress(Exception):  # of a logger that has failed, or has none
            return self.logger.note
        return ""
