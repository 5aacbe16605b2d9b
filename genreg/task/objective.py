"""The objective of an update of a classifier: a loss on labeled items and the penalties of the methods."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from genreg import streams
from genreg.dataset import Batch
from genreg.forward.base import Draws
from genreg.forward.classifier import ClassifierForward, embedded
from genreg.forward.update import backward, counts, uncounted
from genreg.loss import Loss
from genreg.model import Classifier
from genreg.model.stacked import draws_masks
from genreg.model.statistics import RunningStatistics
from genreg.optimizer import trainable
from genreg.regularizer import Regularizer, penalized
from genreg.streams import Seed
from genreg.task.trainer import with_hook

Moving = Literal["both", "labeled", "anew"]
"""The batches of an update that move running statistics; `anew`: none, they are made when they are read."""


class Objective:
    """Makes the passes, the terms and the gradients of an update: of one run, or of replicas as one program.

    methods: whose hooks act on the labeled batch. together: those whose penalties are minimized here. seed:
    of replicas, that of each. labeled, unlabeled: the inputs and targets, and the inputs, of the batch of an
    update; of replicas, the items of each after those of the one before. numbers: the places in the pool of
    its unlabeled batch and the pool's size, for methods that read them. classes, vocabulary: of the data.
    dtype: of autocast, or None. moving: the batches that move running statistics.
    """

    def __init__(
        self,
        model: Classifier,
        methods: Mapping[str, Regularizer],
        loss: Loss,
        statistics: RunningStatistics,
        *,
        together: Mapping[str, Regularizer],
        seed: Seed,
        device: torch.device,
        labeled: Callable[[int], tuple[Tensor, Tensor]],
        unlabeled: Callable[[int], Tensor],
        numbers: Callable[[int], tuple[Tensor, int]] | None = None,
        classes: int,
        vocabulary: int = 0,
        dtype: torch.dtype | None = None,
        moving: Moving = "both",
    ) -> None:
        self.model, self.together, self.loss, self.statistics = model, together, loss, statistics
        self.mixing, self.weighing = (with_hook(dict(methods), hook) for hook in ("batch", "losses"))
        self.reads_pool = reads_pool(together)
        self.trains_pool = any(method.trains_unlabeled for method in together.values())
        self.seed, self.device, self.dtype, self.moving = seed, device, dtype, moving
        self.labeled, self.unlabeled = labeled, unlabeled
        self.numbers = numbers if any("numbers" in method.reads for method in together.values()) else None
        self.classes, self.vocabulary = classes, vocabulary
        self.parameters = trainable(model)
        self.draws_inside = isinstance(seed, int) or draws_masks(model)

    def gradients(self, step: int) -> dict[str, Tensor]:
        """Make the gradients of update `step`; the loss, each method's unweighted penalty, their sum.

        Each is a scalar; of replicas, (R,).
        """
        forward = self.forward(step)
        labeled = self.labeled_loss(forward)
        loss, penalties = penalized(labeled, self.together, forward, step)
        backward(loss, self.parameters)
        return {self.loss.name: labeled, **penalties, "loss": loss}

    def labeled_loss(self, forward: ClassifierForward) -> Tensor:
        """The mean loss of the labeled batch, as far as methods leave it."""
        if not self.weighing:
            return self.loss(forward.logits, forward.batch, "mean")
        losses = self.loss(forward.logits, forward.batch)
        for name, method in self.weighing.items():
            losses = method.losses(forward.of(name), losses)
        return forward.mean(losses)

    def forward(self, step: int) -> ClassifierForward:
        """The clean passes of one update, over batches and with masks that depend on `step` and seed only.

        Running statistics move by the labeled batch, or by both in proportion to their sizes, or not at all.
        """
        draws, moves = Draws(self.seed, step, self.device), counts() and self.moving != "anew"
        batch, shown = self.batch(step, draws)
        pool = self.pool(step, draws) if self.reads_pool else None
        joins = moves and self.moving == "both" and bool(self.statistics.layers)
        if pool and joins:
            self.statistics.begin()
        with nullcontext() if moves else self.statistics.frozen():
            labeled = self.clean_pass(batch, "labeled", draws)
        if pool:
            share = pool.e.shape[0] / (shown + pool.e.shape[0])
            with self.statistics.second(share) if joins else self.statistics.frozen():
                labeled.unlabeled_pass = self.clean_pass(pool, "unlabeled", draws, self.trains_pool)
        return labeled

    def clean_pass(self, batch: Batch, name: str, draws: Draws, gradient: bool = True) -> ClassifierForward:
        """The pass over a batch; gradient: some term asks for one through its logits."""
        masks = streams.derived(self.seed, f"dropout/{name}", draws.step) if self.draws_inside else self.seed
        return ClassifierForward(
            self.model, batch, draws=draws, masks=masks, loss=self.loss, statistics=self.statistics,
            gradient=gradient, dtype=self.dtype,
        )  # fmt: skip

    @torch.no_grad()
    def show(self, items: Iterable[Tensor]) -> None:
        """Pass batches of inputs as an update does, with masks of their numbers; only statistics move."""
        streams.begin_update()
        with uncounted():
            for number, x in enumerate(items):
                draws = Draws(self.seed, number, self.device)
                self.clean_pass(self._embedded(x, x.new_empty(0)), "statistics", draws)

    def batch(self, step: int, draws: Draws) -> tuple[Batch, int]:
        """The labeled batch of an update, embedded, as methods change it; and how many items were drawn."""
        x, y = self.labeled(step)
        batch = self._embedded(x, y)
        for name, method in self.mixing.items():
            batch = method.batch(batch, draws[name])
        return batch, x.shape[0]

    def pool(self, step: int, draws: Draws) -> Batch:
        """The unlabeled batch of an update, embedded, as methods change it."""
        x = self.unlabeled(step)
        batch = self._embedded(x, x.new_empty(0))
        if self.numbers:
            numbers, size = self.numbers(step)
            batch = replace(batch, numbers=numbers, pool=size)
        for name, method in self.mixing.items():
            if method.unlabeled:
                batch = method.batch(batch, draws[f"{name}/unlabeled"])
        return batch

    def _embedded(self, x: Tensor, y: Tensor) -> Batch:
        replicas = streams.replicas_of(self.seed)
        return embedded(self.model, x, y, self.classes, self.vocabulary, replicas)


def reads_pool(methods: Mapping[str, Regularizer]) -> bool:
    """True if one of them reads the unlabeled batch."""
    return any("unlabeled" in method.reads for method in methods.values())
