"""Penalty on the slope of the loss in the input."""

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.forward.classifier import ClassifierForward
from genreg.parameters import STRICT
from genreg.regularizer.base import Regularizer, Weight


@dataclass(config=STRICT, kw_only=True)
class LossGradientPenalty(Regularizer):
    """Mean over labeled items of |grad_e l|_2^2, l the loss of one item and e its embedding.

    Drucker and LeCun, "Double backpropagation increasing generalization performance" (1991); kexue.fm archive
    7466: adversarial training with epsilon proportional to the gradient, to first order. The value is that of
    `GradientPenalty` with target 0. Batch normalization keeps the statistics of the batch as it is.
    """

    weight: Weight = 0.1

    reads = frozenset({"labeled"})
    replicas = ("weight",)
    by_item = ()

    def penalty(self, forward: ClassifierForward) -> Tensor:
        e = forward.points.detach().requires_grad_()
        (g,) = torch.autograd.grad(forward.score(e).sum(), e, create_graph=True)
        return forward.mean(g.square().flatten(1).sum(1))
