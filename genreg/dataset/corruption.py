"""Wrong labels for training, and corrupted copies of test pictures."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from genreg import streams
from genreg.dataset.base import Split
from genreg.errors import InputError


def mislabeled(labeled: Split, classes: int, rate: float, seed: int) -> Split:
    """The items with round(rate N) of their classes replaced by another, equally likely each.

    Symmetric noise as in arXiv:1611.03530, but never the right class. Drawn by the stream `label_noise`:
    items that are wrong at a rate are wrong in the same way at every higher one.
    """
    n, draw = len(labeled), streams.generator(seed, "label_noise")
    order = torch.randperm(n, generator=draw)
    away = torch.randint(1, classes, (n,), generator=draw)
    wrong = order[: round(rate * n)]
    y = labeled.y.clone()
    y[wrong] = (y[wrong] + away[wrong]) % classes
    return replace(labeled, y=y)


Kind = Literal["noise", "blur", "shift"]


def corrupted(test: Split, strengths: Mapping[Kind, float], seed: int, key: str) -> dict[str, Split]:
    """A copy of the items for each strength above 0, by kind.

    noise: standard deviation of Gaussian noise in units of x, not clipped. blur: standard deviation of a
    Gaussian kernel in pixels, the border repeated. shift: most pixels each way, whole numbers drawn for each
    item, zeros where nothing was. Each draws from a stream of its own, `corruption/KIND`. Raises InputError,
    naming `key`, for texts, for blur and shift of what is no picture (C, H, W), and for a shift by part of a
    pixel.
    """
    copies: dict[str, Split] = {}
    for kind, strength in strengths.items():
        if strength:
            _check(kind, strength, test.x, f"{key}.{kind}")
            x = CORRUPTIONS[kind](test.x, strength, streams.generator(seed, f"corruption/{kind}"))
            copies[kind] = replace(test, x=x, clean=torch.ones_like(test.clean))
    return copies


def _check(kind: Kind, strength: float, x: Tensor, key: str) -> None:
    if not x.is_floating_point():
        raise InputError(key, "0 for texts, whose tokens are no numbers", strength)
    if kind != "noise" and x.ndim != 4:
        raise InputError(key, "0 for data that are not pictures", strength)
    if kind == "shift" and (strength % 1 or strength >= min(x.shape[2:])):
        raise InputError(key, f"a whole number of pixels below {min(x.shape[2:])}", strength)


def noise(x: Tensor, sigma: float, draw: torch.Generator) -> Tensor:
    """x and Gaussian noise in each coordinate."""
    return x + sigma * torch.randn(x.shape, dtype=x.dtype, generator=draw)


def blur(x: Tensor, sigma: float, draw: torch.Generator) -> Tensor:
    """Pictures (N, C, H, W) under a Gaussian kernel of three standard deviations each way."""
    radius = math.ceil(3 * sigma)
    at = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernel = (-(at**2) / (2 * sigma**2)).exp()
    kernel = (kernel / kernel.sum()).to(x.dtype)
    channels = x.reshape(-1, 1, *x.shape[2:])
    padded = F.pad(channels, (radius,) * 4, mode="replicate")
    blurred = F.conv2d(F.conv2d(padded, kernel.reshape(1, 1, 1, -1)), kernel.reshape(1, 1, -1, 1))
    return blurred.reshape(x.shape)


def shift(x: Tensor, most: float, draw: torch.Generator) -> Tensor:
    """Pictures (N, C, H, W), each moved by its own numbers of pixels from -most to most, down and right."""
    n, channels, height, width = x.shape
    most = int(most)
    down, right = torch.randint(-most, most + 1, (2, n, 1), generator=draw)
    rows, columns = most - down + torch.arange(height), most - right + torch.arange(width)  # of the padded
    each, channel = torch.arange(n)[:, None, None, None], torch.arange(channels)[None, :, None, None]
    return F.pad(x, (most,) * 4)[each, channel, rows[:, None, :, None], columns[:, None, None, :]]


CORRUPTIONS = {"noise": noise, "blur": blur, "shift": shift}
