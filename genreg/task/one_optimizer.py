"""The base of tasks that train one model by one optimizer: what is saved of it."""

from typing import Any

import torch
from torch import Tensor

from genreg.run.task import Task
from genreg.task.trainer import Trainer


class OneOptimizer(Task):
    """A model, its optimizer and perhaps a scheduler of the learning rate."""

    trainer: Trainer
    optimizer: torch.optim.Optimizer
    scheduler: Any = None

    def weights(self) -> dict[str, Tensor]:
        """The trained model: its parameters and buffers, as evaluated."""
        with self.trainer.judged():
            return {name: weight.detach().clone() for name, weight in self.model.state_dict().items()}

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        super().load_weights(weights)
        self.trainer.end()

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on, beside its number and the configuration."""
        return {
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict() if self.scheduler else None,
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler:
            self.scheduler.load_state_dict(state["scheduler"])
