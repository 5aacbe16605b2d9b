"""Optimizers around a base optimizer, and a schedule of the learning rate that torch lacks."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, TypeVar

import torch
from pydantic import Field
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from genreg.errors import InputError
from genreg.parameters import Count, Fraction, Neutral, checked

Base = Literal["sgd", "adam", "adamw"]
Betas = Annotated[Sequence[Fraction], Field(min_length=2, max_length=2)]
BETAS = (0.9, 0.999)  # the default of torch
Closure = Callable[[], Tensor]


class Wrapped(Optimizer):
    """An optimizer that adds something to the update of `base`, whose `param_groups` and `state` it shares.

    Nothing is kept beside them, so that a scheduler on the wrapper moves the base and a checkpoint of the
    wrapper holds the base's momentum.

    replicas: numbers of the independent replicas along the first dimension of every parameter; None for a
    single model.
    """

    def __init__(self, base: Optimizer, *, replicas: range | None = None, **defaults: Any) -> None:
        self.base, self.replicas = base, replicas
        for group in base.param_groups:
            for key, value in defaults.items():
                group.setdefault(key, value)
        super().__init__([dict(group) for group in base.param_groups], {**base.defaults, **defaults})
        self._share()

    def _share(self) -> None:
        self.param_groups, self.state = self.base.param_groups, self.base.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.base.load_state_dict(state_dict)
        self._share()

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.base.zero_grad(set_to_none)


Made = TypeVar("Made", bound=Wrapped)


def around(
    make: Callable[..., Made], *, params: Any, base: Base, lr: float, momentum: float, betas: Sequence[float],
    weight_decay: float, replicas: range | None, **options: Any,
) -> Made:  # fmt: skip
    """Put `make(..., **options)` around torch's optimizer called `base`, fused for a single model.

    Raises InputError for a momentum or betas that `base` would ignore.
    """
    inner = make_base(params, base, lr, momentum, betas, weight_decay, fused=replicas is None)
    return make(inner, replicas=replicas, **options)


def make_base(
    params: Any, base: Base, lr: float, momentum: float, betas: Sequence[float], weight_decay: float, *,
    fused: bool = True,
) -> Optimizer:  # fmt: skip
    """Return torch's optimizer of that name."""
    if base == "sgd":
        if tuple(betas) != BETAS:
            raise InputError(
                "optimizer.betas", f"{list(BETAS)} with base=sgd, which has momentum instead", betas
            )
        return torch.optim.SGD(params, lr, momentum, weight_decay=weight_decay, fused=fused)
    if momentum:
        raise InputError("optimizer.momentum", f"0 with base={base}, which has betas instead", momentum)
    kind = torch.optim.Adam if base == "adam" else torch.optim.AdamW
    return kind(params, lr, (betas[0], betas[1]), weight_decay=weight_decay, fused=fused)


class LateLinear(LambdaLR):
    """The learning rate as it is up to update `first`, then a straight line to 0; and another beta1 there."""

    def __init__(self, optimizer: Optimizer, total: int, first: float, beta1: float | None) -> None:
        self.first, self.beta1 = first, beta1
        super().__init__(optimizer, lambda step: min(1.0, (total - step) / (total - first)))

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        for group in self.optimizer.param_groups if self.beta1 is not None else ():
            if self.last_epoch >= self.first:
                group["betas"] = (self.beta1, group["betas"][1])


@checked
def late_linear(
    optimizer: Optimizer, *, total_iters: Count, start: Fraction = 0.9,
    beta1: Annotated[Fraction | None, Neutral(None)] = None,
) -> LambdaLR:  # fmt: skip
    """The learning rate as it is for a share `start` of the run, then a straight line to 0.

    Miyato et al., arXiv:1704.03976, for CIFAR-10 and SVHN (there in steps of 400 updates). start: from 0 to
    below 1. beta1: Adam's first beta from there on (0.5 in their code), or None. Raises InputError for an
    optimizer without betas.
    """
    if beta1 is not None and "betas" not in optimizer.param_groups[0]:
        raise InputError("scheduler.beta1", "null for an optimizer without betas", beta1)
    return LateLinear(optimizer, total_iters, start * total_iters, beta1)
