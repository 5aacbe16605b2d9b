"""Features of an untrained network."""

from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from genreg import streams
from genreg.parameters import Count, CountOrZero, checked

CHUNK = 500  # pictures at a time
LAYERS = 3


class Random:
    """Convolutional features with fixed random weights: a check that no training could have flattered.

    Three 4x4 convolutions of stride 2, `width`, 2 `width` and 4 `width` wide, ReLU after each; D = 7 `width`
    spatial means, those of every layer. Normal weights of variance 2 / fan-in follow from `seed` alone,
    not from the run's. Pictures of at least 8 x 8 pixels.
    """

    @checked
    def __init__(self, *, width: Count = 32, seed: CountOrZero = 0, output_dir: Path | None = None) -> None:
        self.width, self.seed = width, seed
        self.name = f"random width={width} seed={seed}"
        self.checksums: dict[str, str] = {}

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> Tensor:
        """(N, C, H, W) in [-1, 1] -> (N, 7 width)."""
        weights = [weight.to(pictures) for weight in self.weights(pictures.shape[1])]
        return torch.cat([self._means(chunk, weights) for chunk in pictures.split(CHUNK)])

    def weights(self, channels: int) -> list[Tensor]:
        """The kernel of each layer for pictures of so many channels, on the CPU."""
        sizes = [channels, *(self.width * 2**layer for layer in range(LAYERS))]
        draw = streams.generator(self.seed, "features")
        return [
            torch.randn(out, fan_in, 4, 4, generator=draw) * (2 / (16 * fan_in)) ** 0.5
            for fan_in, out in pairwise(sizes)
        ]

    @staticmethod
    def _means(x: Tensor, weights: list[Tensor]) -> Tensor:
        means = []
        for weight in weights:
            x = F.conv2d(x, weight, stride=2, padding=1).relu()
            means.append(x.mean((2, 3)))
        return torch.cat(means, 1)
