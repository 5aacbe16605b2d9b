"""A measure of one's own."""

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.loss import Loss
from genreg.measure import ClassifierMeasure, Estimate
from genreg.measure.base import SplitName, mean
from genreg.measure.prediction import predict
from genreg.model import Classifier
from genreg.parameters import STRICT, Count
from genreg.run.metric import Metric


@dataclass(config=STRICT, kw_only=True)
class Confidence(ClassifierMeasure):
    """The mean of the largest probability of each item."""

    metric = Metric("confidence")  # neither way is better: Metric("confidence", "min") would say so
    classes = True

    splits: list[SplitName]
    items: Count = 1000

    @torch.no_grad()
    def __call__(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Estimate:
        x, y = self.chosen(x, y)
        return mean(predict(model, x).softmax(1).amax(1))
