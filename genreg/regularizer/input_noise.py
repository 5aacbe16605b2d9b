"""Noise on labeled inputs."""

from dataclasses import replace
from typing import Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg import streams
from genreg.dataset import Batch
from genreg.forward.perturbation import signs
from genreg.parameters import STRICT, Count, NonNegative
from genreg.regularizer.base import Regularizer

Mode = Literal["additive", "multiplicative"]
Distribution = Literal["gaussian", "uniform", "bernoulli"]


@dataclass(config=STRICT, kw_only=True)
class InputNoise(Regularizer):
    """The labeled loss is the mean over `samples` copies of the batch, each with noise of its own.

    Bishop, "Training with noise is equivalent to Tikhonov regularization" (Neural Computation, 1995):
    additive noise of small sigma adds sigma^2 / 2 times the Laplacian of the loss, `laplacian_penalty`.

    sigma: standard deviation of n; additive noise, e + n, is in units of `embed(x)`.
    distribution: of n, with mean 0: `gaussian`, `uniform` in +- sqrt(3) sigma, `bernoulli` +sigma or -sigma.
    mode: `multiplicative` is e (1 + n), of which bernoulli with sigma 1 drops half of the inputs.
    """

    sigma: NonNegative = 0.1
    distribution: Distribution = "gaussian"
    mode: Mode = "additive"
    samples: Count = 1

    @property
    def idle(self) -> bool:
        return not self.sigma

    def batch(self, batch: Batch, draw: torch.Generator) -> Batch:
        given = (batch.e, batch.y, batch.mask, batch.tokens)
        e, y, mask, tokens = (t if t is None else torch.cat([t] * self.samples) for t in given)
        assert e is not None
        assert y is not None
        noise = self.sigma * unit_noise(e, self.distribution, draw)
        if self.mode == "multiplicative":
            noise = noise * e
        return replace(
            batch, e=e + (noise if mask is None else noise * mask[..., None]), y=y, mask=mask, tokens=tokens
        )


def unit_noise(e: Tensor, distribution: Distribution, draw: torch.Generator) -> Tensor:
    """Independent numbers of mean 0 and standard deviation 1, shaped like `e`."""
    if distribution == "bernoulli":
        return signs(e, draw)
    if distribution == "uniform":
        u = torch.rand(e.shape, dtype=e.dtype, device=e.device, generator=draw)
        return 12**0.5 * (u - 0.5)
    return streams.normal_like(e, draw)
