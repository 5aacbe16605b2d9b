"""Squared length of the parameters."""

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.forward.base import Forward
from genreg.parameters import STRICT
from genreg.regularizer.base import Regularizer, Weight


@dataclass(config=STRICT, kw_only=True)
class L2(Regularizer):
    """Half the squared l2 norm of all trainable parameters.

    Under plain gradient descent `weight` is `optimizer.weight_decay`; under Adam it is the coupled form
    that AdamW replaces (Loshchilov and Hutter, arXiv:1711.05101, Algorithm 2, line 6).
    """

    weight: Weight = 1e-4

    def penalty(self, forward: Forward) -> Tensor:
        return 0.5 * torch.stack([p.square().sum() for p in forward.parameters]).sum()
