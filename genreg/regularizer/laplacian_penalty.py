"""Penalty on the Laplacian of the loss in the input."""

from collections.abc import Iterator
from typing import Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg import streams
from genreg.forward.classifier import ClassifierForward
from genreg.parameters import STRICT, Count, NonNegative
from genreg.regularizer.base import Regularizer, Weight

SMALL = 16  # numbers of an input up to which `auto` is exact


@dataclass(config=STRICT, kw_only=True)
class LaplacianPenalty(Regularizer):
    """Mean over labeled items of sigma^2 / 2 sum_i d^2 l / d e_i^2, l the loss of one item, e its embedding.

    kexue.fm archive 7466, after Bishop, "Training with noise is equivalent to Tikhonov regularization"
    (Neural Computation, 1995): what noise of standard deviation sigma on the inputs adds to the loss, to
    second order in sigma. It may be negative where the model curves. Batch normalization keeps the statistics
    of the batch as it is.

    sigma: standard deviation of the noise that it stands for, in units of `embed(x)`.
    estimator: `exact`: one product with the Hessian for each number of the input; `sampled`: E v'Hv over
    signs v = +-1 (Hutchinson), one product for each of `probes` draws; `auto`: exact up to 16 numbers. A
    product is a forward and two backward passes.
    """

    weight: Weight = 1.0
    sigma: NonNegative = 0.1
    estimator: Literal["auto", "exact", "sampled"] = "auto"
    probes: Count = 1

    reads = frozenset({"labeled"})
    replicas = (
        "weight",
        "sigma",
    )
    by_item = ()

    @property
    def idle(self) -> bool:
        return not (self.weight and self.sigma)

    def penalty(self, forward: ClassifierForward) -> Tensor:
        e = forward.embedding.detach()
        sampled = self.estimator == "sampled" or (self.estimator == "auto" and e[0].numel() > SMALL)
        probes = (streams.signs_like(e, forward.draw) for _ in range(self.probes))
        directions = probes if sampled else axes(e)
        total = torch.stack([forward.mean(curvature(forward, e, v)) for v in directions], -1).sum(-1)
        penalty: Tensor = forward.factor(self.sigma**2 / 2, total) * (
            total / self.probes if sampled else total
        )
        return penalty


def curvature(forward: ClassifierForward, e: Tensor, v: Tensor) -> Tensor:
    """v'Hv of each item, (B,), H the Hessian of its loss at e; differentiable in the weights.

    By two reverse passes: of what forward mode makes of a log-softmax, torch has no reverse pass.
    """
    e = e.detach().requires_grad_()
    (g,) = torch.autograd.grad(forward.score(e).sum(), e, create_graph=True)
    (product,) = torch.autograd.grad((g * v).sum(), e, create_graph=True)
    return (v * product).flatten(1).sum(1)


def axes(e: Tensor) -> Iterator[Tensor]:
    """The unit vector of each number of an input, for all items at once."""
    unit = torch.eye(e[0].numel(), dtype=e.dtype, device=e.device)
    return (axis.view(1, *e.shape[1:]).expand_as(e) for axis in unit)
