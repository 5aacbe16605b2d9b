"""Learning what a text is like from the pool, without labels."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genreg import streams
from genreg.dataset import Dataset, Split
from genreg.dataset.sampler import sampler
from genreg.errors import InputError
from genreg.forward.update import backward
from genreg.measure.base import mean
from genreg.measure.prediction import by_length
from genreg.model.passes import evaluation_mode
from genreg.model.text import TextClassifier
from genreg.optimizer import build_optimizer, trainable
from genreg.parameters import Count, Share, checked
from genreg.run.metric import VALIDATION, Metric
from genreg.run.task import Task
from genreg.task.fit import fitting
from genreg.task.trainer import Precision, Trainer, set_precision

CPU = torch.device("cpu")
NONE = -100
SPLITS = ("validation", "test")


class LanguageModel(nn.Module):
    """Predicts the token at a position from the state of a text's encoder there.

    Logits are products with the encoder's own table (Press and Wolf, arXiv:1608.05859), over the root of its
    width and the spread of its numbers when it was drawn, so that they begin at order 1.
    """

    def __init__(self, encoder: TextClassifier) -> None:
        super().__init__()
        self.encoder = encoder
        size, width = encoder.table().shape
        self.head = nn.Sequential(nn.Linear(encoder.states, width), nn.GELU(), nn.LayerNorm(width))
        self.bias = nn.Parameter(torch.zeros(size))
        self.length = encoder.spread * width**0.5

    def forward(self, x: Tensor, where: Tensor) -> Tensor:
        """Logits (n, V) at the positions `where` (n,) of the flattened x (B, T)."""
        states = self.encoder.encode(self.encoder.embed(x), self.encoder.mask(x))
        table = self.encoder.table()
        hidden = self.head(states.flatten(0, 1).index_select(0, where))
        logits: Tensor = hidden @ table.T / self.length + self.bias
        return logits


@dataclass(frozen=True)
class Question:
    """shown: (B, T) what is read. where: (n,) positions of the flattened x at which a token is asked for.

    answers: (n,) the tokens; `NONE` where none is asked for, so that n depends on shapes only and no host
    waits for it.
    """

    shown: Tensor
    where: Tensor
    answers: Tensor


class Pretrain(Task):
    """A language model on the pool; the run's folder is what `model.pretrained` takes.

    objective: `masked`, tokens that were hidden (Devlin et al., arXiv:1810.04805, section 3.1: of the chosen,
    80 % read as the mask, 10 % as a random other token, 10 % as they are); or `next`, each token from those
    before it, for a model that sees none behind. share: of a batch's tokens that are chosen, special ones and
    padding apart; it and the shares of the chosen are held in every batch, up to rounding. batch_size: texts
    a step.
    """

    groups = frozenset({"dataset", "model", "optimizer", "scheduler"})
    trains = (TextClassifier, "a classifier of texts")
    metrics = (Metric("cross_entropy", "min", "nats a token"), Metric("accuracy", "max", "%"))
    families = (VALIDATION,)
    selection = ("validation/cross_entropy", "min")
    progress = ("cross_entropy", "validation/cross_entropy")

    @checked
    def __init__(
        self,
        *,
        dataset: Callable[..., Dataset],
        model: Callable[..., Any],
        optimizer: Callable[..., torch.optim.Optimizer],
        scheduler: Callable[..., Any] | None = None,
        objective: Literal["masked", "next"] = "masked",
        share: Annotated[Share, Field(gt=0)] = 0.15,
        batch_size: Count = 64,
        seed: int = 0,
        device: torch.device = CPU,
        precision: Precision = "fp32",
    ) -> None:
        set_precision(precision)
        self.seed, self.device, self.objective, self.share = seed, device, objective, share
        self.sizes = {"task.batch_size": batch_size}
        self.precision = precision
        self.dataset = dataset(seed=seed).to(device)
        streams.reseed_default(streams.derive(seed, "model"), CPU)
        self.encoder: TextClassifier = fitting(model, self.dataset, outputs=self.dataset.outputs or 1)
        self._check()
        self.model = LanguageModel(self.encoder).to(device)
        self.parameters = trainable(self.model)
        self.optimizer = build_optimizer(optimizer, self.parameters, seed=seed)
        self.scheduler = scheduler(self.optimizer) if scheduler else None
        self.trainer = Trainer(self.model, self.optimizer, self.scheduler)
        self.checksums = {**self.dataset.checksums, **self.encoder.checksums}
        self.items, self.told = self.dataset.items, self.dataset.told
        self.mask = self.vocabulary.mask or 0  # not shown where the next token is asked for
        words = [number for number in range(len(self.vocabulary)) if number not in self.vocabulary.special]
        self.words = torch.tensor(words).to(device)
        self.place = torch.full((len(self.vocabulary),), NONE).to(device)  # of a token among `words`
        self.place[self.words] = torch.arange(len(words), device=device)
        pool = self.dataset.unlabeled
        self.batch = sampler(pool, batch_size, self.dataset.vocabulary, seed, "batch/unlabeled")
        self._check_splits()

    def _check(self) -> None:
        """InputError for a model or data that the objective does not fit."""
        if not isinstance(self.encoder, TextClassifier):
            raise InputError("model", "a classifier of texts for task=pretrain", type(self.encoder).__name__)
        assert self.dataset.vocabulary is not None  # by `fitting`
        self.vocabulary = self.dataset.vocabulary
        if self.objective == "masked" and self.vocabulary.mask is None:
            raise InputError("task.objective", "next for a vocabulary without a mask", self.objective)
        if self.objective == "next" and self.encoder.sees_next:
            expected = "masked, or a model that sees no token behind its own (model.causal=true of "
            expected += "transformer, model.bidirectional=false of gru)"
            raise InputError("task.objective", expected, "next")

    @classmethod
    def reports(cls, **_: Any) -> dict[str, Metric]:
        return {f"{split}/{metric.name}": metric for split in SPLITS for metric in cls.metrics}

    def _check_splits(self) -> None:
        """InputError for a split in which no token is asked for."""
        for name in SPLITS:
            questions = self._questions(name, getattr(self.dataset, name))
            if not any((question.answers != NONE).any() for question in questions):
                raise InputError("dataset", f"texts of {name} with a token to ask for", "none")

    def step(self, step: int) -> dict[str, Tensor]:
        return self.trainer.update(partial(self.losses, step))

    def losses(self, step: int) -> dict[str, Tensor]:
        """Make the gradients of update `step`; the cross-entropy of the tokens that are asked for."""
        x = self.batch.take(self.dataset.unlabeled, step)
        question = self.ask(x, streams.generator(self.seed, "noise/pretrain", step, self.device))
        streams.begin_pass(streams.derive(self.seed, "dropout/pretrain", step), self.device)
        total = F.cross_entropy(self.logits(question), question.answers, ignore_index=NONE, reduction="sum")
        loss = total / (question.answers != NONE).sum().clamp_min(1)  # the next token of texts of one is none
        backward(loss, self.parameters)
        return {"cross_entropy": loss, "loss": loss}

    def logits(self, question: Question) -> Tensor:
        """(n, V), in full precision."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            logits: Tensor = self.model(question.shown, question.where)
        return logits.float()

    def ask(self, x: Tensor, draw: torch.Generator) -> Question:
        """The question about a batch x (B, T)."""
        if self.objective == "next":
            ahead = torch.cat((x[:, 1:], torch.full_like(x[:, :1], self.vocabulary.pad)), 1).flatten()
            answers = torch.where(ahead == self.vocabulary.pad, NONE, ahead.long())
            return Question(x, torch.arange(x.numel(), device=x.device), answers)
        place = self.place[x.long()].flatten()
        u = torch.rand(place.shape, generator=draw, device=x.device).masked_fill(place == NONE, 1.0)
        most = max(1, math.ceil(self.share * x.numel()))
        where = u.topk(most, largest=False).indices  # in a random order
        chosen = (self.share * (place != NONE).sum()).round().clamp(min=1)
        rank, tokens = torch.arange(most, device=x.device), x.flatten()[where].long()
        by = torch.randint(1, max(2, len(self.words)), (most,), generator=draw, device=x.device)
        other = self.words[(place[where] + by) % len(self.words)]
        read = torch.where(rank < (0.9 * chosen).round(), other, tokens)
        read = torch.where(rank < (0.8 * chosen).round(), self.mask, read)
        predicted = (rank < chosen) & (place[where] != NONE)
        shown = x.flatten().index_copy(0, where, torch.where(predicted, read, tokens).to(x.dtype))
        return Question(shown.view(x.shape), where, torch.where(predicted, tokens, NONE))

    def evaluate(self) -> dict[str, float]:
        """Judge by tokens of validation and test, the same at every evaluation and for every seed."""
        row: dict[str, float] = {}
        with self.trainer.judged():
            for name in SPLITS:
                row |= self._of_split(name, getattr(self.dataset, name))
        return row

    @torch.no_grad()
    def _of_split(self, name: str, split: Split) -> dict[str, float]:
        losses, right = [], []
        with evaluation_mode(self.model):
            for question in self._questions(name, split):
                logits, here = self.logits(question), question.answers != NONE
                losses.append(F.cross_entropy(logits[here], question.answers[here], reduction="none"))
                right.append((logits[here].argmax(1) == question.answers[here]).float())
        found = {"cross_entropy": torch.cat(losses), "accuracy": torch.cat(right)}
        return {f"{name}/{metric}": mean(values).value for metric, values in found.items()}

    def _questions(self, name: str, split: Split) -> Iterator[Question]:
        """The questions of an evaluation about a split, a few texts at a time."""
        draw = streams.generator(0, f"measure/{name}", device=self.device)
        for index in by_length(split.x, self.encoder.mask(split.x)):
            yield self.ask(self.encoder.trimmed(split.x[index]), draw)

    def weights(self) -> dict[str, Tensor]:
        return self.trainer.weights()

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        self.trainer.load_weights(weights)

    def state_dict(self) -> dict[str, Any]:
        return self.trainer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.trainer.load_state_dict(state)
