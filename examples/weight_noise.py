"""Gaussian noise on weights."""

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from genreg import streams
from genreg.parameters import STRICT, NonNegative
from genreg.regularizer import Regularizer
from genreg.regularizer.matrices import LINEAR


@dataclass(config=STRICT, kw_only=True)
class WeightNoise(Regularizer):
    """Each linear layer's weight is w + sigma |w|_F / sqrt(n) xi in training, xi ~ N(0, I) once an update.

    An, "The effects of adding noise during backpropagation training" (Neural Computation, 1996), with noise
    in units of the root mean square of the n entries, which is constant in the backward pass.
    """

    sigma: NonNegative = 0.1

    def attach(self, model: nn.Module) -> None:
        for name, layer in list(model.named_modules()):
            if isinstance(layer, LINEAR) and layer.weight.requires_grad:
                register_parametrization(layer, "weight", Noisy(self.sigma, f"{self.name}/{name}"))


class Noisy(nn.Module):
    def __init__(self, sigma: float, stream: str) -> None:
        super().__init__()
        self.sigma, self.stream = sigma, stream

    def forward(self, w: Tensor) -> Tensor:
        draw = streams.of_layer(self.stream, w.device)
        xi = torch.randn(w.shape, generator=draw, device=w.device, dtype=w.dtype)
        return w + self.sigma * w.detach().square().mean().sqrt() * xi if self.training else w
