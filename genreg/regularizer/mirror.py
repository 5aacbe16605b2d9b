"""Random horizontal flips of pictures."""

from dataclasses import replace

import torch
from pydantic.dataclasses import dataclass

from genreg.dataset import Batch
from genreg.parameters import STRICT, Share
from genreg.regularizer.base import Regularizer


@dataclass(config=STRICT, kw_only=True)
class Mirror(Regularizer):
    """Each labeled picture (C, H, W) is flipped left to right with probability p, drawn for each item.

    Krizhevsky, Sutskever and Hinton (NIPS 2012), section 4.1. Only the labeled batch has a `batch` hook: the
    unlabeled pictures that consistency methods read are not flipped. Raises InputError, before the first
    step, for inputs that are no pictures.

    p: probability, from 0 to 1.
    """

    p: Share = 0.5

    reads = frozenset({"pictures"})

    @property
    def idle(self) -> bool:
        return not self.p

    def batch(self, batch: Batch, draw: torch.Generator) -> Batch:
        flipped = torch.rand(len(batch.e), 1, 1, 1, device=batch.e.device, generator=draw) < self.p
        return replace(batch, e=torch.where(flipped, batch.e.flip(3), batch.e))
