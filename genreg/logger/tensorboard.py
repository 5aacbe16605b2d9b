"""TensorBoard."""

from typing import Any

from genreg.identity import Config
from genreg.records import Row, RunFolder


class TensorBoard:
    """Rows as event files in the run folder's `tensorboard/`, for `tensorboard --logdir outputs`.

    A resumed run writes the rows since its checkpoint again, at the same steps.
    """

    def __init__(self) -> None:
        self.writer: Any = None

    def start(self, folder: RunFolder, config: Config) -> None:
        from tensorboardX import SummaryWriter

        self.writer = SummaryWriter(str(folder.path / "tensorboard"))

    def show(self, row: Row) -> None:
        for name, value in row.items():
            if name != "step":
                self.writer.add_scalar(name, value, row["step"])
        self.writer.flush()

    def finish(self, summary: Row) -> None:
        self.writer.close()
