"""TensorBoard."""

import time
from pathlib import Path
from socket import gethostname
from typing import Any

import numpy as np
from PIL import Image

from genreg.run.folder import Row, RunFolder
from genreg.run.identity import Config
from genreg.run.logger import Logger


class TensorBoard(Logger):
    """Rows as event files in the run folder's `tensorboard/`, for `tensorboard --logdir outputs`.

    A resumed run writes the rows since its checkpoint again, at the same steps. Each row is on the disk when
    `show` returns. The SummaryWriter of tensorboardX is not used: it writes in a thread, which dies of a full
    disk and is then waited for without an end.
    """

    def __init__(self) -> None:
        self.records: Any = None

    def start(self, folder: RunFolder, config: Config) -> None:
        from tensorboardX.record_writer import RecordWriter

        path = folder.path / "tensorboard"
        path.mkdir(exist_ok=True)
        self.records = RecordWriter(str(path / f"events.out.tfevents.{time.time_ns()}.{gethostname()}"))
        self._write(file_version="brain.Event:2")

    def clear(self, folder: RunFolder) -> None:
        """Remove what was shown before: of a step written twice, TensorBoard would show both."""
        place = folder.path / "tensorboard"
        for path in place.iterdir() if place.is_dir() else ():  # glob sees nothing where it may not look
            if path.name.startswith("events.out.tfevents."):
                path.unlink()

    def show(self, row: Row, pictures: dict[str, Path]) -> None:
        from tensorboardX.summary import image, scalar

        for name, value in row.items():
            if name != "step" and not isinstance(value, str):
                self._write(step=row["step"], summary=scalar(name, value))
        for name, path in pictures.items():
            picture = image(name, np.asarray(Image.open(path)), dataformats="HWC")
            self._write(step=row["step"], summary=picture)
        self.records.flush()

    def finish(self, summary: Row) -> None:
        self.records.close()

    def _write(self, **event: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self.records.write(Event(wall_time=time.time(), **event).SerializeToString())
