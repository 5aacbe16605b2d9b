"""The seam of every measure of a classifier."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.dataset.draw import chosen
from genreg.loss import Loss
from genreg.measure.estimate import Estimate
from genreg.model.base import Classifier
from genreg.parameters import STRICT, Count
from genreg.run.metric import Metric

SplitName = Literal["labeled", "validation", "test"]


class ClassifierMeasure(ABC):
    """One number of a classifier on the items of a split, with its standard error.

    It leaves the model as it found it, also when it raises. metric: what the number is. classes: whether it
    needs predictions of classes. splits: whose items it reads. least: how many of a split it is defined for.
    """

    of: ClassVar[str] = "a classifier"
    metric: ClassVar[Metric]
    classes: ClassVar[bool] = False
    least: ClassVar[int] = 1
    splits: Sequence[str] = ("validation", "test")

    @abstractmethod
    def __call__(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Estimate:
        """Measure the model, by the given loss where one matters; cross-entropy by default."""

    def check(self, model: Classifier, x: Tensor) -> None:  # noqa: B027
        """Raise InputError for a model that it cannot measure, before the first step; x: some inputs."""


@dataclass(config=STRICT, kw_only=True)
class ItemsMeasure(ClassifierMeasure):
    """A measure of single items, in evaluation mode: of which splits, and of how many items of each.

    items: drawn, the same at every evaluation, where a split has more.
    """

    splits: list[SplitName]
    items: Count = 1000

    def chosen(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The items that are read."""
        return chosen(self.items, x), chosen(self.items, y)
