"""Fully connected players, for points in the plane."""

import math
from collections.abc import Sequence
from typing import Literal

from torch import nn

from genreg.model.gan.base import Critic, Gan, Generator
from genreg.model.mlp import ACTIVATIONS
from genreg.parameters import Count, CountOrZero, checked


class MLPGan(Gan):
    """Two multilayer perceptrons.

    widths: hidden units of the critic's layers; generator_widths: of the generator's; latent: dimensions of
    z; activation: of both. Pictures are flattened; the generator's are in [-1, 1].
    """

    replicas = ()
    by_item = ()

    @checked
    def __init__(
        self,
        *,
        input_shape: Sequence[int],
        classes: CountOrZero = 0,
        latent: Count = 2,
        widths: list[Count],
        generator_widths: list[Count],
        activation: Literal["relu", "leaky_relu", "tanh", "gelu", "softplus"] = "relu",
    ) -> None:
        size = math.prod(input_shape)
        joined = (input_shape[0] + classes) * size // input_shape[0]  # labels are channels beside the data's
        picture = [nn.Unflatten(1, tuple(input_shape)), nn.Tanh()] if len(input_shape) > 1 else []

        def layers(fan_in: int, hidden: list[int], fan_out: int, bias: bool) -> list[nn.Module]:
            sizes = [fan_in, *hidden]
            pairs = zip(sizes, hidden, strict=False)
            stack = [layer for a, b in pairs for layer in (nn.Linear(a, b), ACTIVATIONS[activation]())]
            return [*stack, nn.Linear(sizes[-1], fan_out, bias=bias)]

        generator = nn.Sequential(*layers(latent + classes, generator_widths, size, bias=True), *picture)
        critic = nn.Sequential(nn.Flatten(), *layers(joined, widths, 1, bias=False))
        super().__init__(Generator(generator, latent, classes), Critic(critic, classes))
