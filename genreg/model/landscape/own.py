"""A landscape of a user's own: a function of one point, differentiated by torch."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import grad_and_value, hessian, vmap

from genreg.errors import PAGE, InputError, cause, of_machine
from genreg.model.landscape.base import Dtype, Landscape
from genreg.parameters import Count, CountOrZero, Number, checked
from genreg.run.factory import factory


class OwnLandscape(Landscape):
    """L(w) of a function that maps one point w, (d,), to a scalar, by operations of torch.

    function: a node whose `_target_` names it; other keys are its keyword arguments. start: where every
    replica starts, d numbers. Its Hessian is made whole for the trace: d^2 numbers for each replica.
    """

    @checked
    def __init__(
        self, *, function: dict[str, Any], start: list[Number], replicas: Count = 1,
        first_replica: CountOrZero = 0, dtype: Dtype = "float32", seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(replicas, first_replica, dtype)
        self.function = factory(function, "model.function")
        self.w: nn.Parameter = self._constant(*start)
        self._check()

    def _check(self) -> None:
        """InputError for a function that makes no scalar of a point."""
        expected = f"a function of torch that maps ({self.w.shape[1]},) to a scalar ({PAGE})"
        try:
            found = self.function(self.w[0].detach())
            if isinstance(found, Tensor) and found.ndim == 0:
                self.hessian_trace()
                return
        except Exception as error:  # a user's own code may raise anything
            if of_machine(error) or isinstance(error, InputError):
                raise
            raise InputError("model.function", expected, f"{type(error).__name__}: {cause(error)}") from error
        got = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else found
        raise InputError("model.function", expected, got)

    def forward(self) -> Tensor:
        losses: Tensor = vmap(self.function)(self.w)
        return losses

    def value_and_gradient(self) -> tuple[Tensor, list[Tensor]]:
        gradient, value = vmap(grad_and_value(self.function))(self.w)
        return value, [gradient]

    def hessian_trace(self) -> Tensor:
        second: Tensor = vmap(hessian(self.function))(self.w.detach())
        return second.diagonal(dim1=1, dim2=2).sum(1)

    def coordinates(self) -> dict[str, Tensor]:
        return {"x": self.w[:, 0], "y": self.w[:, 1]} if self.w.shape[1] == 2 else {}

    def loss_at(self, coordinates: dict[str, Tensor]) -> Tensor | None:
        points = torch.stack((coordinates["x"], coordinates["y"]), -1).to(self.dtype)
        losses: Tensor = vmap(self.function)(points.view(-1, 2))
        return losses.view(points.shape[:-1])
