"""Random changes of pictures that keep their label: mirror, crop, affine."""

from dataclasses import replace
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg import streams
from genreg.dataset import Batch
from genreg.parameters import STRICT, CountOrZero, Fraction, Neutral, NonNegative, Share
from genreg.regularizer.base import Regularizer
from genreg.streams import Draw


@dataclass(config=STRICT, kw_only=True)
class Mirror(Regularizer):
    """Each labeled picture (C, H, W) is flipped left to right with probability p, drawn for each item.

    Krizhevsky, Sutskever and Hinton (NIPS 2012), section 4.1. Raises InputError, before the first step, for
    inputs that are no pictures.

    p: probability, from 0 to 1.
    unlabeled: the unlabeled pictures that consistency methods read are flipped too, others of them.
    """

    p: Share = 0.5
    unlabeled: Annotated[bool, Neutral(False)] = False

    reads = frozenset({"pictures"})
    replicas = ("p",)
    by_item = ()

    @property
    def idle(self) -> bool:
        return not self.p

    def batch(self, batch: Batch, draw: Draw) -> Batch:
        flipped = streams.uniform_of_items(batch.e, draw) < batch.factor(self.p, batch.e)
        return replace(batch, e=torch.where(flipped, batch.e.flip(3), batch.e))


@dataclass(config=STRICT, kw_only=True)
class RandomCrop(Regularizer):
    """Each labeled picture (C, H, W) is cut at random from itself with a reflected border of `pixels`.

    He et al., arXiv:1512.03385, section 4.2, whose border is zero. Raises InputError, before the first step,
    for inputs that are no pictures.

    pixels: largest shift; those down and to the right are uniform among the whole numbers in
    [-pixels, pixels], drawn for each item.
    unlabeled: the unlabeled pictures that consistency methods read are moved too, by other numbers.
    """

    pixels: CountOrZero = 4
    unlabeled: Annotated[bool, Neutral(False)] = False

    reads = frozenset({"pictures"})
    replicas = ()

    @property
    def idle(self) -> bool:
        return not self.pixels

    def batch(self, batch: Batch, draw: Draw) -> Batch:
        e = batch.e
        shift = streams.integer_rows(2, -self.pixels, self.pixels + 1, e, draw)[..., None]
        rows, columns = (reflected(by, n) for by, n in zip(shift, e.shape[2:], strict=True))
        items = torch.arange(len(e), device=e.device)[:, None, None]
        cut = e.permute(0, 2, 3, 1)[items, rows[:, :, None], columns[:, None]]
        return replace(batch, e=cut.permute(0, 3, 1, 2))  # channels_last, as convolutions like it


def reflected(shift: Tensor, n: int) -> Tensor:
    """The index (B, n) of the pixel at each place of a line moved by `shift` (B, 1) between two mirrors."""
    period = max(1, 2 * (n - 1))
    place = (torch.arange(n, device=shift.device) - shift) % period
    return torch.minimum(place, period - place)


@dataclass(config=STRICT, kw_only=True)
class RandomAffine(Regularizer):
    """Each labeled picture is moved and scaled at random; bilinear, its border goes on outside of it.

    Simard, Steinkraus and Platt, "Best practices for convolutional neural networks applied to visual document
    analysis" (ICDAR 2003): affine distortions. Raises InputError for inputs that are no pictures.

    translate: largest shift in pixels; each of both is uniform in [-translate, translate].
    scale: the factor is uniform in [1 - scale, 1 + scale], about the centre; from 0 to below 1.
    unlabeled: the unlabeled pictures that consistency methods read are moved too, by other numbers.
    """

    translate: NonNegative = 1.0
    scale: Fraction = 0.1
    unlabeled: Annotated[bool, Neutral(False)] = False

    reads = frozenset({"pictures"})
    replicas = ("translate", "scale")

    @property
    def idle(self) -> bool:
        return not (self.translate or self.scale)

    def batch(self, batch: Batch, draw: Draw) -> Batch:
        u = streams.uniform_rows(3, batch.e, draw) * 2 - 1
        translate, scale = (batch.factor(number, u[0]) for number in (self.translate, self.scale))
        return replace(batch, e=moved(batch.e, translate * u[:2], 1 + scale * u[2]))


def moved(e: Tensor, shift: Tensor, factor: Tensor) -> Tensor:
    """Pictures (B, C, H, W) magnified by `factor` (B,), then moved right and down by `shift` (2, B)."""
    height, width = e.shape[2:]
    x, y = -2 * shift[0] / (width * factor), -2 * shift[1] / (height * factor)
    zero = torch.zeros_like(factor)
    theta = torch.stack((1 / factor, zero, x, zero, 1 / factor, y), 1).view(-1, 2, 3)
    grid = F.affine_grid(theta, list(e.shape), align_corners=False)
    return F.grid_sample(e, grid, mode="bilinear", padding_mode="border", align_corners=False)
