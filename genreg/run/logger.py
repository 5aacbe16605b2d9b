"""The protocol of a logger, and the guard that keeps its failure from the run."""

import logging
from pathlib import Path
from typing import Any, Protocol

from genreg.run.folder import Row, RunFolder
from genreg.run.identity import Config

log = logging.getLogger("genreg")


class View(Protocol):
    """Shows a run while it trains: a progress bar, W&B, TensorBoard."""

    def show(self, row: Row, pictures: dict[str, Path]) -> None:
        """Show one row, which has its `step`, and the pictures of this step by name."""


class Logger(Protocol):
    """A view in another program: `logger=NAME` while a run trains, `genreg sync --to NAME` afterwards.

    Its class is the `_target_` of configs/logger/NAME.yaml. One that inherits from this class writes `start`,
    `show`, `finish` and `clear`; one that does not has all members where it is to be used by `sync`. Whatever
    they raise is a warning, or the failure of that one run in `sync`.
    """

    takes_files: bool = False
    """True if `add_files` does anything: else `genreg sync --artifacts` is refused."""

    def start(self, folder: RunFolder, config: Config) -> None:
        """Begin to show a run, or go on where an earlier start of it ended."""

    def show(self, row: Row, pictures: dict[str, Path]) -> None:
        """Show one row, as every `View`."""

    def finish(self, summary: Row) -> None:
        """End the run: done, failed or interrupted, with its best row."""

    def clear(self, folder: RunFolder) -> None:
        """Remove what was shown of the run before: `sync` then shows every row."""

    @property
    def place(self) -> Row:
        """The place of the rows, such as a project: at another place `sync` shows a run once more."""
        return {}

    def add_files(self, folder: RunFolder) -> None:
        """Add the weights, pictures and configuration of the run."""

    @property
    def note(self) -> str:
        """The next thing to do after `sync`, for the user; empty if there is none."""
        return ""


def lacking(logger: object) -> list[str]:
    """The members of the protocol that an object does not have."""
    return [name for name in dir(Logger) if not (name.startswith("_") or hasattr(logger, name))]


class SafeLogger:
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
