"""Quadratic landscapes: of the weights themselves, and of products of them."""

import torch
from torch import Tensor, nn

from genreg.errors import InputError
from genreg.model.landscape.base import Dtype, Landscape, Replicas, instance_generator, row_product, row_sum
from genreg.parameters import Count, CountOrZero, NonNegative, Number, checked


class Quadratic(Landscape):
    """L(w) = sum_i lambda_i w_i^2 / 2: the Hessian is diagonal with the given spectrum.

    Negative entries make saddles. w starts uniformly on the sphere of radius w0_norm.
    """

    spectrum: Tensor

    @checked
    def __init__(
        self, *, spectrum: list[Number], w0_norm: NonNegative = 1.0, replicas: Replicas = 1,
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


class QuadraticParametrized(Landscape):
    """L(w) = sum_i (<x_i, w^2> - y_i)^2 / (4 n), w^2 elementwise, of n points in d > n dimensions.

    The over-parametrized model of arXiv:2202.02831 (100 dimensions, 5 points; sparsity, start and the factor
    1/4n are this program's). x_i are standard normal; y_i = <x_i, w*^2> with w* = 1 in the first `nonzero`
    coordinates and 0 elsewhere. `test_error` is |w^2 - w*^2|^2, the expected squared error on a new x.
    The trace of the Hessian is sum_ij (2 x_ij^2 w_j^2 + r_i x_ij) / n with r the residuals.

    instance: number of the random problem. w starts uniformly on the sphere of radius w0_norm.
    """

    x: Tensor
    y: Tensor
    target: Tensor

    @checked
    def __init__(
        self, *, d: Count = 100, points: Count = 5, nonzero: Count = 5, w0_norm: NonNegative = 10.0,
        instance: CountOrZero = 0, replicas: Replicas = 1, first_replica: CountOrZero = 0,
        dtype: Dtype = "float32", seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(replicas, first_replica, dtype)
        if nonzero > d:
            raise InputError("model.nonzero", f"at most d={d}", nonzero)
        x = torch.randn(points, d, generator=instance_generator(instance), dtype=torch.float64)
        target = (torch.arange(d) < nonzero).double()  # w*^2
        self.register_buffer("x", x.to(self.dtype))
        self.register_buffer("y", (x @ target).to(self.dtype))
        self.register_buffer("target", target.to(self.dtype))
        self.w: nn.Parameter = self._start(seed, d, norm=w0_norm)

    def _residuals(self) -> Tensor:
        """(N, n)."""
        return row_product(self.w.square(), self.x.T) - self.y

    def forward(self) -> Tensor:
        return row_sum(self._residuals().square()) / (4 * len(self.y))

    def value_and_gradient(self) -> tuple[Tensor, list[Tensor]]:
        r = self._residuals()
        gradient = row_product(r, self.x) * self.w / len(self.y)
        return row_sum(r.square()) / (4 * len(self.y)), [gradient]

    def hessian_trace(self) -> Tensor:
        curvature = 2 * row_sum(self.w.square() * self.x.square().sum(0))
        return (curvature + row_sum(self._residuals() * self.x.sum(1))) / len(self.y)

    def coordinates(self) -> dict[str, Tensor]:
        return {"test_error": row_sum((self.w.square() - self.target).square())}
