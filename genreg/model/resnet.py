"""Residual networks for small pictures."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from genreg.errors import InputError
from genreg.model.base import Classifier
from genreg.parameters import Count, checked


class Block(nn.Module):
    """Two 3x3 convolutions around which the input is added (He et al., arXiv:1512.03385)."""

    def __init__(self, fan_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(fan_in, width, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(width)
        self.shortcut = nn.Sequential()
        if stride > 1 or fan_in != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(fan_in, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.second_norm(self.second(inner)) + self.shortcut(x))


class ResNet(Classifier):
    """A residual network: a 3x3 convolution, then stages of blocks, each but the first halving the picture.

    widths and blocks: of each stage. [64, 128, 256, 512] and [2, 2, 2, 2] make ResNet-18, here with a 3x3
    stem of stride 1 and no pooling, as is usual for 32 x 32 pixels: 11.2 million weights for 10 classes.
    Raises InputError for pictures too small to be halved so often, and for lists of different lengths.
    """

    by_item = ()

    @checked
    def __init__(
        self, *, input_shape: Sequence[int], outputs: Count, widths: list[Count], blocks: list[Count]
    ) -> None:
        super().__init__()
        if len(widths) != len(blocks):
            raise InputError("model.blocks", f"as many numbers as model.widths ({len(widths)})", blocks)
        smallest = 2 ** (len(widths) - 1)
        if len(input_shape) != 3 or min(input_shape[1:]) < smallest:
            raise InputError("model", f"pictures of at least {smallest}x{smallest}", tuple(input_shape))
        layers: list[nn.Module] = [
            nn.Conv2d(input_shape[0], widths[0], 3, 1, 1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        ]
        fan_in = widths[0]
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            for block in range(count):
                layers.append(Block(fan_in, width, 2 if stage and not block else 1))
                fan_in = width
        self.features = nn.Sequential(*layers)
        self.output = nn.Linear(fan_in, outputs)

    def classify(self, embedding: Tensor, mask: Tensor | None = None) -> Tensor:
        outputs: Tensor = self.output(self.features(embedding).mean((2, 3)))
        return outputs
