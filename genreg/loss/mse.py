"""Squared error."""

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.dataset.base import Batch
from genreg.loss.base import Loss, Reduction
from genreg.parameters import STRICT
from genreg.run.metric import Metric


@dataclass(config=STRICT, kw_only=True)
class MSE(Loss):
    """|f(x) - y|^2, summed over outputs; a class is one-hot."""

    name = "mse"
    replicas = ()
    by_item = ()

    def __call__(self, outputs: Tensor, batch: Batch, reduction: Reduction = "none") -> Tensor:
        y = batch.y
        if not y.is_floating_point():  # one-hot, without F.one_hot's look at the values, which vmap refuses
            y = (y[:, None] == torch.arange(outputs.shape[1], device=y.device)).to(outputs.dtype)
        losses = (outputs - y).square().sum(1)
        return losses if reduction == "none" else batch.mean(losses) if reduction == "mean" else losses.sum()

    def check(self, classes: int) -> None:
        """Every target will do."""

    def metrics(self, classes: int) -> tuple[Metric, ...]:
        error = Metric("mse", "min")
        return (Metric("accuracy", "max", "%"), error) if classes else (error,)

    def items(self, outputs: Tensor, y: Tensor) -> dict[str, Tensor]:
        right = {} if y.is_floating_point() else {"accuracy": (outputs.argmax(1) == y).float()}
        return {**right, "mse": self.against(outputs, y, "none")}
