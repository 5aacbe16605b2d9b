"""Rosenbrock's banana."""

import torch
from torch import Tensor, nn

from genreg.errors import InputError
from genreg.model.landscape.base import Dtype, Landscape, Replicas, row_sum
from genreg.parameters import CountOrZero, Number, Positive, checked


class Rosenbrock(Landscape):
    """L(w) = sum_{i<d} b (w_{i+1} - w_i^2)^2 + (1 - w_i)^2: a bent valley with the minimum 0 at w = 1.

    start: where every replica starts; its length is d, at least 2.
    """

    @checked
    def __init__(
        self, *, start: list[Number], b: Positive = 100.0, replicas: Replicas = 1,
        first_replica: CountOrZero = 0, dtype: Dtype = "float32", seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(replicas, first_replica, dtype)
        if len(start) < 2:
            raise InputError("model.start", "two or more coordinates", start)
        self.b = b
        self.w: nn.Parameter = self._constant(*start)

    def forward(self) -> Tensor:
        x, y = self.w[:, :-1], self.w[:, 1:]
        return row_sum(self.b * (y - x.square()).square() + (1 - x).square())

    def value_and_gradient(self) -> tuple[Tensor, list[Tensor]]:
        x, y = self.w[:, :-1], self.w[:, 1:]
        bend, slope = y - x * x, 1 - x
        gradient = torch.zeros_like(self.w)
        gradient[:, :-1] -= 4 * self.b * x * bend + 2 * slope
        gradient[:, 1:] += 2 * self.b * bend
        return row_sum(self.b * bend * bend + slope * slope), [gradient]

    def hessian_trace(self) -> Tensor:
        x, y = self.w[:, :-1], self.w[:, 1:]
        return row_sum(12 * self.b * x.square() - 4 * self.b * y + 2 + 2 * self.b)

    def coordinates(self) -> dict[str, Tensor]:
        return {"x": self.w[:, 0], "y": self.w[:, 1]}

    def loss_at(self, coordinates: dict[str, Tensor]) -> Tensor | None:
        if self.w.shape[1] > 2:  # x and y are two of its coordinates
            return None
        x, y = coordinates["x"], coordinates["y"]
        return self.b * (y - x.square()).square() + (1 - x).square()
