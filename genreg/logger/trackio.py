"""Trackio."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from genreg.errors import extra
from genreg.parameters import checked
from genreg.run.folder import Row, RunFolder
from genreg.run.identity import Config, experiment_name, hash_in, methods
from genreg.run.logger import Logger


class Trackio(Logger):
    """Rows and configuration as a run of Trackio, for `trackio show`: on this machine, without an account.

    project: what the runs are listed under; None: TRACKIO_PROJECT, else genreg. A resumed run goes on in its
    own run of Trackio, after the last step that is there.
    """

    @checked
    def __init__(self, *, project: str | None = None) -> None:
        self.project = project or os.environ.get("TRACKIO_PROJECT") or "genreg"
        self.run: Any = None

    def start(self, folder: RunFolder, config: Config) -> None:
        trackio = _trackio()
        from trackio.sqlite_storage import SQLiteStorage

        name = _name(folder, config)
        last = SQLiteStorage.get_last_step(self.project, name)
        self.next = 0 if last is None else last + 1
        self.run = trackio.init(
            project=self.project, name=name, group=name.rpartition(" ")[0], resume="allow",
            config={**config, "method": methods(config)},
            embed=False, auto_log_gpu=False, auto_log_cpu=False,
        )  # fmt: skip

    def clear(self, folder: RunFolder) -> None:
        name = _name(folder, folder.config())
        with suppress(ValueError):  # there is no such project yet
            for run in _trackio().Api().runs(self.project):
                if run.name == name:
                    run.delete()

    def show(self, row: Row, pictures: dict[str, Path]) -> None:
        if row["step"] >= self.next:
            images = {name: _trackio().Image(str(path)) for name, path in pictures.items()}
            values = {key: value for key, value in row.items() if key != "step"}  # a word of its own there
            self.run.log({**values, **images}, step=row["step"])
            self.next = row["step"] + 1

    def finish(self, summary: Row) -> None:
        self.run.finish()

    @property
    def place(self) -> Row:
        return {"project": self.project, "folder": os.environ.get("TRACKIO_DIR")}

    @property
    def note(self) -> str:
        return f"`trackio show --project {self.project}` shows it"


def _trackio() -> Any:
    try:
        import trackio
    except ImportError as error:
        raise ImportError(f"Trackio is missing: {extra('trackio')}") from error
    return trackio


def _name(folder: RunFolder, config: Config) -> str:
    return f"{experiment_name(config)}-{hash_in(folder.path, config)} seed={config['seed']}"
