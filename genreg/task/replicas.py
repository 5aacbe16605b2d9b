"""Runs that differ in their seed and in some numbers, trained as one tensor program."""

import copy
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from genreg.forward.update import update
from genreg.model.stacked import stack
from genreg.model.statistics import RunningStatistics
from genreg.optimizer.joint import Joint
from genreg.regularizer import Regularizer
from genreg.task.classify import Classify
from genreg.task.objective import Objective


class Replicas:
    """R tasks of one kind whose updates are made together; all else each does for itself.

    The parameters of each task's model are views of a stacked model's, so that it is evaluated, saved and
    loaded as if it were alone. A step shows that model the batches of all, R x B items, with each replica's
    draws and masks from its own seed, and minimizes the sum of their losses. On the CPU each replica's terms
    and weights are those of its run alone, to the last bit.

    They must stand at the same step, and may differ in what their classes declare (`replicas`).
    """

    def __init__(self, tasks: Sequence[Classify]) -> None:
        first, self.tasks = tasks[0], tasks
        model = stack([task.model for task in tasks])
        self.statistics = RunningStatistics(model)
        self.objective = Objective(
            model,
            methods := {name: _merged([task.methods[name] for task in tasks]) for name in first.methods},
            first.loss,
            self.statistics,
            together=methods,
            seed=tuple(task.seed for task in tasks),
            device=first.device,
            labeled=self.labeled,
            unlabeled=self.unlabeled,
            classes=first.dataset.classes,
        )
        self.optimizer = Joint([task.optimizer for task in tasks], self.objective.parameters)

    def step(self, step: int) -> list[dict[str, Tensor]]:
        """Make update `step` of all; the terms of each, as its own task would return them."""
        terms = update(self.optimizer, partial(self.objective.gradients, step))
        self.statistics.settle()
        for task in self.tasks:
            if task.scheduler:
                task.scheduler.step()
        columns = (term.detach().unbind() for term in terms.values())
        return [dict(zip(terms, values, strict=True)) for values in zip(*columns, strict=True)]

    def labeled(self, step: int) -> tuple[Tensor, Tensor]:
        """The inputs and targets of the labeled batches of all."""
        x, y = zip(*(task.labeled(step) for task in self.tasks), strict=True)
        return torch.cat(x), torch.cat(y)

    def unlabeled(self, step: int) -> Tensor:
        """The inputs of the unlabeled batches of all."""
        return torch.cat([task.unlabeled(step) for task in self.tasks])


def _merged(methods: Sequence[Regularizer]) -> Regularizer:
    """One method of those of all replicas; where their numbers differ it has (R,) of them, in float64.

    A method makes them factors of what it computes, rounded there as a plain number is.
    """
    merged = copy.copy(methods[0])
    for name in merged.replicas or ():
        values = [getattr(method, name) for method in methods]
        if any(value != values[0] for value in values):
            setattr(merged, name, torch.tensor(values, dtype=torch.float64, device="cpu"))
    return merged
