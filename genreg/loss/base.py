"""The seam of every loss."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from torch import Tensor

from genreg.dataset.base import Batch
from genreg.run.metric import Metric

Reduction = Literal["none", "mean", "sum"]


class Loss(ABC):
    """Compares outputs (B, k) with a batch's targets, item by item.

    name: of its term in logs and tables. replicas: a literal that says that runs with it may be trained as
    one program, since it averages by `batch.mean`; None: each run is a program of its own. by_item: a literal
    that says that processes may share a batch, since each item's loss is its own.
    """

    name: ClassVar[str]
    replicas: ClassVar[tuple[str, ...] | None] = None
    by_item: ClassVar[tuple[str, ...] | None] = None

    @abstractmethod
    def __call__(self, outputs: Tensor, batch: Batch, reduction: Reduction = "none") -> Tensor:
        """The loss of each item, (B,), or their mean or sum, in one kernel where there is one."""

    def against(self, outputs: Tensor, y: Tensor, reduction: Reduction = "mean") -> Tensor:
        """The same for bare targets, as torch's functional losses are called."""
        return self(outputs, Batch(outputs, y), reduction)

    @abstractmethod
    def check(self, classes: int) -> None:
        """Raise InputError where it cannot compare targets of so many classes (0: real targets)."""

    @abstractmethod
    def metrics(self, classes: int) -> tuple[Metric, ...]:
        """The metrics of an evaluation; the first chooses the step, on validation, and makes the gap."""

    @abstractmethod
    def items(self, outputs: Tensor, y: Tensor) -> dict[str, Tensor]:
        """The value of each metric for each item, (N,), from the targets of a split."""
