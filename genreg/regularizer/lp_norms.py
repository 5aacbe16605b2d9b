"""Penalties on the size of all weights: l1 and l2."""

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.forward.base import Forward
from genreg.parameters import STRICT
from genreg.regularizer.base import Regularizer, Weight
from genreg.regularizer.matrices import trained_matrices


@dataclass(config=STRICT, kw_only=True)
class L1(Regularizer):
    """Sum of |w| over the weights of all trained linear layers, biases and normalizations apart.

    Tibshirani, "Regression shrinkage and selection via the lasso" (1996). At w = 0 its gradient is 0, so that
    weights gather around zero without being it.
    """

    weight: Weight = 1e-5

    replicas = ("weight",)
    of_weights = True
    by_item = ()

    def penalty(self, forward: Forward) -> Tensor:
        return torch.stack([matrix.abs().sum() for matrix in trained_matrices(forward.model)]).sum()


@dataclass(config=STRICT, kw_only=True)
class L2(Regularizer):
    """Half the squared l2 norm of all trainable parameters.

    Under plain gradient descent `weight` is `optimizer.weight_decay`; under Adam it is the coupled form
    that AdamW replaces (Loshchilov and Hutter, arXiv:1711.05101, Algorithm 2, line 6).
    """

    weight: Weight = 1e-4

    replicas = ("weight",)
    of_weights = True
    by_item = ()

    def penalty(self, forward: Forward) -> Tensor:
        return 0.5 * torch.stack([p.square().sum() for p in forward.parameters]).sum()
