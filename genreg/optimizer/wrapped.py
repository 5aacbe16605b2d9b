"""Optimizers around a base optimizer, and a schedule of the learning rate that torch lacks."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from genreg.errors import InputError
from genreg.parameters import Count, Fraction, NonNegative, checked


@checked
def late_linear(optimizer: Optimizer, *, total_iters: Count, start: Fraction = 0.9) -> LambdaLR:
    """The learning rate as it is for a share `start` of the run, then a straight line to 0.

    Miyato et al., arXiv:1704.03976, for CIFAR-10 and SVHN (there in steps of 400 updates). start: from 0 to
    below 1.
    """
    first = start * total_iters
    return LambdaLR(optimizer, lambda step: min(1.0, (total_iters - step) / (total_iters - first)))


Base = Literal["sgd", "adam", "adamw"]
Betas = Annotated[Sequence[Fraction], Field(min_length=2, max_length=2)]
BETAS = (0.9, 0.999)  # unless told otherwise
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


@checked
def make_base(
    params: Any,
    *,
    base: Base,
    lr: NonNegative,
    momentum: Fraction,
    betas: Betas,
    weight_decay: NonNegative,
    fused: bool = True,
) -> Optimizer:
    """torch's optimizer of that name. Raises InputError for a momentum or betas that `base` would ignore."""
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
