"""The optimizers of replicas, which move after one backward pass of all."""

import copy
from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer

from genreg.optimizer.perturbed import Perturbed
from genreg.optimizer.wrapped import Closure, Wrapped

REPLICAS = {
    "torch.optim.Adam": ("lr", "weight_decay"),
    "torch.optim.AdamW": ("lr", "weight_decay"),
    "torch.optim.SGD": ("lr", "momentum", "weight_decay"),
    "torch.optim.RMSprop": ("lr", "weight_decay"),
    "genreg.optimizer.anti_pgd": ("lr", "sigma"),
    "genreg.optimizer.pgd": ("lr", "sigma"),
}
"""Optimizers of runs that may be trained as one program, by `_target_`, and the parameters that may then
differ. A literal, which is read without an import. Those that ask for a second gradient are none of them."""


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
        rows = [[p for group in one.param_groups for p in group["params"]] for one in optimizers]
        self.views = list(zip(*rows, strict=True))
        alike: dict[str, list[int]] = {}
        for number, one in enumerate(optimizers):
            alike.setdefault(_key(one, number), []).append(number)
            one._opt_called = True  # type: ignore[attr-defined]  # or a scheduler warns that it never stepped
        self.parts = [_part([optimizers[n] for n in numbers], numbers) for numbers in alike.values()]

    @torch.no_grad()
    def step(self, closure: Closure) -> Tensor:
        """Make the gradients by `closure`, and each replica's step."""
        with torch.enable_grad():
            loss = closure()
        gradients = [
            column.grad.view(len(views), *views[0].shape).unbind()  # type: ignore[union-attr]
            for column, views in zip(self.columns, self.views, strict=True)
        ]
        for part in self.parts:
            part(gradients)
        return loss

    def release(self) -> None:
        """Leave all that a step depends on with each optimizer, which may go on alone."""
        for part in self.parts:
            part.release()


Gradients = Sequence[Sequence[Tensor]]
"""Of each parameter, that of each replica."""


def _part(optimizers: Sequence[Optimizer], numbers: Sequence[int]) -> "Merged | FusedAdam | Perturbing":
    """The step of some replicas, by their numbers."""
    first = optimizers[0]
    if isinstance(first, Perturbed):
        return Perturbing(optimizers, numbers)  # type: ignore[arg-type]
    plain = type(first) in (Adam, AdamW) and len(first.param_groups) == 1
    if plain and first.param_groups[0]["fused"] and not first.param_groups[0]["amsgrad"]:
        return FusedAdam(optimizers, numbers)  # type: ignore[arg-type]
    return Merged(optimizers, numbers)


def _key(optimizer: Optimizer, number: int) -> str:
    """Equal for optimizers that make one step."""
    inner = optimizer.base if isinstance(optimizer, Perturbed) else optimizer
    if isinstance(inner, Wrapped):
        return f"{number}"
    options = [{name: group[name] for name in inner.defaults} for group in inner.param_groups]
    return f"{type(optimizer)} {type(inner)} {options}"


class Perturbing:
    """Optimizers that add noise to the update of theirs: one step of these, then the noise of each."""

    def __init__(self, optimizers: Sequence[Perturbed], numbers: Sequence[int]) -> None:
        self.optimizers, self.bases = optimizers, _part([one.base for one in optimizers], numbers)

    def __call__(self, gradients: Gradients) -> None:
        self.bases(gradients)
        for one in self.optimizers:
            one.perturb()

    def release(self) -> None:
        self.bases.release()


class Merged:
    """Any optimizers that agree, or a single one: one of their kind over the parameters of all."""

    def __init__(self, optimizers: Sequence[Optimizer], numbers: Sequence[int]) -> None:
        self.first, self.numbers = optimizers[0], numbers
        self.rows = [[p for group in one.param_groups for p in group["params"]] for one in optimizers]
        self.merged = _merged(optimizers) if len(optimizers) > 1 else self.first

    def __call__(self, gradients: Gradients) -> None:
        for row, number in zip(self.rows, self.numbers, strict=True):
            for parameter, of_each in zip(row, gradients, strict=True):
                parameter.grad = of_each[number]
        for group, moved in zip(self.first.param_groups, self.merged.param_groups, strict=True):
            moved.update(
                {key: value for key, value in group.items() if key != "params"}
            )  # a scheduler's rate
        self.merged.step()

    def release(self) -> None:
        """Nothing: the state of each is its own."""


class FusedAdam:
    """Adam or AdamW by its kernel alone: what `Adam.step` does before costs more than all of a small step."""

    def __init__(self, optimizers: Sequence[Adam], numbers: Sequence[int]) -> None:
        self.first, self.numbers = optimizers[0], numbers
        self.kernel = torch._fused_adamw_ if _decoupled(self.first) else torch._fused_adam_
        states = [one.state[p] for one in optimizers for p in one.param_groups[0]["params"]]
        self.parameters = [p.detach() for one in optimizers for p in one.param_groups[0]["params"]]
        for parameter, state in zip(self.parameters, states, strict=True):
            if not state:  # as torch starts it
                state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
                state["exp_avg"], state["exp_avg_sq"] = (torch.zeros_like(parameter) for _ in range(2))
        self.averages, self.squares = ([state[key] for state in states] for key in ("exp_avg", "exp_avg_sq"))
        self.count = states[0]["step"].clone()  # one for all, which stand at the same step
        self.counts = [state["step"] for state in states]
        self.hooks = [one.register_state_dict_pre_hook(lambda _: self._write_count()) for one in optimizers]

    def __call__(self, gradients: Gradients) -> None:
        options = self.first.param_groups[0]
        self.count += 1
        self.kernel(
            self.parameters, [of_each[number] for number in self.numbers for of_each in gradients],
            self.averages, self.squares, [], [self.count] * len(self.parameters), lr=options["lr"],
            beta1=options["betas"][0], beta2=options["betas"][1], weight_decay=options["weight_decay"],
            eps=options["eps"], amsgrad=False, maximize=options["maximize"], grad_scale=None, found_inf=None,
        )  # fmt: skip

    def release(self) -> None:
        """Write what is counted once for all."""
        self._write_count()
        for hook in self.hooks:
            hook.remove()

    def _write_count(self) -> None:
        """Write the number of steps where each optimizer has its own."""
        for count in self.counts:
            count.copy_(self.count)


def _decoupled(optimizer: Adam) -> bool:
    return isinstance(optimizer, AdamW)


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
