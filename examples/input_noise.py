"""Gaussian noise on inputs."""

from dataclasses import replace

import torch
from pydantic.dataclasses import dataclass

from genreg.dataset import Batch
from genreg.parameters import STRICT, Count, NonNegative
from genreg.regularizer import Regularizer


@dataclass(config=STRICT, kw_only=True)
class InputNoise(Regularizer):
    """The labeled loss is the mean over `samples` copies of the batch, each at e + sigma n, n ~ N(0, I).

    Bishop, "Training with noise is equivalent to Tikhonov regularization" (Neural Computation, 1995).

    sigma: standard deviation in units of `embed(x)`; 0 leaves the batch as it is. Padding has no noise.
    """

    sigma: NonNegative = 0.1
    samples: Count = 1

    def batch(self, batch: Batch, draw: torch.Generator) -> Batch:
        if not self.sigma:
            return batch
        index = torch.arange(len(batch.e), device=batch.e.device).repeat(self.samples)
        e, mask = batch.e[index], None if batch.mask is None else batch.mask[index]
        noise = torch.randn(e.shape, generator=draw, device=e.device, dtype=e.dtype)
        if mask is not None:
            noise = noise * mask[..., None]
        return replace(batch, e=e + self.sigma * noise, y=batch.y[index], mask=mask)
