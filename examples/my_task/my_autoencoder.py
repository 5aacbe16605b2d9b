"""A task of one's own: an autoencoder, which learns from inputs alone."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from genreg import streams
from genreg.dataset import Dataset
from genreg.dataset.sampler import Sampler
from genreg.forward.update import backward
from genreg.model.passes import evaluation_mode
from genreg.optimizer import build_optimizer, trainable
from genreg.run.metric import VALIDATION, Metric
from genreg.run.task import Task
from genreg.task.trainer import Trainer


class Autoencoder(Task):
    """Minimizes the mean squared error of what the model makes of inputs through fewer numbers."""

    groups = frozenset({"dataset", "model", "optimizer"})
    trains = (nn.Module, "a module that returns what it is given")
    families = (VALIDATION,)
    metrics = (Metric("error", "min"),)
    selection = ("validation/error", "min")
    progress = ("loss", "validation/error")

    def __init__(
        self, *, dataset: Callable[..., Dataset], model: Callable[..., nn.Module],
        optimizer: Callable[..., torch.optim.Optimizer], batch_size: int = 64, seed: int = 0,
        device: torch.device, precision: str = "fp32",
    ) -> None:  # fmt: skip
        self.device, self.dataset = device, dataset(seed=seed).to(device)
        self.checksums, self.items = self.dataset.checksums, self.dataset.items
        streams.reseed_default(streams.derive(seed, "model"), torch.device("cpu"))
        self.model = model(input_shape=self.dataset.input_shape).to(device)
        self.parameters = trainable(self.model)
        self.trainer = Trainer(self.model, build_optimizer(optimizer, self.parameters, seed=seed))
        pool = len(self.dataset.unlabeled)
        self.batch = Sampler(pool, batch_size, seed=seed, stream="batch/unlabeled", device=device)

    def step(self, step: int) -> dict[str, Tensor]:
        x = self.dataset.unlabeled[self.batch(step)]

        def objective() -> dict[str, Tensor]:
            loss = self._errors(x).mean()
            backward(loss, self.parameters)
            return {"loss": loss}

        return self.trainer.update(objective)

    def _errors(self, x: Tensor) -> Tensor:
        errors: Tensor = (self.model(x) - x).square().flatten(1).mean(1)
        return errors

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        splits = {name: getattr(self.dataset, name).x for name in ("validation", "test")}
        with self.trainer.judged(), evaluation_mode(self.model):
            return {f"{name}/error": self._errors(x).mean().item() for name, x in splits.items()}

    def weights(self) -> dict[str, Tensor]:
        return self.trainer.weights()

    def state_dict(self) -> dict[str, Any]:
        return self.trainer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.trainer.load_state_dict(state)


class Bottleneck(nn.Sequential):
    """Linear layers down to `width` numbers and back: principal components, when it has learned."""

    def __init__(self, input_shape: list[int], width: int = 8) -> None:
        size = math.prod(input_shape)
        layers = nn.Flatten(), nn.Linear(size, width), nn.Linear(width, size), nn.Unflatten(1, input_shape)
        super().__init__(*layers)
