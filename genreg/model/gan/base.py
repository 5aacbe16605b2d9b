"""Base of every pair of players: latents to data, data to scores."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Generator(nn.Module):
    """Data from latents (B, latent), and from labels (B,) if there are `classes`: they are joined one-hot."""

    def __init__(self, layers: nn.Module, latent: int, classes: int = 0) -> None:
        super().__init__()
        self.layers, self.latent, self.classes = layers, latent, classes

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        made: Tensor = self.layers(_join(z, y, self.classes))
        return made


class Critic(nn.Module):
    """Scores (B,) of data, and of labels (B,) if there are `classes`: they are joined as constant channels.

    layers: applied in order; they are the whole function. Their last one has no bias: a Wasserstein loss
    does not see it, and Adam would walk it at random.
    """

    def __init__(self, layers: nn.Sequential, classes: int = 0) -> None:
        super().__init__()
        self.layers, self.classes = layers, classes

    def joined(self, x: Tensor, y: Tensor | None) -> Tensor:
        """The input of the layers: x, before its label's channels."""
        return _join(x, y, self.classes)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        scores: Tensor = self.layers(self.joined(x, y))[:, 0]
        return scores


class Gan(nn.Module):
    """A generator and its critic. replicas, by_item: as of a `Classifier`."""

    replicas: ClassVar[tuple[str, ...] | None] = None
    by_item: ClassVar[tuple[str, ...] | None] = None

    def __init__(self, generator: Generator, critic: Critic) -> None:
        super().__init__()
        self.generator, self.critic = generator, critic


def _join(x: Tensor, y: Tensor | None, classes: int) -> Tensor:
    if not classes:
        return x
    assert y is not None, "a conditional player needs labels"
    one_hot = F.one_hot(y, classes).to(x.dtype)
    planes = one_hot.reshape(*one_hot.shape, *(1 for _ in x.shape[2:])).expand(-1, -1, *x.shape[2:])
    return torch.cat((x, planes), 1)
