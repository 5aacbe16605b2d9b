"""Weight clipping."""

import torch
from pydantic.dataclasses import dataclass
from torch import nn

from genreg.parameters import STRICT, Positive
from genreg.regularizer.base import Regularizer


@dataclass(config=STRICT, kw_only=True)
class WeightClipping(Regularizer):
    """Every parameter is clipped to [-bound, bound] after each update.

    Arjovsky et al., "Wasserstein GAN", arXiv:1701.07875, Algorithm 1, line 7. The constraint is on single
    weights, so the Lipschitz constant that it allows depends on widths and depth.
    """

    bound: Positive = 0.01

    sets_norm = "projection"
    replicas = ("bound",)
    by_item = ()

    @torch.no_grad()
    def project(self, model: nn.Module) -> None:
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.clamp_(-self.bound, self.bound)
