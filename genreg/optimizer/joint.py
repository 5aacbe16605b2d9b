"""The optimizers of replicas, which move after one backward pass of all."""

import copy
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from genreg.optimizer.wrapped import Closure, Wrapped


class Joint:
    """Moves each replica's parameters as its own optimizer would, from the gradients of a stacked model.

    Optimizers of torch that agree in all but their parameters make one step, in which each tensor of each
    replica is moved apart: one tensor of all would have other bits, since fused kernels round the last few
    numbers of a tensor otherwise. Others step one after the other; none may ask for a second gradient.

    optimizers: of each replica, over views of `columns` in the same order. columns: the stacked model's
    parameters, (R, ...) or the same flat.
    """

    def __init__(self, optimizers: Sequence[Optimizer], columns: Sequence[Tensor]) -> None:
        self.columns = columns
        self.rows = [[p for group in one.param_groups for p in group["params"]] for one in optimizers]
        alike: dict[str, list[Optimizer]] = {}
        for number, one in enumerate(optimizers):
            key = f"{number}" if isinstance(one, Wrapped) else f"{type(one)} {_options(one)}"
            alike.setdefault(key, []).append(one)
            one._opt_called = True  # type: ignore[attr-defined]  # or a scheduler warns that it never stepped
        self.parts = [(ones[0], _merged(ones) if len(ones) > 1 else ones[0]) for ones in alike.values()]

    @torch.no_grad()
    def step(self, closure: Closure) -> Tensor:
        """Make the gradients by `closure`, and each replica's step."""
        with torch.enable_grad():
            loss = closure()
        for column, *views in zip(self.columns, *self.rows, strict=True):
            assert column.grad is not None
            of_each = column.grad.view(len(views), *views[0].shape).unbind()
            for view, gradient in zip(views, of_each, strict=True):
                view.grad = gradient
        for first, all_of_them in self.parts:
            for group, moved in zip(first.param_groups, all_of_them.param_groups, strict=True):
                moved.update({key: value for key, value in group.items() if key != "params"})  # the rate
            all_of_them.step()
        return loss


def _options(optimizer: Optimizer) -> list[dict[str, Any]]:
    return [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]


def _merged(optimizers: Sequence[Optimizer]) -> Optimizer:
    """One optimizer over the parameters of all, which shares what each knows of its own."""
    merged = copy.copy(optimizers[0])
    groups = zip(*(one.param_groups for one in optimizers), strict=True)
    merged.param_groups = [
        {**parts[0], "params": [p for part in parts for p in part["params"]]} for parts in groups
    ]
    merged.state = defaultdict(dict)
    for one in optimizers:
        for group in one.param_groups:
            merged.state.update({p: one.state[p] for p in group["params"]})
    return merged
