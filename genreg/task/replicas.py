"""Runs that differ in their seed and in some numbers, trained as one tensor program."""

import copy
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from genreg.dataset.sampler import Rows, Samplers
from genreg.model.stacked import Parts, Unstackable, stack, unstack
from genreg.model.statistics import RunningStatistics
from genreg.optimizer.joint import Joint
from genreg.regularizer import Regularizer
from genreg.regularizer.base import Ramp, Ramps
from genreg.task.generation import LOSSES
from genreg.task.objective import Objective
from genreg.task.players import Players
from genreg.task.trainer import Trainer

LARGEST = 5_000_000
"""Parameters of a stacked model; beyond, the gain over single runs falls (scripts/benchmark_replicas.py)."""


def most(parameters: Sequence[Tensor]) -> int:
    """The number of runs of a program, of models with these parameters."""
    return max(1, LARGEST // sum(p.numel() for p in parameters))


class Replicas:
    """R tasks of one kind whose updates are made together; all else each does for itself.

    The parameters of each task's model are views of a stacked model's, so that it is evaluated, saved and
    loaded as if it were alone. A step shows that model the batches of all, R x B items, with each replica's
    draws and masks from its own seed, and minimizes the sum of their losses. On the CPU each replica's terms
    and weights are those of its run alone, to the last bit.

    tasks: each a `Classify` at the same step; they may differ in what their classes declare (`replicas`).
    """

    def __init__(self, tasks: Sequence[Any]) -> None:
        first, self.tasks = tasks[0], tasks
        model = stack(models := [task.model for task in tasks])
        self.statistics = RunningStatistics(model)
        self.objective = Objective(
            model,
            methods := _methods(tasks, model, models),
            first.loss,
            self.statistics,
            together=methods,
            seed=tuple(task.seed for task in tasks),
            device=first.device,
            labeled=self.labeled,
            unlabeled=self.unlabeled,
            classes=first.dataset.classes,
            moving=first.moving,
        )
        self.optimizers: list[Any] = [Joint([task.optimizer for task in tasks], self.objective.parameters)]
        self.trainer = Trainer(model, self.optimizers[0], statistics=self.statistics)
        self.projecting = [task.trainer for task in tasks if task.trainer.projecting]
        self.labeled_batches = Samplers([task.labeled_batch for task in tasks])
        self.unlabeled_batches = Samplers([task.unlabeled_batch for task in tasks])
        self.pool = Rows([task.dataset.unlabeled for task in tasks])
        self.known = [Rows([getattr(task.dataset.labeled, name) for task in tasks]) for name in ("x", "y")]

    def step(self, step: int) -> list[dict[str, Tensor]]:
        """Make update `step` of all; the terms of each, as its own task would return them."""
        terms = self.trainer.update(partial(self.objective.gradients, step))
        for trainer in self.projecting:
            trainer.project()
        for task in self.tasks:
            if task.scheduler:
                task.scheduler.step()
        return _of_each(terms)

    def release(self) -> None:
        self.optimizers[0].release()
        for task in self.tasks:
            for model in (task.model, *_kept(task.methods)):
                unstack(model)

    def labeled(self, step: int) -> tuple[Tensor, Tensor]:
        """The inputs and targets of the labeled batches of all."""
        chosen = self.labeled_batches(step)
        x, y = (rows.take(chosen) for rows in self.known)
        return x, y

    def unlabeled(self, step: int) -> Tensor:
        """The inputs of the unlabeled batches of all."""
        return self.pool.take(self.unlabeled_batches(step))


class PlayersReplicas:
    """R pairs of players whose updates are made together, as `Replicas` of classifiers are.

    tasks: each a `WGAN` at the same step.
    """

    def __init__(self, tasks: Sequence[Any]) -> None:
        first, self.tasks = tasks[0], tasks
        if first.loss is LOSSES["nonsaturating"]:
            raise Unstackable("softplus, which rounds by where numbers stand,")
        model = stack([task.model for task in tasks])
        statistics = RunningStatistics(model.critic), RunningStatistics(model.generator)
        self.players = Players(
            model.generator,
            model.critic,
            _methods(tasks, model.critic, [task.model.critic for task in tasks]),
            first.loss,
            seed=tuple(task.seed for task in tasks),
            device=first.device,
            shown=self.shown,
            critic_steps=first.critic_steps,
            autocast=first.autocast,
            statistics=statistics,
        )
        critic = [task.optimizer for task in tasks], self.players.critic_parameters
        generator = [task.generator_optimizer for task in tasks], self.players.generator_parameters
        self.optimizers: list[Any] = [Joint(*critic), Joint(*generator)]
        self.critic_trainer = Trainer(model.critic, self.optimizers[0], statistics=statistics[0])
        self.generator_trainer = Trainer(model.generator, self.optimizers[1], statistics=statistics[1])
        self.projecting = [task.critic_trainer for task in tasks if task.critic_trainer.projecting]
        self.batches = Samplers([task.batch for task in tasks])
        self.real = Rows([task.real for task in tasks])
        self.y = None if first.y is None else Rows([task.y for task in tasks])

    def step(self, step: int) -> list[dict[str, Tensor]]:
        """Make update `step` of all generators, after those of their critics; the terms of each."""
        steps = self.players.critic_steps
        for number in range(step * steps, (step + 1) * steps):
            terms = self.critic_trainer.update(self.players.critic_objective(number))
            for trainer in self.projecting:
                trainer.project()
        terms |= self.generator_trainer.update(partial(self.players.generator_gradients, step))
        for task in self.tasks:
            task.follow()
        return _of_each(terms)

    def release(self) -> None:
        for optimizer in self.optimizers:
            optimizer.release()

    def shown(self, number: int) -> tuple[Tensor, Tensor | None]:
        """The real items of all, and their labels where players see them."""
        chosen = self.batches(number)
        return self.real.take(chosen), self.y.take(chosen) if self.y else None


def _of_each(terms: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """The terms of each replica, of (R,) each."""
    columns = (term.unbind() for term in terms.values())
    return [dict(zip(terms, values, strict=True)) for values in zip(*columns, strict=True)]


def _methods(tasks: Sequence[Any], model: Any, models: Sequence[Any]) -> dict[str, Regularizer]:
    """The methods of all as one each; model: the stacked one of `models`."""
    of_name = {name: [task.methods[name] for task in tasks] for name in tasks[0].methods}
    device = tasks[0].device
    return {name: _merged(methods, model, models, device) for name, methods in of_name.items()}


def _merged(
    methods: Sequence[Regularizer], model: Any, models: Sequence[Any], device: torch.device
) -> Regularizer:
    """One method of those of all replicas; where their numbers differ it has (R,) of them, in float64.

    A method makes them factors of what it computes, rounded there as a plain number is. The models that it
    keeps, as a teacher, are stacked as the trained ones are.
    """
    merged = OfWeights(methods, Parts(model, models)) if methods[0].of_weights else copy.copy(methods[0])
    for name in methods[0].replicas or ():
        values = [getattr(method, name) for method in methods]
        if any(value != values[0] for value in values):
            setattr(merged, name, _column(values, device))
    for name in methods[0].keeps:
        if isinstance(getattr(merged, name, None), nn.Module):
            setattr(merged, name, stack([getattr(method, name) for method in methods]))
    return merged


def _column(values: Sequence[Any], device: torch.device) -> Any:
    if isinstance(values[0], Ramp):
        keys = ("start", "end", "steps")
        return Ramps(*(_column([getattr(one, key) for one in values], device) for key in keys))
    return torch.tensor(values, dtype=torch.float64, device="cpu").to(device)


def _kept(methods: Mapping[str, Regularizer]) -> list[nn.Module]:
    """The models that methods keep."""
    found = (getattr(method, name) for method in methods.values() for name in method.keeps)
    return [one for one in found if isinstance(one, nn.Module)]


class OfWeights(Regularizer):
    """The penalties of the weights of all, each of its replica's own method."""

    def __init__(self, methods: Sequence[Any], parts: Parts) -> None:
        self.methods, self.parts, self.weight = methods, parts, methods[0].weight

    def penalty(self, forward: Any) -> Tensor:
        found = []
        for method, model in zip(self.methods, self.parts(), strict=True):
            seen = forward.of(forward.method)
            seen.model = model
            found.append(method.penalty(seen))
        return torch.stack(found)
