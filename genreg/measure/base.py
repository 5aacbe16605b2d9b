"""The seam of every measure of a classifier."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from genreg.loss import Loss
from genreg.measure.estimate import Estimate
from genreg.model.base import Classifier
from genreg.run.metric import Metric


class ClassifierMeasure(ABC):
    """One number of a classifier on the items of a split, with its standard error.

    It leaves the model as it found it, also when it raises. metric: what the number is. classes: whether it
    needs predictions of classes. splits: whose items it reads.
    """

    of: ClassVar[str] = "a classifier"
    metric: ClassVar[Metric]
    classes: ClassVar[bool] = False
    splits: Sequence[str] = ("validation", "test")

    @abstractmethod
    def __call__(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Estimate:
        """Of the given loss, where it is about one; cross-entropy by default."""
