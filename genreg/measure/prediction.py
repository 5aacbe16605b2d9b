"""What predictions are worth beside their class, as options of `measure=`."""

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.loss import Loss
from genreg.measure.base import ItemsMeasure
from genreg.measure.classification import predict
from genreg.measure.estimate import Estimate, mean
from genreg.model.base import Classifier
from genreg.parameters import STRICT, Count
from genreg.run.metric import Metric


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
class CalibrationError(ItemsMeasure):
    """`calibration_error` of the predicted probabilities."""

    metric = Metric("calibration_error", "min", "%")
    classes = True

    bins: Count = 15

    def __call__(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Estimate:
        x, y = self.chosen(x, y)
        return calibration_error(predict(model, x).softmax(1), y, self.bins)


@dataclass(config=STRICT, kw_only=True)
class Brier(ItemsMeasure):
    """`brier` score of the predicted probabilities."""

    metric = Metric("brier", "min")
    classes = True

    def __call__(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Estimate:
        x, y = self.chosen(x, y)
        return brier(predict(model, x).softmax(1), y)


@dataclass(config=STRICT, kw_only=True)
class Margin(ItemsMeasure):
    """`margin` of the logits.

    An item's own, over sqrt(2) times a Lipschitz bound, is a radius in which its class does not change
    (Tsuzuku et al., arXiv:1802.04034, proposition 1).
    """

    metric = Metric("margin", "max")
    classes = True

    def __call__(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Estimate:
        x, y = self.chosen(x, y)
        return margin(predict(model, x), y)
