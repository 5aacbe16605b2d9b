"""Accuracy, margin, calibration and Brier score of a classifier's predictions."""

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.loss import Loss
from genreg.measure.base import ClassifierMeasure, Estimate, SplitName, mean
from genreg.model.base import Classifier
from genreg.model.passes import evaluation_mode
from genreg.parameters import STRICT, Count
from genreg.run.metric import Metric

CHUNK = 2048  # items evaluated at a time
TEXTS = 256  # that are evaluated at a time


@torch.no_grad()
def predict(model: Classifier, x: Tensor) -> Tensor:
    """Logits of every item in evaluation mode, (N, classes)."""
    with evaluation_mode(model):
        if x.is_floating_point():
            return torch.cat([model(chunk) for chunk in x.split(CHUNK)])
        chunks = by_length(x, model.mask(x))
        logits, order = torch.cat([model(model.trimmed(x[index])) for index in chunks]), torch.cat(chunks)
        return torch.empty_like(logits).index_copy_(0, order, logits)


def by_length(x: Tensor, mask: Tensor | None) -> tuple[Tensor, ...]:
    """Indices of texts x (N, T), `TEXTS` at a time, those of like length together: less padding."""
    length = mask.sum(1) if mask is not None else x.new_full((len(x),), x.shape[1])
    chunks: tuple[Tensor, ...] = length.argsort(stable=True).split(TEXTS)
    return chunks


def accuracy(logits: Tensor, y: Tensor) -> Estimate:
    """Share of items whose largest logit is their class, from 0 to 1."""
    return mean((logits.argmax(1) == y).float())


def cross_entropy(logits: Tensor, y: Tensor) -> Estimate:
    """Mean negative log likelihood of the class, in nats."""
    return mean(torch.nn.functional.cross_entropy(logits, y, reduction="none"))


def calibration_error(p: Tensor, y: Tensor, bins: int) -> Estimate:
    """Expected calibration error: mean over items of |accuracy - confidence| of the item's bin.

    Guo et al., arXiv:1706.04599, equation 3: bins of equal width ((k-1) / bins, k / bins] of the largest
    probability. p: (N, classes), y: (N,). The standard error holds the sign of each bin's gap, and is over
    items; where few items fall into a bin the value is too large, not only uncertain.
    """
    confidence, predicted = p.double().max(1)
    gap = (predicted == y).double() - confidence
    bin_of = ((confidence * bins).ceil().long() - 1).clamp(0, bins - 1)
    sums = torch.zeros(bins, dtype=torch.float64, device=p.device).index_add_(0, bin_of, gap)
    return mean(gap * sums.sign()[bin_of])


def brier(p: Tensor, y: Tensor) -> Estimate:
    """Mean of sum_c (p_c - 1[c = y])^2, from 0 to 2 (Brier, 1950, equation 2)."""
    truth = torch.nn.functional.one_hot(y, p.shape[1])
    return mean((p.double() - truth).square().sum(1))


def margin(logits: Tensor, y: Tensor) -> Estimate:
    """Mean of z_y - max over c != y of z_c, negative where an item is wrong."""
    own = logits.gather(1, y[:, None])
    others = logits.scatter(1, y[:, None], -torch.inf)
    return mean(own[:, 0] - others.amax(1))


@dataclass(config=STRICT, kw_only=True)
class CalibrationError(ClassifierMeasure):
    """`calibration_error` of the predicted probabilities."""

    metric = Metric("calibration_error", "min", "%")
    classes = True

    splits: list[SplitName]
    items: Count = 1000
    bins: Count = 15

    def __call__(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Estimate:
        x, y = self.chosen(x, y)
        return calibration_error(predict(model, x).softmax(1), y, self.bins)


@dataclass(config=STRICT, kw_only=True)
class Brier(ClassifierMeasure):
    """`brier` score of the predicted probabilities."""

    metric = Metric("brier", "min")
    classes = True

    splits: list[SplitName]
    items: Count = 1000

    def __call__(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Estimate:
        x, y = self.chosen(x, y)
        return brier(predict(model, x).softmax(1), y)


@dataclass(config=STRICT, kw_only=True)
class Margin(ClassifierMeasure):
    """`margin` of the logits.

    An item's own, over sqrt(2) times a Lipschitz bound, is a radius in which its class does not change
    (Tsuzuku et al., arXiv:1802.04034, proposition 1).
    """

    metric = Metric("margin", "max")
    classes = True

    splits: list[SplitName]
    items: Count = 1000

    def __call__(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Estimate:
        x, y = self.chosen(x, y)
        return margin(predict(model, x), y)
