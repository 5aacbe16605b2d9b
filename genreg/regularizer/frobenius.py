"""The Frobenius norm of weight matrices: penalized, projected, or fixed by a parametrization."""

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn.utils import parametrize

from genreg.forward.base import Forward
from genreg.model.passes import norm
from genreg.parameters import STRICT, NonNegative, Positive
from genreg.regularizer.base import Regularizer, Weight
from genreg.regularizer.matrices import linear_layers, matrices, or_one, trained_weights


@dataclass(config=STRICT, kw_only=True)
class FrobeniusProjection(Regularizer):
    """The weight of every linear layer is scaled back to Frobenius norm `bound` after each update.

    kexue.fm archive 6051. The Frobenius norm is never below the spectral norm, so with bound 1 every fully
    connected layer has slope at most 1; of a convolution this holds for the kernel reshaped to a matrix.
    """

    bound: Positive = 1.0

    sets_norm = "projection"
    replicas = ("bound",)
    by_item = ()

    @torch.no_grad()
    def project(self, model: nn.Module) -> None:
        for weight, _ in trained_weights(model):
            weight.mul_((self.bound / norm(weight)).clamp(max=1))


@dataclass(config=STRICT, kw_only=True)
class Frobenius(Regularizer):
    """Sum over linear layers of max(|W|_F - bound, 0)^2, the squared excess of the Frobenius norm.

    kexue.fm archive 6051: the soft form of `FrobeniusProjection`.
    """

    weight: Weight = 10.0
    bound: NonNegative = 1.0

    replicas = ("weight", "bound")
    of_weights = True
    by_item = ()

    def penalty(self, forward: Forward) -> Tensor:
        norms = torch.stack([weight.norm() for weight in matrices(forward.model)])
        return (norms - self.bound).relu().square().sum()


@dataclass(config=STRICT, kw_only=True)
class FrobeniusNormalization(Regularizer):
    """Every trained linear layer's weight is norm W / |W|_F.

    The Frobenius counterpart of spectral normalization (arXiv:1802.05957, section 2.1), after kexue.fm
    archive 6051: |W|_2 <= |W|_F, so that with norm 1 every fully connected layer has slope at most 1, mostly
    far less. A weight of zeros stays zero.

    norm: the Frobenius norm that each weight has.
    """

    norm: Positive = 1.0

    sets_norm = "parametrization"
    replicas = ("norm",)
    by_item = ()

    def attach(self, model: nn.Module) -> None:
        for layer in linear_layers(model):
            if layer.weight.requires_grad:
                parametrize.register_parametrization(layer, "weight", FixedFrobeniusNorm(self.norm))


class FixedFrobeniusNorm(nn.Module):
    """norm W / |W|_F."""

    def __init__(self, norm: float) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, weight: Tensor) -> Tensor:
        return weight * (self.norm / or_one(weight.norm()))
