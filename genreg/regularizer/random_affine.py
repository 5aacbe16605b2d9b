"""Random translation and scaling of pictures."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.dataset import Batch
from genreg.parameters import STRICT, Fraction, NonNegative
from genreg.regularizer.base import Regularizer


@dataclass(config=STRICT, kw_only=True)
class RandomAffine(Regularizer):
    """Each labeled picture is moved and scaled at random; bilinear, its border goes on outside of it.

    Simard, Steinkraus and Platt, "Best practices for convolutional neural networks applied to visual document
    analysis" (ICDAR 2003): affine distortions. Raises InputError for inputs that are no pictures.

    translate: largest shift in pixels; each of both is uniform in [-translate, translate].
    scale: the factor is uniform in [1 - scale, 1 + scale], about the centre; from 0 to below 1.
    """

    translate: NonNegative = 1.0
    scale: Fraction = 0.1

    reads = frozenset({"pictures"})

    @property
    def idle(self) -> bool:
        return not (self.translate or self.scale)

    def batch(self, batch: Batch, draw: torch.Generator) -> Batch:
        u = torch.rand(3, len(batch.e), dtype=batch.e.dtype, device=batch.e.device, generator=draw) * 2 - 1
        return replace(batch, e=moved(batch.e, self.translate * u[:2], 1 + self.scale * u[2]))


def moved(e: Tensor, shift: Tensor, factor: Tensor) -> Tensor:
    """Pictures (B, C, H, W) magnified by `factor` (B,), then moved right and down by `shift` (2, B)."""
    height, width = e.shape[2:]
    x, y = -2 * shift[0] / (width * factor), -2 * shift[1] / (height * factor)
    zero = torch.zeros_like(factor)
    theta = torch.stack((1 / factor, zero, x, zero, 1 / factor, y), 1).view(-1, 2, 3)
    grid = F.affine_grid(theta, list(e.shape), align_corners=False)
    return F.grid_sample(e, grid, mode="bilinear", padding_mode="border", align_corners=False)
