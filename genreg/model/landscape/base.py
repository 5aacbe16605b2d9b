"""The seam of every landscape: a loss of the weights alone, for many replicas at once."""

from abc import ABC, abstractmethod
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from genreg import streams
from genreg.parameters import Count

Dtype = Literal["float32", "float64"]
Replicas = Annotated[Count, Field(le=1_000_000)]  # each draws a start of its own


class Landscape(nn.Module, ABC):
    """`forward()` is L(w) of every replica, (N,); parameters have the replica as first dimension.

    Replica k starts at a point drawn from the stream `model/k` of the seed. Every sum runs over one
    replica's numbers only, in an order that does not depend on N: so replica k of a run of N is bit for bit
    the replica of a run of 1 (on the CPU).

    numbers: which replicas these are.
    """

    def __init__(self, replicas: int, first_replica: int, dtype: Dtype) -> None:
        super().__init__()
        self.numbers = range(first_replica, first_replica + replicas)
        self.dtype: torch.dtype = getattr(torch, dtype)

    @abstractmethod
    def forward(self) -> Tensor:
        """L(w), (N,)."""

    @abstractmethod
    def value_and_gradient(self) -> tuple[Tensor, list[Tensor]]:
        """L(w), (N,), and its gradient in closed form, one tensor for each parameter."""

    @abstractmethod
    def hessian_trace(self) -> Tensor:
        """Trace of the Hessian of L in closed form, (N,)."""

    def coordinates(self) -> dict[str, Tensor]:
        """Further quantities to record of each replica, (N,) each."""
        return {}

    def loss_at(self, coordinates: dict[str, Tensor]) -> Tensor | None:
        """L where `coordinates` have these values, of any shape; None where they do not determine it."""
        return None

    def backward(self) -> Tensor:
        """Set `.grad` of every parameter; returns L(w), (N,)."""
        with torch.no_grad():
            value, gradient = self.value_and_gradient()
        for p, g in zip(self._parameters.values(), gradient, strict=True):
            p.grad = g  # type: ignore[union-attr]
        return value

    def _start(self, seed: int, *shape: int, norm: float) -> nn.Parameter:
        """(N, *shape): for each replica a point drawn uniformly at distance `norm` from 0."""
        points = []
        for k in self.numbers:
            point = torch.randn(shape, generator=streams.generator(seed, f"model/{k}"), dtype=torch.float64)
            points.append(point * (norm / point.norm()))
        return nn.Parameter(torch.stack(points).to(self.dtype))

    def _constant(self, *values: float) -> nn.Parameter:
        """(N, len(values)): the same point for each replica."""
        return nn.Parameter(torch.tensor(values, dtype=self.dtype).repeat(len(self.numbers), 1))


def instance_generator(instance: int) -> torch.Generator:
    """The generator of a random problem: the same for every seed and replica."""
    return streams.generator(instance, "landscape")


def row_sum(x: Tensor) -> Tensor:
    """(N, ...) to (N,): each replica's numbers summed."""
    return x.flatten(1).sum(1)


TILE = 16
SMALL = 1 << 14  # numbers of a matrix up to which products are summed one by one


def row_product(x: Tensor, matrix: Tensor) -> Tensor:
    """x @ matrix for x (N, a), in tiles of 16 rows, or by sums of products where the matrix is small.

    One product over all rows adds in an order that depends on N; a tile's does not. Of narrow matrices even
    a tile treats its last rows otherwise.
    """
    if matrix.numel() <= SMALL:
        return (x[:, None] * matrix.T).sum(2)
    n, tiles = len(x), -(-len(x) // TILE)
    padded = torch.nn.functional.pad(x, (0, 0, 0, tiles * TILE - n)).view(tiles, TILE, -1)
    return torch.bmm(padded, matrix.expand(tiles, *matrix.shape)).flatten(0, 1)[:n]
