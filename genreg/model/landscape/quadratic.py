"""A quadratic bowl."""

import torch
from torch import Tensor, nn

from genreg.model.landscape.base import Dtype, Landscape, row_sum
from genreg.parameters import Count, CountOrZero, NonNegative, Number, checked


class Quadratic(Landscape):
    """L(w) = sum_i lambda_i w_i^2 / 2: the Hessian is diagonal with the given spectrum.

    Negative entries make saddles. w starts uniformly on the sphere of radius w0_norm.
    """

    spectrum: Tensor

    @checked
    def __init__(
        self, *, spectrum: list[Number], w0_norm: NonNegative = 1.0, replicas: Count = 1,
        first_replica: CountOrZero = 0, dtype: Dtype = "float32", seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(replicas, first_replica, dtype)
        self.register_buffer("spectrum", torch.tensor(spectrum, dtype=self.dtype))
        self.w: nn.Parameter = self._start(seed, len(spectrum), norm=w0_norm)

    def forward(self) -> Tensor:
        return 0.5 * row_sum(self.spectrum * self.w.square())

    def value_and_gradient(self) -> tuple[Tensor, list[Tensor]]:
        gradient = self.spectrum * self.w
        return 0.5 * row_sum(gradient * self.w), [gradient]

    def hessian_trace(self) -> Tensor:
        return self.spectrum.sum().expand(len(self.w))

    def coordinates(self) -> dict[str, Tensor]:
        return {"w_squared": row_sum(self.w.square())}
