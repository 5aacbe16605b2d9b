"""Semi-supervised classification: cross-entropy on labeled items plus the penalties of its regularizers."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from genreg import streams
from genreg.dataset import Dataset
from genreg.dataset.sampler import Sampler
from genreg.errors import InputError
from genreg.forward.classifier import ClassifierForward, Pass
from genreg.measure import Estimate, GeneratorMeasure, accuracy, cross_entropy, predict
from genreg.model import Classifier
from genreg.optimizer import evaluation_weights
from genreg.parameters import Count, checked
from genreg.regularizer import Regularizer
from genreg.run.task import Task

Precision = Literal["fp32", "tf32", "bf16"]
CPU = torch.device("cpu")
Measure = Callable[[Classifier, Tensor, Tensor], Estimate]


class Classify(Task):
    """Owns model, optimizer and data of one run; `step` is its update.

    dataset, model, optimizer and scheduler are factories: `dataset(seed=)`, `model(input_shape=,
    classes=)`, `optimizer(parameters)` and `scheduler(optimizer)`. batch_size: labeled items a step;
    unlabeled_batch_size: items of the pool a step, drawn if a term uses them. Everything random follows
    from `seed`.
    """

    trains = (Classifier, "a classifier")
    selection = ("validation/accuracy", "max")
    progress = ("cross_entropy", "validation/accuracy")

    @checked
    def __init__(
        self,
        *,
        dataset: Callable[..., Dataset],
        model: Callable[..., Classifier],
        optimizer: Callable[..., torch.optim.Optimizer],
        regularizer: Mapping[str, Regularizer],
        scheduler: Callable[..., Any] | None = None,
        measure: Mapping[str, Measure] | None = None,
        batch_size: Count = 32,
        unlabeled_batch_size: Count = 128,
        seed: int = 0,
        device: torch.device = CPU,
        precision: Precision = "fp32",
    ) -> None:
        set_precision(precision)
        self.seed, self.device = seed, device
        self.autocast = torch.bfloat16 if precision == "bf16" else None
        self.dataset = dataset(seed=seed).to(device)
        if not self.dataset.classes:
            raise InputError("dataset", "one with labels for task=classify", "no labels")
        self.checksums = self.dataset.checksums
        streams.reseed_default(streams.derive(seed, "model"), CPU)
        self.model = model(input_shape=self.dataset.input_shape, classes=self.dataset.classes).to(device)
        self.regularizer = {name: method for name, method in regularizer.items() if method.weight}
        for method in self.regularizer.values():
            method.attach(self.model)
        self.optimizer = optimizer(self.model.parameters())
        self.scheduler = scheduler(self.optimizer) if scheduler else None
        self.measure = measure or {}
        for name, function in self.measure.items():
            if isinstance(function, GeneratorMeasure):
                raise InputError(f"measure.{name}", "a measure of a classifier", "one of a generator")

        n, pool = len(self.dataset.labeled), len(self.dataset.unlabeled)
        self.labeled_batch = Sampler(n, batch_size, seed=seed, stream="batch/labeled", device=device)
        self.unlabeled_batch = Sampler(
            pool, unlabeled_batch_size, seed=seed, stream="batch/unlabeled", device=device
        )

    def step(self, step: int) -> dict[str, Tensor]:
        """Make update `step` (from 0); returns the objective and its unweighted terms, on the device."""
        terms: dict[str, Tensor] = {}

        def closure() -> Tensor:
            first = not terms  # SAM passes twice a step: statistics and terms are those of the first
            found = self.objective(self.forward(step, frozen=not first))
            self.optimizer.zero_grad()
            found["loss"].backward()
            if first:
                terms.update(found)
            return found["loss"]

        self.optimizer.step(closure)  # type: ignore[arg-type]
        for method in self.regularizer.values():
            method.project(self.model)
        if self.scheduler:
            self.scheduler.step()
        return {name: term.detach() for name, term in terms.items()}

    def objective(self, forward: ClassifierForward) -> dict[str, Tensor]:
        """Cross-entropy, each method's unweighted penalty, and `loss`: their weighted sum."""
        loss = F.cross_entropy(forward.labeled.logits, forward.y)
        terms = {"cross_entropy": loss}
        for name, method in self.regularizer.items():
            if (penalty := method.penalty(forward)) is not None:
                terms[name] = penalty
                loss = loss + method.weight * penalty
        return {**terms, "loss": loss}

    def forward(self, step: int, frozen: bool = False) -> ClassifierForward:
        """The clean passes of one step, over batches and with masks that depend on `step` and seed only.

        frozen: leave the running statistics of batch normalization where they are.
        """
        moves = 0.0 if frozen else 1.0
        methods = self.regularizer.values()
        index = self.labeled_batch(step)
        x, y = self.dataset.labeled.x[index], self.dataset.labeled.y[index]
        unlabeled, share = None, 0.0  # of this step's move of the running statistics
        if uses_unlabeled := any(method.uses_unlabeled for method in methods):
            u = self.dataset.unlabeled[self.unlabeled_batch(step)]
            share = len(u) / (len(x) + len(u))
        labeled = self._pass(x, "labeled", step, share=moves * (1 - share), rest=moves * share)
        if uses_unlabeled:
            gradient = any(method.uses_unlabeled_gradient for method in methods)
            unlabeled = self._pass(u, "unlabeled", step, share=moves * share, gradient=gradient)
        return ClassifierForward(
            model=self.model, labeled=labeled, y=y, unlabeled_pass=unlabeled,
            seed=self.seed, step=step, device=self.device,
        )  # fmt: skip

    def _pass(self, x: Tensor, name: str, step: int, **options: Any) -> Pass:
        masks = streams.derive(self.seed, f"dropout/{name}", step)
        return Pass(self.model, x, seed=masks, dtype=self.autocast, **options)

    def evaluate(self) -> dict[str, float]:
        """Every measure on validation and test, also on their clean items where some are not."""
        with evaluation_weights(self.optimizer):
            return self._evaluate()

    def _evaluate(self) -> dict[str, float]:
        row: dict[str, float] = {}
        for name, split in (("validation", self.dataset.validation), ("test", self.dataset.test)):
            logits = predict(self.model, split.x)
            row |= self._row(name, logits, split.y)
            if split.clean.any() and not split.clean.all():
                row |= self._row(f"{name}_clean", logits[split.clean], split.y[split.clean])
        for measure, function in self.measure.items():
            for name in getattr(function, "splits", ("validation", "test")):
                split = getattr(self.dataset, name)
                row[f"{name}/{measure}"] = function(self.model, split.x, split.y).value
        return row

    @staticmethod
    def _row(name: str, logits: Tensor, y: Tensor) -> dict[str, float]:
        measures = {"accuracy": accuracy, "cross_entropy": cross_entropy}
        return {f"{name}/{key}": function(logits, y).value for key, function in measures.items()}

    def weights(self) -> dict[str, Tensor]:
        """What a trained model is: its parameters and buffers, as evaluated."""
        with evaluation_weights(self.optimizer):
            return {name: weight.detach().clone() for name, weight in self.model.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on, beside its number and the configuration."""
        scheduler = self.scheduler.state_dict() if self.scheduler else None
        model = self.model.state_dict()
        return {"model": model, "optimizer": self.optimizer.state_dict(), "scheduler": scheduler}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler:
            self.scheduler.load_state_dict(state["scheduler"])


def set_precision(precision: Precision) -> None:
    """Let float32 products use tf32, or forbid it; bf16 is a matter of each pass."""
    tf32 = precision == "tf32"
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
