"""Noise on labeled inputs."""

from dataclasses import replace
from typing import Literal

from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg import streams
from genreg.dataset import Batch
from genreg.parameters import STRICT, Count, NonNegative
from genreg.regularizer.base import Regularizer
from genreg.streams import Draw

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

    replicas = ("sigma",)
    by_item = ()

    @property
    def idle(self) -> bool:
        return not self.sigma

    def batch(self, batch: Batch, draw: Draw) -> Batch:
        copies = batch.repeated(self.samples)
        e, mask = copies.e, copies.mask
        noise = copies.factor(self.sigma, e) * unit_noise(e, self.distribution, draw)
        if self.mode == "multiplicative":
            noise = noise * e
        return replace(copies, e=e + (noise if mask is None else noise * mask[..., None]))


def unit_noise(e: Tensor, distribution: Distribution, draw: Draw) -> Tensor:
    """Independent numbers of mean 0 and standard deviation 1, shaped like `e`."""
    if distribution == "bernoulli":
        return streams.signs_like(e, draw)
    if distribution == "uniform":
        return 12**0.5 * (streams.uniform_like(e, draw) - 0.5)
    return streams.normal_like(e, draw)
