"""Weights of a fixed Frobenius norm."""

from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn.utils import parametrize

from genreg.parameters import STRICT, Positive
from genreg.regularizer.base import Regularizer
from genreg.regularizer.matrices import linear_layers, or_one


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
