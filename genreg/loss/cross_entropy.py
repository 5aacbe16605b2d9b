"""Cross-entropy."""

from typing import Any

import torch
import torch.nn.functional as F
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.dataset.base import Batch, mean_of
from genreg.errors import InputError
from genreg.loss.base import Loss, Reduction
from genreg.parameters import STRICT
from genreg.run.metric import Metric


@dataclass(config=STRICT, kw_only=True)
class CrossEntropy(Loss):
    """Negative log likelihood of the class in nats; of probabilities p, -sum_c p_c log q_c."""

    name = "cross_entropy"
    replicas = ()
    by_item = ()

    def __call__(self, outputs: Tensor, batch: Batch, reduction: Reduction = "none") -> Tensor:
        if batch.replicas > 1 and reduction == "mean":
            return mean_of_replicas(outputs.log_softmax(1), batch.y, batch.replicas)
        return F.cross_entropy(outputs, batch.y, reduction=reduction)

    def check(self, classes: int) -> None:
        if not classes:
            raise InputError("loss", "mse for a dataset of real targets", self.name)

    def metrics(self, classes: int) -> tuple[Metric, ...]:
        return Metric("accuracy", "max", "%"), Metric("cross_entropy", "min", "nats")

    def items(self, outputs: Tensor, y: Tensor) -> dict[str, Tensor]:
        right = (outputs.argmax(1) == y).float()
        return {"accuracy": right, "cross_entropy": self.against(outputs, y, "none")}


def mean_of_replicas(log_q: Tensor, y: Tensor, replicas: int) -> Tensor:
    """The mean loss of each replica, (R,), from log-probabilities, with the bits of `F.cross_entropy`."""
    if y.ndim == 2:
        return -(log_q * y).view(replicas, -1).sum(1) / (len(y) // replicas)
    if log_q.device.type != "cpu":  # there no replica has the bits of its single run anyway
        return mean_of(-log_q.gather(1, y[:, None]), replicas)
    mean: Tensor = ReplicaMeans.apply(log_q, y, replicas)  # type: ignore[no-untyped-call]
    return mean


class ReplicaMeans(torch.autograd.Function):
    """The mean of -log q of each replica's classes, (R,).

    The kernel of a mean adds up in an order of its own, which only a call for each replica keeps. Its
    gradient is one tensor for all.
    """

    @staticmethod
    def forward(ctx: Any, log_q: Tensor, y: Tensor, replicas: int) -> Tensor:
        ctx.save_for_backward(y)
        ctx.shape, ctx.items = log_q.shape, len(y) // replicas
        return torch.stack(
            [F.nll_loss(*part) for part in zip(log_q.chunk(replicas), y.chunk(replicas), strict=True)]
        )

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        (y,) = ctx.saved_tensors
        share = -(g / ctx.items).repeat_interleave(ctx.items)
        return g.new_zeros(ctx.shape).scatter_(1, y[:, None], share[:, None]), None, None
