"""Recovery of a low-rank matrix from a few linear measurements."""

import math

import torch
from torch import Tensor, nn

from genreg.errors import InputError
from genreg.model.landscape.base import Dtype, Landscape, Replicas, instance_generator, row_product, row_sum
from genreg.parameters import Count, CountOrZero, NonNegative, checked


class MatrixSensing(Landscape):
    """L(U) = sum_i (<A_i, U U^T> - y_i)^2 / (2 m) with U in R^(d x d): more unknowns than measurements.

    The over-parametrized model of arXiv:2202.02831 (sizes, start and the factor 1/2m are this program's).
    A_i are symmetrized standard normal; y_i = <A_i, X*> with X* of the given rank and Frobenius norm 1.
    `test_error` is |U U^T - X*|_F^2. The trace of the Hessian is
    sum_i (4 |A_i U|_F^2 + 2 d r_i tr A_i) / m with r the residuals.

    instance: number of the random problem. U starts uniformly on the sphere of radius u0_norm (Frobenius).
    """

    a: Tensor
    y: Tensor
    target: Tensor

    @checked
    def __init__(
        self, *, d: Count = 20, rank: Count = 2, measurements: Count = 100, u0_norm: NonNegative = 2.0,
        instance: CountOrZero = 0, replicas: Replicas = 1, first_replica: CountOrZero = 0,
        dtype: Dtype = "float32", seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(replicas, first_replica, dtype)
        if rank > d:
            raise InputError("model.rank", f"at most d={d}", rank)
        draw = instance_generator(instance)
        a = torch.randn(measurements, d, d, generator=draw, dtype=torch.float64)
        a = (a + a.mT) / math.sqrt(2)  # off the diagonal the variance stays 1
        factor = torch.randn(d, rank, generator=draw, dtype=torch.float64)
        target = factor @ factor.mT
        target /= target.norm()
        self.register_buffer("a", a.to(self.dtype))
        self.register_buffer("y", (a * target).sum((1, 2)).to(self.dtype))
        self.register_buffer("target", target.to(self.dtype))
        self.u: nn.Parameter = self._start(seed, d, d, norm=u0_norm)

    def _residuals(self) -> Tensor:
        """(N, m)."""
        return row_product((self.u @ self.u.mT).flatten(1), self.a.flatten(1).T) - self.y

    def forward(self) -> Tensor:
        return row_sum(self._residuals().square()) / (2 * len(self.y))

    def value_and_gradient(self) -> tuple[Tensor, list[Tensor]]:
        r = self._residuals()
        weighted = row_product(r, self.a.flatten(1)).view_as(self.u)  # sum_i r_i A_i
        gradient = (2 / len(self.y)) * (weighted @ self.u)
        return row_sum(r.square()) / (2 * len(self.y)), [gradient]

    def hessian_trace(self) -> Tensor:
        gram = torch.einsum("mij,mik->jk", self.a, self.a)  # sum_i A_i^T A_i
        curvature = 4 * row_sum(self.u * (gram @ self.u))
        diagonal = self.a.diagonal(dim1=1, dim2=2).sum(1)  # tr A_i, (m,)
        return (curvature + 2 * self.u.shape[1] * row_sum(self._residuals() * diagonal)) / len(self.y)

    def coordinates(self) -> dict[str, Tensor]:
        return {"test_error": row_sum((self.u @ self.u.mT - self.target).square())}
