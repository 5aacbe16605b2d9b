"""The deep convolutional pair."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from genreg.errors import InputError
from genreg.model.gan.base import Critic, Gan, Generator
from genreg.parameters import Count, CountOrZero, checked

Norm = Literal["none", "batch", "layer"]
SMALLEST = 4  # pixels along a side between the players' convolutions and their linear layers
LEAK = 0.2


class DCGan(Gan):
    """DCGAN (Radford et al., arXiv:1511.06434) with the 5x5 kernels of kexue.fm archive 6051.

    For 64 pixels the critic has width, 2, 4 and 8 width channels and the generator 8, 4, 2 and 1 width; for
    32 pixels one stage less. All convolutions have stride 2. The generator has batch normalization, the
    critic what `critic_norm` says (`layer` normalizes each item as arXiv:1704.00028 does). Pictures are in
    [-1, 1]. Raises InputError for pictures that are not squares of 8, 16, 32, ... pixels.
    """

    by_item = ()

    @checked
    def __init__(
        self,
        *,
        input_shape: Sequence[int],
        classes: CountOrZero = 0,
        latent: Count = 100,
        width: Count = 64,
        critic_norm: Norm = "none",
    ) -> None:
        channels, stages = picture_stages(input_shape)
        sizes = [width * 2**k for k in range(stages)]  # channels from the picture inwards
        inner = sizes[-1] * SMALLEST**2

        critic: list[nn.Module] = []
        for k, (a, b) in enumerate(zip([channels + classes, *sizes], sizes, strict=False)):
            norm = _norm(critic_norm, b) if k else []
            critic += [nn.Conv2d(a, b, 5, 2, 2, bias=not norm), *norm, nn.LeakyReLU(LEAK)]
        critic += [nn.Flatten(), nn.Linear(inner, 1, bias=False)]

        generator: list[nn.Module] = [
            nn.Linear(latent + classes, inner, bias=False), nn.Unflatten(1, (sizes[-1], SMALLEST, SMALLEST)),
            nn.BatchNorm2d(sizes[-1]), nn.ReLU(),
        ]  # fmt: skip
        for a, b in zip(reversed(sizes), [*reversed(sizes[:-1]), None], strict=True):
            up = nn.ConvTranspose2d(a, b or channels, 5, 2, 2, output_padding=1, bias=b is None)
            generator += [up, nn.BatchNorm2d(b), nn.ReLU()] if b else [up, nn.Tanh()]
        super().__init__(
            Generator(nn.Sequential(*generator), latent, classes), Critic(nn.Sequential(*critic), classes)
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def picture_stages(input_shape: Sequence[int]) -> tuple[int, int]:
    """Channels, and how often the side is halved down to `SMALLEST`."""
    if len(input_shape) == 3:
        channels, height, width = input_shape
        stages = (height // SMALLEST).bit_length() - 1
        if stages > 0 and height == width == SMALLEST * 2**stages:
            return channels, stages
    raise InputError("model", "square pictures of 8, 16, 32, 64, ... pixels", tuple(input_shape))


def _norm(kind: Norm, channels: int) -> list[nn.Module]:
    if kind == "none":
        return []
    return [nn.BatchNorm2d(channels) if kind == "batch" else nn.GroupNorm(1, channels)]
