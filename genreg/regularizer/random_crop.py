"""Random shifts of pictures by whole pixels."""

from dataclasses import replace

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.dataset import Batch
from genreg.parameters import STRICT, CountOrZero
from genreg.regularizer.base import Regularizer


@dataclass(config=STRICT, kw_only=True)
class RandomCrop(Regularizer):
    """Each labeled picture (C, H, W) is cut at random from itself with a reflected border of `pixels`.

    He et al., arXiv:1512.03385, section 4.2, whose border is zero. Only the labeled batch has a `batch` hook:
    the unlabeled pictures that consistency methods read are not shifted. Raises InputError, before the first
    step, for inputs that are no pictures.

    pixels: largest shift; those down and to the right are uniform among the whole numbers in
    [-pixels, pixels], drawn for each item.
    """

    pixels: CountOrZero = 4

    reads = frozenset({"pictures"})

    @property
    def idle(self) -> bool:
        return not self.pixels

    def batch(self, batch: Batch, draw: torch.Generator) -> Batch:
        e, size = batch.e, (2, len(batch.e), 1)
        shift = torch.randint(-self.pixels, self.pixels + 1, size, device=e.device, generator=draw)
        rows, columns = (reflected(by, n) for by, n in zip(shift, e.shape[2:], strict=True))
        items = torch.arange(len(e), device=e.device)[:, None, None]
        cut = e.permute(0, 2, 3, 1)[items, rows[:, :, None], columns[:, None]]
        return replace(batch, e=cut.permute(0, 3, 1, 2))  # channels_last, as convolutions like it


def reflected(shift: Tensor, n: int) -> Tensor:
    """Which of n pixels comes to each place (B, n) of a line moved by `shift` (B, 1) between two mirrors."""
    period = max(1, 2 * (n - 1))
    place = (torch.arange(n, device=shift.device) - shift) % period
    return torch.minimum(place, period - place)
