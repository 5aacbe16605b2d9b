"""The residual pair of SN-GAN."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genreg.errors import InputError
from genreg.model.gan.base import Critic, Gan, Generator
from genreg.parameters import Count, CountOrZero, checked

Resize = Literal["up", "down", "same"]


class ResNetGan(Gan):
    """SN-GAN's residual players for 32 x 32 pixels (Miyato et al., arXiv:1802.05957, Table 4).

    The generator has three upsampling blocks of 2 width channels with batch normalization, the critic two
    downsampling and two plain blocks of `width` without, then a sum over positions. Pictures are in [-1, 1].
    Raises InputError for pictures of another size.
    """

    by_item = ()

    @checked
    def __init__(
        self,
        *,
        input_shape: Sequence[int],
        classes: CountOrZero = 0,
        latent: Count = 128,
        width: Count = 128,
    ) -> None:
        if len(input_shape) != 3 or tuple(input_shape[1:]) != (32, 32):
            raise InputError("model", "pictures of 32x32 pixels", tuple(input_shape))
        channels, wide = input_shape[0], 2 * width
        generator = nn.Sequential(
            nn.Linear(latent + classes, 16 * wide), nn.Unflatten(1, (wide, 4, 4)),
            *(Block(wide, wide, "up", norm=True) for _ in range(3)),
            nn.BatchNorm2d(wide), nn.ReLU(), nn.Conv2d(wide, channels, 3, 1, 1), nn.Tanh(),
        )  # fmt: skip
        critic = nn.Sequential(
            Block(channels + classes, width, "down", first=True), Block(width, width, "down"),
            Block(width, width, "same"), Block(width, width, "same"),
            nn.ReLU(), SumPool(), nn.Linear(width, 1, bias=False),
        )  # fmt: skip
        super().__init__(Generator(generator, latent, classes), Critic(critic, classes))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class Block(nn.Module):
    """Two 3x3 convolutions after their activations, around which the resized input is added.

    first: of a critic, whose input is a picture and is not rectified.
    """

    def __init__(
        self, fan_in: int, width: int, resize: Resize, *, norm: bool = False, first: bool = False
    ) -> None:
        super().__init__()
        self.resize, self.first = resize, first
        self.norms = nn.ModuleList([nn.BatchNorm2d(n) if norm else nn.Identity() for n in (fan_in, width)])
        self.convolutions = nn.ModuleList([nn.Conv2d(n, width, 3, 1, 1) for n in (fan_in, width)])
        changes = resize != "same" or fan_in != width
        self.shortcut = nn.Conv2d(fan_in, width, 1) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        up, down = self.resize == "up", self.resize == "down"
        h = x if self.first else F.relu(self.norms[0](x))
        h = self.convolutions[0](F.interpolate(h, scale_factor=2) if up else h)
        h = self.convolutions[1](F.relu(self.norms[1](h)))
        around = self.shortcut(F.interpolate(x, scale_factor=2) if up else x)
        return F.avg_pool2d(h + around, 2) if down else h + around


class SumPool(nn.Module):
    """Sum over positions."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum((2, 3))
