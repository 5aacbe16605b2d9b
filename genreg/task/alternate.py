"""Two updates a step: one of the labeled loss, one of what reads the unlabeled batch."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from genreg.forward.base import Draws
from genreg.forward.update import backward
from genreg.optimizer import build_optimizer
from genreg.regularizer import penalized
from genreg.task.classify import Classify

Optimizer = Callable[..., torch.optim.Optimizer]


class Alternate(Classify):
    """Semi-supervised classification as the code of kexue.fm archive 7466 makes it: labeled, then unlabeled.

    The first update is that of `Classify` without methods that read the unlabeled batch. The second, at the
    weights that the first left, minimizes their weighed penalties by an optimizer that is only theirs;
    running statistics are left alone. unlabeled_optimizer: its factory; a scheduler moves both.
    `Classify` has the other parameters.
    """

    groups = Classify.groups | {"unlabeled_optimizer"}
    replicas = None

    def __init__(
        self, *, unlabeled_optimizer: Optimizer, scheduler: Callable[..., Any] | None = None, **others: Any
    ) -> None:
        super().__init__(scheduler=scheduler, **others)
        reads = {name: "unlabeled" in method.reads for name, method in self.methods.items()}
        self.objective, self.apart = (
            self._objective({name: self.methods[name] for name, one in reads.items() if one is apart})
            for apart in (False, True)
        )
        self.unlabeled_optimizer = build_optimizer(
            unlabeled_optimizer, self.parameters, seed=self.seed, stream="unlabeled/perturbation"
        )
        self.trainer.optimizers.append(self.unlabeled_optimizer)
        self.unlabeled_scheduler = scheduler(self.unlabeled_optimizer) if scheduler else None

    def step(self, step: int) -> dict[str, Tensor]:
        terms = super().step(step)
        if self.apart.together:
            objective = partial(self.unlabeled_objective, step)
            terms |= self.trainer.update(objective, self.unlabeled_optimizer, self.unlabeled_scheduler)
        return terms

    def unlabeled_objective(self, step: int) -> dict[str, Tensor]:
        """Make the gradients of the second update; each method's unweighted penalty, and their sum."""
        apart, draws = self.apart, Draws(self.seed, step, self.device)
        with self.statistics.frozen():
            pool = apart.clean_pass(apart.pool(step, draws), "unlabeled", draws, apart.trains_pool)
        pool.unlabeled_pass = pool
        loss, penalties = penalized(torch.zeros((), device=self.device), apart.together, pool, step)
        backward(loss, self.parameters)
        return {**penalties, "unlabeled_loss": loss}

    def state_dict(self) -> dict[str, Any]:
        scheduler = self.unlabeled_scheduler
        return super().state_dict() | {
            "unlabeled_optimizer": self.unlabeled_optimizer.state_dict(),
            "unlabeled_scheduler": scheduler.state_dict() if scheduler else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.unlabeled_optimizer.load_state_dict(state["unlabeled_optimizer"])
        if self.unlabeled_scheduler:
            self.unlabeled_scheduler.load_state_dict(state["unlabeled_scheduler"])
