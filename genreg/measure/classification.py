"""How well a classifier predicts."""

import torch
from torch import Tensor

from genreg.measure.estimate import Estimate, mean
from genreg.model.base import Classifier
from genreg.model.unchanged import evaluation_mode

CHUNK = 2048  # items evaluated at a time
TEXTS = 256  # that are evaluated at a time


@torch.no_grad()
def predict(model: Classifier, x: Tensor) -> Tensor:
    """Logits of every item in evaluation mode, (N, classes)."""
    with evaluation_mode(model):
        if x.is_floating_point():
            return torch.cat([model(chunk) for chunk in x.split(CHUNK)])
        chunks = by_length(model, x)
        logits, order = torch.cat([model(model.trimmed(x[index])) for index in chunks]), torch.cat(chunks)
        return torch.empty_like(logits).index_copy_(0, order, logits)


def by_length(model: Classifier, x: Tensor) -> tuple[Tensor, ...]:
    """Indices of texts x (N, T), `TEXTS` at a time, those of like length together: less padding."""
    mask = model.mask(x)
    length = mask.sum(1) if mask is not None else x.new_full((len(x),), x.shape[1])
    chunks: tuple[Tensor, ...] = length.argsort(stable=True).split(TEXTS)
    return chunks


def accuracy(logits: Tensor, y: Tensor) -> Estimate:
    """Share of items whose largest logit is their class, from 0 to 1."""
    return mean((logits.argmax(1) == y).float())


def cross_entropy(logits: Tensor, y: Tensor) -> Estimate:
    """Mean negative log likelihood of the class, in nats."""
    return mean(torch.nn.functional.cross_entropy(logits, y, reduction="none"))
