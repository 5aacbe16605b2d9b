"""Gaussian noise on hidden layers."""

from functools import partial

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from genreg import streams
from genreg.model.mlp import ACTIVATIONS
from genreg.parameters import STRICT, NonNegative
from genreg.regularizer import Regularizer


@dataclass(config=STRICT, kw_only=True)
class HiddenNoise(Regularizer):
    """Each hidden activation in training is h + sigma n, n ~ N(0, I); all passes with equal masks share n.

    Poole, Sohl-Dickstein and Ganguli, arXiv:1406.1831 (noise after the nonlinearity). Reaches
    activations that are modules of their own.
    """

    sigma: NonNegative = 0.1

    def attach(self, model: nn.Module) -> None:
        activations = tuple(ACTIVATIONS.values())
        for name, layer in model.named_modules():
            if isinstance(layer, activations):
                layer.register_forward_hook(partial(noisy, f"{self.name}/{name}", self.sigma))


def noisy(stream: str, sigma: float, layer: nn.Module, inputs: tuple[Tensor, ...], h: Tensor) -> Tensor:
    """A forward hook: h with noise in training, as it is in evaluation."""
    if not layer.training:
        return h
    draw = streams.of_layer(stream, h.device)
    return h + sigma * torch.randn(h.shape, generator=draw, device=h.device, dtype=h.dtype)
