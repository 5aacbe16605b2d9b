"""Focal loss."""

from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.forward.classifier import ClassifierForward
from genreg.parameters import STRICT, NonNegative
from genreg.regularizer import Regularizer


@dataclass(config=STRICT, kw_only=True)
class FocalLoss(Regularizer):
    """The loss of each labeled item is multiplied by (1 - p_t)^gamma, p_t the probability of its class.

    Lin et al., arXiv:1708.02002, equation 4; the gradient also passes through the factor.
    """

    gamma: NonNegative = 2.0

    reads = frozenset({"classes"})

    def losses(self, forward: ClassifierForward, losses: Tensor) -> Tensor:
        others = (1 - forward.batch.probabilities) * forward.logits.softmax(1)
        return others.sum(1) ** self.gamma * losses  # the sum is 1 - p_t without cancellation
