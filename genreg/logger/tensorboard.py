"""TensorBoard."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from genreg.run.folder import Row, RunFolder
from genreg.run.identity import Config
from genreg.run.logger import Logger


class TensorBoard(Logger):
    """Rows as event files in the run folder's `tensorboard/`, for `tensorboard --logdir outputs`.

    A resumed run writes the rows since its checkpoint again, at the same steps.
    """

    def __init__(self) -> None:
        self.writer: Any = None

    def start(self, folder: RunFolder, config: Config) -> None:
        from tensorboardX import SummaryWriter

        self.writer = SummaryWriter(str(folder.path / "tensorboard"))

    def clear(self, folder: RunFolder) -> None:
        """Remove what was shown before: of a step written twice, TensorBoard would show both."""
        for path in (folder.path / "tensorboard").glob("events.out.tfevents.*"):
            path.unlink()

    def show(self, row: Row, pictures: dict[str, Path]) -> None:
        for name, value in row.items():
            if name != "step" and not isinstance(value, str):
                self.writer.add_scalar(name, value, row["step"])
        for name, path in pictures.items():
            self.writer.add_image(name, np.asarray(Image.open(path)), row["step"], dataformats="HWC")
        self.writer.flush()

    def finish(self, summary: Row) -> None:
        self.writer.close()
