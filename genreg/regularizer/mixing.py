"""Labeled items mixed in pairs, with their targets: all of an input (mixup), or a rectangle (cutmix)."""

import math
from dataclasses import replace

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg import streams
from genreg.dataset import Batch
from genreg.parameters import STRICT, NonNegative, Share
from genreg.regularizer.base import Regularizer
from genreg.streams import Draw


@dataclass(config=STRICT, kw_only=True)
class Mixup(Regularizer):
    """Labeled items become l e_i + (1 - l) e_j, targets l y_i + (1 - l) y_j, where l ~ Beta(alpha, alpha).

    Zhang et al., arXiv:1710.09412, section 1: one l a batch, j a permutation of i.

    alpha: 1 draws l uniformly, small ones near 0 or 1; 0 mixes nothing.
    """

    alpha: NonNegative = 1.0

    replicas = ("alpha",)

    @property
    def idle(self) -> bool:
        return not self.alpha

    def batch(self, batch: Batch, draw: Draw) -> Batch:
        u = uniform(batch, 2, draw)
        share = symmetric_beta(batch.factor(self.alpha, u), u[:, :1], u[:, 1:])
        j = streams.permutation(len(batch.e), draw, batch.e.device)
        e, y = (
            batch.factor(share, t) * t + batch.factor(1 - share, t) * t[j]
            for t in (batch.e, batch.probabilities)
        )
        return replace(batch, e=e, y=y, mask=None if batch.mask is None else batch.mask | batch.mask[j])


@dataclass(config=STRICT, kw_only=True)
class CutMix(Regularizer):
    """A rectangle of each labeled picture (C, H, W) is another's, and so is the share of it in the target.

    Yun et al., arXiv:1905.04899; one rectangle a batch: sides sqrt(1 - l) H and sqrt(1 - l) W with
    l ~ Beta(alpha, alpha), its centre uniform, cut off at the border. Targets are mixed by the pixels that it
    covers, as in clovaai/CutMix-PyTorch. Raises InputError, before the first step, for inputs that are no
    pictures.

    alpha: of Beta(alpha, alpha); 1 draws areas uniformly, 0 mixes nothing.
    p: share of the batches that are mixed, from 0 to 1.
    """

    alpha: NonNegative = 1.0
    p: Share = 1.0

    reads = frozenset({"pictures"})
    replicas = ("alpha", "p")

    @property
    def idle(self) -> bool:
        return not (self.alpha and self.p)

    def batch(self, batch: Batch, draw: Draw) -> Batch:
        u = uniform(batch, 5, draw)
        own = symmetric_beta(batch.factor(self.alpha, u), u[:, :1], u[:, 1:2])
        side = (1 - own).sqrt() * (u[:, 4:] < batch.factor(self.p, u))
        height, width = batch.e.shape[2:]
        rows, columns = within(height, side, u[:, 2:3]), within(width, side, u[:, 3:4])
        cut = rows[:, None, :, None] & columns[:, None, None]  # (R, 1, H, W)
        j = streams.permutation(len(batch.e), draw, batch.e.device)
        share = cut.double().mean((1, 2, 3))
        items, y = cut.repeat_interleave(len(batch.e) // len(cut), 0), batch.probabilities
        mixed = batch.factor(1 - share, y) * y + batch.factor(share, y) * y[j]
        return replace(batch, e=torch.where(items, batch.e[j], batch.e), y=mixed)


def uniform(batch: Batch, n: int, draw: Draw) -> Tensor:
    """Numbers from 0 to 1 for each replica, (R, n), in float64."""
    return streams.uniform_like(batch.e.new_empty(n * batch.replicas, dtype=torch.float64), draw).view(-1, n)


def symmetric_beta(alpha: float | Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Beta(alpha, alpha) of two uniform numbers: (1 + t / sqrt(1 + t^2)) / 2, t by Bailey's method (1994)."""
    t = torch.expm1(-torch.log1p(-u) / alpha).sqrt() * torch.cos(2 * math.pi * v)
    return (1 + t.atan().sin()) / 2


def within(n: int, side: Tensor, u: Tensor) -> Tensor:
    """(R, n), true at the numbers below n in a stretch of `side` n about a uniform one; both are (R, 1)."""
    half = (n * side).floor().div(2, rounding_mode="floor")
    from_centre = torch.arange(n, device=u.device) - (n * u).floor()
    return (from_centre >= -half) & (from_centre < half)
