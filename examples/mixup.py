"""mixup."""

import math
from dataclasses import replace

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.dataset import Batch
from genreg.parameters import STRICT, NonNegative
from genreg.regularizer import Regularizer


@dataclass(config=STRICT, kw_only=True)
class Mixup(Regularizer):
    """Labeled items become l e_i + (1 - l) e_j, targets l y_i + (1 - l) y_j, where l ~ Beta(alpha, alpha).

    Zhang et al., arXiv:1710.09412, section 1: one l a batch, j a permutation of i. alpha 0 mixes nothing.
    """

    alpha: NonNegative = 1.0

    def batch(self, batch: Batch, draw: torch.Generator) -> Batch:
        if not self.alpha:
            return batch
        share = symmetric_beta(self.alpha, draw)
        j = torch.randperm(len(batch.e), generator=draw, device=batch.e.device)
        e, y = (share * t + (1 - share) * t[j] for t in (batch.e, batch.probabilities))
        return replace(batch, e=e, y=y, mask=None if batch.mask is None else batch.mask | batch.mask[j])


def symmetric_beta(alpha: float, draw: torch.Generator) -> Tensor:
    """A draw of Beta(alpha, alpha): (1 + t / sqrt(1 + t^2)) / 2, Student's t by Bailey's method (1994)."""
    u, v = torch.rand(2, generator=draw, device=draw.device, dtype=torch.float64)
    t = torch.expm1(-torch.log1p(-u) / alpha).sqrt() * torch.cos(2 * math.pi * v)
    return (1 + t.atan().sin()) / 2
