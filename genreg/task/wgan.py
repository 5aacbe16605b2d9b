"""Adversarial training: a critic tells real from fake, a generator follows it."""

import copy
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from genreg import streams
from genreg.dataset import Dataset
from genreg.dataset.sampler import Sampler
from genreg.errors import InputError
from genreg.measure import GanMeasure
from genreg.model.gan import Gan
from genreg.model.own import gan
from genreg.model.shared import sharing
from genreg.model.statistics import RunningStatistics
from genreg.optimizer import build_optimizer, trainable
from genreg.parameters import Count, Fraction, checked
from genreg.regularizer import Regularizer
from genreg.regularizer.average import follow
from genreg.regularizer.base import active
from genreg.run import ranks
from genreg.run.metric import VALIDATION, Family, Metric
from genreg.run.task import Task
from genreg.task.fit import check_measures, check_methods, check_normalization
from genreg.task.generation import LOSSES, GanEvaluation, LossName, reported, signed
from genreg.task.players import Players
from genreg.task.replicas import PlayersReplicas, most
from genreg.task.trainer import Precision, Trainer, attach, load, saved, set_precision

log = logging.getLogger("genreg")

CPU = torch.device("cpu")


class WGAN(Task):
    """Owns two players, their optimizers and data; a step is `critic_steps` updates of the critic and one of
    the generator.

    dataset, model, optimizer (the critic's), generator_optimizer and scheduler (of both) are factories.
    Pictures are moved from [0, 1] to [-1, 1], where generators live. Regularizers act on the critic.

    loss: of both players. ema_decay: of the average of the generator's weights that is evaluated and kept; 0
    evaluates the generator itself. conditional: the players see labels, and train on the labeled items; on
    the whole pool otherwise. select: the measure of distance whose smallest value on validation chooses the
    step; `auto` takes the first chosen of `SELECTABLE`, None keeps the last step.
    """

    groups = frozenset(
        {"dataset", "model", "optimizer", "generator_optimizer", "scheduler"}
        | {"regularizer", "measure", "features"}
    )
    trains = (Gan, "a generator and a critic")
    measures = (GanMeasure, "a measure of a generator, for task=wgan")
    families = (VALIDATION, VALIDATION.errors, Family("test").errors)
    baselines = (*Task.baselines, "clip")
    replicas = ()
    by_item = ()
    model: Gan

    @checked
    def __init__(
        self,
        *,
        dataset: Callable[..., Dataset],
        model: Callable[..., Gan],
        optimizer: Callable[..., torch.optim.Optimizer],
        generator_optimizer: Callable[..., torch.optim.Optimizer],
        regularizer: Mapping[str, Regularizer],
        scheduler: Callable[..., Any] | None = None,
        measure: Mapping[str, Any] | None = None,
        features: Any = None,
        loss: LossName = "wasserstein",
        batch_size: Count = 64,
        critic_steps: Count = 5,
        ema_decay: Fraction = 0.0,
        conditional: bool = False,
        select: str | None = "auto",
        seed: int = 0,
        device: torch.device = CPU,
        precision: Precision = "fp32",
    ) -> None:
        check_methods(regularizer, frozenset(), "task=wgan")
        check_measures(measure or {}, self.measures)
        set_precision(precision)
        self.seed, self.device, self.sizes = seed, device, {"task.batch_size": batch_size}
        self.loss, self.critic_steps, self.ema_decay = LOSSES[loss], critic_steps, ema_decay
        self.autocast = partial(torch.autocast, device.type, torch.bfloat16, enabled=precision == "bf16")
        data = self.dataset = self._read(dataset, conditional, batch_size)
        self._make_players(model, data, regularizer, data.classes if conditional else 0)
        if self.batch.batch == 1:
            self._check_batches("task.batch_size" if batch_size == 1 else "dataset")
        self._make_trainers(optimizer, generator_optimizer)
        players = (self.optimizer, self.generator_optimizer)
        self.schedulers = [scheduler(player) for player in players] if scheduler else []
        self.evaluation = GanEvaluation(data, measure or {}, features, select, self.critic)
        self._describe(data, features)
        if loss == "wasserstein" and not active(regularizer):
            log.warning("task=wgan: no regularizer bounds the critic, whose scores may grow without end: "
                        "regularizer=gradient_penalty, spectral_normalization, ...")  # fmt: skip

    @classmethod
    def reports(cls, *, measure: Mapping[str, Any] | None = None, **_: Any) -> dict[str, Metric]:
        check_measures(measure or {}, cls.measures)
        return reported(measure or {})

    def _describe(self, data: Dataset, features: Any) -> None:
        """Say what an evaluation's numbers are, which of them chooses the step, and what they rest on."""
        self.selection, self.progress = self.evaluation.selection, self.evaluation.progress
        self.metrics = self.evaluation.metrics
        self.conditions = {"features": features.name} if features else {}
        self.items, self.told = data.items, data.told
        self.checksums = data.checksums | (features.checksums if features else {})

    def _read(self, dataset: Callable[..., Dataset], conditional: bool, batch_size: int) -> Dataset:
        data = dataset(seed=self.seed).to(self.device)
        if conditional and not data.classes:
            raise InputError("task.conditional", "false for data without labels", True)
        self.real = signed(data.labeled.x if conditional else data.unlabeled)
        self.y = data.labeled.y if conditional else None
        self.batch = Sampler(
            len(self.real), batch_size, seed=self.seed, stream="batch/real", device=self.device
        )
        ranks.check_batch("task.batch_size", self.batch.batch)
        return data

    def _make_players(
        self, model: Callable[..., Gan], data: Dataset, regularizer: Mapping[str, Regularizer], classes: int
    ) -> None:
        streams.reseed_default(streams.derive(self.seed, "model"), CPU)
        self.model = sharing(gan(model, input_shape=data.input_shape, classes=classes)).to(self.device)
        self.generator, self.critic = self.model.generator, self.model.critic
        self.methods = attach(regularizer, self.critic)
        self.average = self.generator
        if self.ema_decay:
            self.average = copy.deepcopy(self.generator).requires_grad_(False)
        players = (self.critic, self.generator)
        self.critic_statistics, self.generator_statistics = map(RunningStatistics, players)
        self.critic_parameters, self.generator_parameters = map(trainable, players)

    def _make_trainers(
        self, critic: Callable[..., torch.optim.Optimizer], generator: Callable[..., torch.optim.Optimizer]
    ) -> None:
        """Make the optimizer of each player, and what follows its steps."""
        self.optimizer = build_optimizer(critic, self.critic_parameters, seed=self.seed)
        self.generator_optimizer = build_optimizer(
            generator, self.generator_parameters, seed=self.seed, stream="generator/perturbation"
        )
        self.players = Players(
            self.generator, self.critic, self.methods, self.loss, seed=self.seed, device=self.device,
            shown=self.shown, critic_steps=self.critic_steps, autocast=self.autocast,
            statistics=(self.critic_statistics, self.generator_statistics),
        )  # fmt: skip
        self.critic_trainer = Trainer(
            self.critic, self.optimizer, methods=self.methods, statistics=self.critic_statistics
        )
        self.generator_trainer = Trainer(
            self.generator, self.generator_optimizer, statistics=self.generator_statistics,
            average=self.average if self.ema_decay else None,
        )  # fmt: skip

    def _check_batches(self, key: str) -> None:
        """InputError for batches of one item that a player cannot normalize."""
        y = None if self.y is None else self.y[:1]
        check_normalization(self.critic, key, self.real[:1], y)
        check_normalization(self.generator, key, torch.zeros(1, self.generator.latent, device=self.device), y)

    @classmethod
    def program(cls, tasks: Sequence[Self]) -> PlayersReplicas:
        return PlayersReplicas(tasks)

    def join(self, other: Self) -> int:
        self.dataset = self.dataset.sharing(other.dataset)
        return most([*self.critic_parameters, *self.generator_parameters])

    def step(self, step: int) -> dict[str, Tensor]:
        """Make update `step` (from 0) of the generator, after its critic's; returns the terms of both.

        `wasserstein` is the critic's mean score of real less fake; it and the penalties are those of the
        last critic update.
        """
        for number in range(step * self.critic_steps, (step + 1) * self.critic_steps):
            terms = self.critic_step(number)
        terms |= self.generator_step(step)
        self.follow()
        return terms

    def follow(self) -> None:
        """Do what follows both players' updates: the average and the learning rates move."""
        if self.ema_decay:
            with self.generator_trainer.noise_free():
                follow(self.average, self.generator, self.ema_decay)
        for scheduler in self.schedulers:
            scheduler.step()

    def critic_step(self, number: int) -> dict[str, Tensor]:
        """Make update `number` of the critic, against samples of the generator as it is."""
        return self.critic_trainer.update(self.players.critic_objective(number))

    def generator_step(self, step: int) -> dict[str, Tensor]:
        """One update of the generator against the frozen critic."""
        return self.generator_trainer.update(partial(self.players.generator_gradients, step))

    def shown(self, number: int) -> tuple[Tensor, Tensor | None]:
        """The real items of the critic's update `number`, and their labels where players see them."""
        index = self.batch(number)
        return self.real[index], None if self.y is None else self.y[index]

    def evaluate(self) -> dict[str, float]:
        """Every measure of the (averaged) generator and the critic; raises as `GanEvaluation.row` does."""
        with self._as_judged():
            return self.evaluation.row(self.generator, self.seed)

    def images(self) -> dict[str, np.ndarray]:
        """Samples from the same latents every time."""
        with self._as_judged():
            return {"samples": self.evaluation.picture(self.generator, self.seed)}

    @contextmanager
    def _as_judged(self) -> Iterator[None]:
        """Give both players the weights that are judged, then their own back."""
        with self.critic_trainer.judged(), self.generator_trainer.judged():
            yield

    def results(self) -> dict[str, dict[str, Tensor]]:
        """`histograms` of gradient norms, (evaluations, bins)."""
        counts = self.evaluation.counts()
        return {"histograms": counts} if counts else {}

    def weights(self) -> dict[str, Tensor]:
        """The generator as evaluated and the critic, under `generator.` and `critic.`."""
        with self._as_judged():
            return {name: weight.detach().clone() for name, weight in self.model.state_dict().items()}

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Take up both players; the generator and its average are one from here on."""
        super().load_weights(weights)
        for trainer in (self.critic_trainer, self.generator_trainer):
            trainer.end()

    def state_dict(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(), "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(), "evaluation": self.evaluation.state_dict(),
            "generator_optimizer": self.generator_optimizer.state_dict(),
            "schedulers": [scheduler.state_dict() for scheduler in self.schedulers],
            "methods": saved(self.methods),
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator_optimizer.load_state_dict(state["generator_optimizer"])
        self.evaluation.load_state_dict(state["evaluation"])
        for scheduler, own in zip(self.schedulers, state["schedulers"], strict=True):
            scheduler.load_state_dict(own)
        load(self.methods, state["methods"], self.device)
