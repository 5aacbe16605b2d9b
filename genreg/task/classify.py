"""Semi-supervised classification or regression: a loss on labeled items plus the methods under study."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from genreg import streams
from genreg.dataset import Dataset, Kind, corrupted, drawn, mislabeled
from genreg.dataset.sampler import sampler
from genreg.errors import InputError
from genreg.forward.base import Draws
from genreg.forward.classifier import ClassifierForward
from genreg.loss import CrossEntropy, Loss
from genreg.measure import ClassifierMeasure
from genreg.model import Classifier
from genreg.model.own import check_classifier
from genreg.model.statistics import RunningStatistics
from genreg.optimizer import build_optimizer, trainable
from genreg.parameters import Count, CountOrZero, Fraction, Neutral, NonNegative, checked
from genreg.regularizer import Regularizer
from genreg.run import ranks
from genreg.run.folder import Row
from genreg.run.metric import GAP, VALIDATION, Metric
from genreg.run.task import Task
from genreg.task.collapse import Collapse
from genreg.task.evaluation import Undefined, check_frames, evaluate, picture, reported, sample
from genreg.task.fit import check_items, check_measures, check_methods, check_normalization, fitting
from genreg.task.objective import Moving, Objective, reads_pool
from genreg.task.replicas import Replicas, most
from genreg.task.trainer import Precision, Trainer, attach, load, saved, set_precision

CPU = torch.device("cpu")
SHOWN = 10_000  # items of the pool whose statistics are those of all: their means are off by 1 % of a spread


class Classify(Task):
    """Owns model, optimizer and data of one run; `step` is its update.

    dataset, model, optimizer and scheduler are factories: `dataset(seed=)`, `model(input_shape=,
    outputs=)`, `optimizer(parameters)` and `scheduler(optimizer)`. batch_size: labeled items a step;
    unlabeled_batch_size: items of the pool a step, drawn if a term uses them. validation_items: how many
    choose the step, drawn by `seed`; None: all of the data set's. statistics: the batches that move running
    statistics, `both` in proportion to their sizes or the `labeled` one; `anew`: whenever they are read they
    are the averages over the first unlabeled batches, of at most `SHOWN` items. frames: steps at which what a
    classifier of points makes of the plane is drawn (`plane.picture`). label_noise: share of the labeled
    items whose class is replaced (`dataset.mislabeled`). corruption: strength of each kind of copy of the
    test items (`dataset.corrupted`). Everything random follows from `seed`.
    """

    groups = frozenset({"dataset", "model", "loss", "optimizer", "scheduler", "regularizer", "measure"})
    trains = (Classifier, "a classifier")
    wraps = True
    measures = (ClassifierMeasure, "a measure of a classifier")
    families = (VALIDATION, replace(VALIDATION, name="validation_clean"))
    model: Classifier
    offers = frozenset({"batch", "losses", "labeled", "unlabeled", "again", "numbers"})
    suggests = ("regularizer=vat",)
    replicas: ClassVar[tuple[str, ...] | None] = ()
    by_item: ClassVar[tuple[str, ...] | None] = ()

    @checked
    def __init__(
        self,
        *,
        dataset: Callable[..., Dataset],
        model: Callable[..., Classifier],
        optimizer: Callable[..., torch.optim.Optimizer],
        regularizer: Mapping[str, Regularizer],
        loss: Loss | None = None,
        scheduler: Callable[..., Any] | None = None,
        measure: Mapping[str, Any] | None = None,
        batch_size: Count = 32,
        unlabeled_batch_size: Count = 128,
        validation_items: Annotated[Count | None, Neutral(None)] = None,
        statistics: Annotated[Moving, Neutral("both")] = "both",
        frames: Annotated[list[CountOrZero] | None, Neutral(None)] = None,
        label_noise: Annotated[Fraction, Neutral(0)] = 0.0,
        corruption: Annotated[
            Mapping[Kind, NonNegative] | None, Neutral({"noise": 0, "blur": 0, "shift": 0})
        ] = None,
        seed: int = 0,
        device: torch.device = CPU,
        precision: Precision = "fp32",
    ) -> None:
        set_precision(precision)
        self.seed, self.device = seed, device
        self.sizes = {"task.batch_size": batch_size, "task.unlabeled_batch_size": unlabeled_batch_size}
        self.autocast = torch.bfloat16 if precision == "bf16" else None
        self.moving = statistics
        self.loss = loss or CrossEntropy()
        self.dataset = self._read(dataset, validation_items, label_noise, corruption or {})
        self._check(regularizer, measure or {})
        check_frames(frames, self.dataset)
        self.frames = frames or ()
        self._make_model(model, regularizer)
        self._make_trainer(optimizer, scheduler)
        self._set_measures(measure or {})
        self._describe()
        self.collapse = Collapse(self.methods, self.dataset, "validation/accuracy")
        self.objective = self._objective(self.methods)
        self._make_batches(batch_size, unlabeled_batch_size)

    def _make_trainer(
        self, optimizer: Callable[..., torch.optim.Optimizer], scheduler: Callable[..., Any] | None
    ) -> None:
        """Make the optimizer, its scheduler, and what follows its steps."""
        self.optimizer = build_optimizer(optimizer, self.parameters, seed=self.seed)
        self.scheduler = scheduler(self.optimizer) if scheduler else None
        self.trainer = Trainer(
            self.model, self.optimizer, self.scheduler, methods=self.methods, statistics=self.statistics,
            judging=self._statistics_of_pool if self.moving == "anew" else nullcontext,
        )  # fmt: skip

    def _statistics_of_pool(self) -> AbstractContextManager[None]:
        """Inside, running statistics are those of the pool as it is, with the noise of training."""
        batches = range(min(SHOWN, len(self.dataset.unlabeled)) // self.unlabeled_batch.batch or 1)
        return self.statistics.anew(lambda: self.objective.show(map(self.unlabeled, batches)))

    def _objective(self, together: Mapping[str, Regularizer]) -> Objective:
        """Return the objective with the penalties of these methods."""
        data = self.dataset
        return Objective(
            self.model, self.methods, self.loss, self.statistics, together=together, seed=self.seed,
            device=self.device,
            labeled=self.labeled, unlabeled=self.unlabeled, numbers=self.numbers, classes=data.classes,
            vocabulary=len(data.vocabulary or ()), dtype=self.autocast, moving=self.moving,
        )  # fmt: skip

    def _check(self, regularizer: Mapping[str, Regularizer], measure: Mapping[str, Any]) -> None:
        """InputError for what does not fit the data."""
        shape, classes = self.dataset.input_shape, self.dataset.classes
        texts = self.dataset.vocabulary is not None
        known = {"classes": classes > 0, "pictures": len(shape) == 3, "tokens": texts}
        found = f"{'classes' if classes else 'real targets'} and inputs of shape {tuple(shape)}"
        check_methods(regularizer, self.offers | {name for name, is_so in known.items() if is_so}, found)
        check_measures(measure, self.measures, classes > 0)
        check_items(measure, self.dataset)

    def _set_measures(self, measure: Mapping[str, Any]) -> None:
        """Keep the measures; InputError for one that cannot be made of this model."""
        self.measure, self.undefined = dict(measure), Undefined()
        for chosen in self.measure.values():
            chosen.check(self.model, self.dataset.validation.x[:1])

    def _make_batches(self, labeled: int, unlabeled: int) -> None:
        """Make the samplers; InputError for batches of one item that the model cannot normalize."""
        data = self.dataset
        self.labeled_batch = sampler(data.labeled.x, labeled, data.vocabulary, self.seed, "batch/labeled")
        self.unlabeled_batch = sampler(
            data.unlabeled, unlabeled, data.vocabulary, self.seed, "batch/unlabeled"
        )
        ranks.check_batch("task.batch_size", self.labeled_batch.batch)
        if reads_pool(self.methods):
            ranks.check_batch("task.unlabeled_batch_size", self.unlabeled_batch.batch)
        x = data.labeled.x[:1]
        draws = Draws(self.seed, 0, self.device)
        if self.labeled_batch.batch == 1 and len(self.objective.batch(0, draws)[0].e) == 1:
            few = "task.batch_size" if labeled == 1 else "dataset.labeled"
            check_normalization(self.model, few, x)
        if self.unlabeled_batch.batch == 1 and reads_pool(self.methods):
            check_normalization(self.model, "task.unlabeled_batch_size", x)

    def _read(
        self, dataset: Callable[..., Dataset], validation_items: int | None, label_noise: float,
        corruption: Mapping[Kind, float],
    ) -> Dataset:  # fmt: skip
        data: Dataset = dataset(seed=self.seed)
        if label_noise:
            if not data.classes:
                raise InputError("task.label_noise", "0 for a dataset without classes", label_noise)
            labeled = mislabeled(data.labeled, data.classes, label_noise, self.seed)
            data = replace(data, labeled=labeled)
        copies = corrupted(data.test, corruption, self.seed, "task.corruption")
        data = replace(data, corrupted=copies).to(self.device)
        if validation_items:
            few = drawn(data.validation, "task.validation_items", validation_items, self.seed)
            data = replace(data, validation=few)
        if not data.outputs:
            raise InputError("dataset", "one with labels for task=classify", "no labels")
        if data.classes == 1:
            raise InputError("dataset", "two classes or more for task=classify", "one class")
        self.loss.check(data.classes)
        self.checksums, self.items, self.told = data.checksums, data.items, data.told
        self.sample = sample(data.labeled)
        return data

    def _make_model(self, model: Callable[..., Classifier], regularizer: Mapping[str, Regularizer]) -> None:
        streams.reseed_default(streams.derive(self.seed, "model"), CPU)
        made: Classifier = fitting(model, self.dataset)
        self.checksums = {**self.checksums, **made.checksums}
        self.model = made.to(self.device)
        check_classifier(self.model, self.dataset.labeled.x, self.dataset.outputs)
        self.methods = attach(regularizer, self.model)
        self.statistics = RunningStatistics(self.model)
        self.parameters = trainable(self.model)

    def _describe(self) -> None:
        """Say what the numbers of an evaluation are, and which of them chooses the step."""
        own = self.loss.metrics(self.dataset.classes)
        gap = replace(own[0], name=GAP, better="min")
        self.metrics = [*own, gap, *(replace(m.metric, name=name) for name, m in self.measure.items())]
        self.selection = (f"validation/{own[0].name}", own[0].better or "max")
        self.progress = (self.loss.name, self.selection[0])

    @classmethod
    def reports(
        cls,
        *,
        loss: Loss | None = None,
        measure: Mapping[str, Any] | None = None,
        corruption: Mapping[Kind, float] | None = None,
        **_: Any,
    ) -> dict[str, Metric]:
        check_measures(measure or {}, cls.measures)
        kinds = [kind for kind, strength in (corruption or {}).items() if strength]
        return reported(loss or CrossEntropy(), measure or {}, kinds)

    @classmethod
    def program(cls, tasks: Sequence[Self]) -> Replicas:
        return Replicas(tasks)

    def join(self, other: Self) -> int:
        self.dataset = self.dataset.sharing(other.dataset)
        return most(self.parameters)

    def step(self, step: int) -> dict[str, Tensor]:
        """Make update `step` (from 0); returns the objective and its unweighted terms, on the device."""
        return self.trainer.update(partial(self.objective.gradients, step))

    def forward(self, step: int) -> ClassifierForward:
        """The clean passes of update `step`, as its methods see them."""
        return self.objective.forward(step)

    def labeled(self, step: int) -> tuple[Tensor, Tensor]:
        """The inputs and targets of the labeled batch of update `step`."""
        data, chosen = self.dataset.labeled, self.labeled_batch(step)
        x = self.labeled_batch.trimmed(data.x.index_select(0, chosen), step)
        return x, data.y.index_select(0, chosen)

    def unlabeled(self, step: int) -> Tensor:
        """The inputs of the unlabeled batch of update `step`."""
        return self.unlabeled_batch.take(self.dataset.unlabeled, step)

    def numbers(self, step: int) -> tuple[Tensor, int]:
        """The places in the pool of the unlabeled batch of update `step`, and the size of the pool."""
        return self.unlabeled_batch(step), self.unlabeled_batch.n

    def evaluate(self) -> dict[str, float]:
        """The row of `evaluation.evaluate`, of the weights that are judged."""
        with self.trainer.judged():
            self.collapse.look(self.model)
            return evaluate(self.model, self.dataset, self.sample, self.loss, self.measure, self.undefined)

    def remark(self, row: Row) -> str:
        return self.collapse.remark(row)

    def images(self) -> dict[str, np.ndarray]:
        """The plane as the model sees it with the weights that are judged."""
        with self.trainer.judged():
            return {"samples": picture(self.model, self.dataset, self.measure)}

    def weights(self) -> dict[str, Tensor]:
        return self.trainer.weights()

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        self.trainer.load_weights(weights)

    def state_dict(self) -> dict[str, Any]:
        return self.trainer.state_dict() | {"methods": saved(self.methods)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.trainer.load_state_dict(state)
        load(self.methods, state["methods"], self.device)
