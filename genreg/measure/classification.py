"""How well a classifier predicts."""

import torch
from torch import Tensor

from genreg.measure.estimate import Estimate, mean
from genreg.model.base import Classifier
from genreg.model.unchanged import evaluation_mode

CHUNK = 2048  # items evaluated at a time


@torch.no_grad()
def predict(model: Classifier, x: Tensor) -> Tensor:
    """Logits of every item in evaluation mode, (N, classes)."""
    with evaluation_mode(model):
        return torch.cat([model(chunk) for chunk in x.split(CHUNK)])


def accuracy(logits: Tensor, y: Tensor) -> Estimate:
    """Share of items whose largest logit is their class, from 0 to 1."""
    return mean((logits.argmax(1) == y).float())


def cross_entropy(logits: Tensor, y: Tensor) -> Estimate:
    """Mean negative log likelihood of the class, in nats."""
    return mean(torch.nn.functional.cross_entropy(logits, y, reduction="none"))
