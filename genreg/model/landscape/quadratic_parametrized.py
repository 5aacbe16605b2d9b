"""Linear regression whose coefficients are squares."""

import torch
from torch import Tensor, nn

from genreg.errors import InputError
from genreg.model.landscape.base import Dtype, Landscape, instance_generator, row_product, row_sum
from genreg.parameters import Count, CountOrZero, NonNegative, checked


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
        instance: CountOrZero = 0, replicas: Count = 1, first_replica: CountOrZero = 0,
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
