"""Who is shown a run's rows while it goes on; losing one loses nothing."""

import logging
from pathlib import Path
from typing import Any, Protocol

from genreg.run.folder import Row, RunFolder
from genreg.run.identity import Config

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
