"""The widening valley."""

from torch import Tensor, nn

from genreg.model.landscape.base import Dtype, Landscape, Replicas, row_sum
from genreg.parameters import Count, CountOrZero, NonNegative, Number, checked


class WideningValley(Landscape):
    """L(u, v) = v^2 |u|^2 / 2 with u in R^d and v in R: every v=0 is a minimum, flat where u is short.

    Orvieto et al., arXiv:2202.02831. The trace of the Hessian is |u|^2 + d v^2. u starts uniformly on the
    sphere of radius u0_norm, v at v0.
    """

    @checked
    def __init__(
        self, *, d: Count = 100, u0_norm: NonNegative = 5.0, v0: Number = 1.0, replicas: Replicas = 1,
        first_replica: CountOrZero = 0, dtype: Dtype = "float32", seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(replicas, first_replica, dtype)
        self.u: nn.Parameter = self._start(seed, d, norm=u0_norm)
        self.v: nn.Parameter = self._constant(v0)

    def forward(self) -> Tensor:
        return 0.5 * self.v[:, 0].square() * row_sum(self.u.square())

    def value_and_gradient(self) -> tuple[Tensor, list[Tensor]]:
        square = row_sum(self.u * self.u)[:, None]  # (N, 1)
        du = (self.v * self.v) * self.u
        dv = square * self.v
        return 0.5 * (self.v * dv)[:, 0], [du, dv]

    def hessian_trace(self) -> Tensor:
        return row_sum(self.u.square()) + self.u.shape[1] * self.v[:, 0].square()

    def coordinates(self) -> dict[str, Tensor]:
        return {"u_squared": row_sum(self.u.square()), "v": self.v[:, 0]}

    def loss_at(self, coordinates: dict[str, Tensor]) -> Tensor:
        return 0.5 * coordinates["v"].square() * coordinates["u_squared"]
