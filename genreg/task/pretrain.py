"""Learning what a text is like from the pool, without labels."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genreg import streams
from genreg.dataset import Dataset, Split
from genreg.dataset.buckets import sampler
from genreg.errors import InputError
from genreg.forward.update import backward, update
from genreg.measure.classification import by_length
from genreg.measure.estimate import mean
from genreg.model.text import TextClassifier
from genreg.model.unchanged import evaluation_mode
from genreg.optimizer import build_optimizer, evaluation_weights, trainable
from genreg.parameters import Count, Positive, checked
from genreg.run.metric import Metric
from genreg.task.fit import fitting
from genreg.task.one_optimizer import OneOptimizer
from genreg.task.precision import Precision, set_precision

CPU = torch.device("cpu")
NONE = -100


class LanguageModel(nn.Module):
    """What the token at a position is, from the state of a text's encoder there.

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
        asked = self.head(states.flatten(0, 1).index_select(0, where))
        logits: Tensor = asked @ table.T / self.length + self.bias
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


class Pretrain(OneOptimizer):
    """A language model on the pool; the run's folder is what `model.pretrained` takes.

    objective: `masked`, tokens that were hidden (Devlin et al., arXiv:1810.04805, section 3.1: of the chosen,
    80 % read as the mask, 10 % as a random token, 10 % as they are); or `next`, each token from those before
    it, for a model that sees none behind. share: of the tokens that are chosen. batch_size: texts a step.
    """

    groups = frozenset({"dataset", "model", "optimizer", "scheduler"})
    trains = (TextClassifier, "a classifier of texts")
    metrics = (Metric("cross_entropy", "min", "nats a token"), Metric("accuracy", "max", "%"))
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
        share: Positive = 0.15,
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
        self.checksums = {**self.dataset.checksums, **self.encoder.checksums}
        self.items = self.dataset.items
        self.mask = self.vocabulary.mask or 0  # not shown where the next token is asked for
        text = [number not in self.vocabulary.special for number in range(len(self.vocabulary))]
        self.is_text = torch.tensor(text).to(device)
        pool = self.dataset.unlabeled
        self.batch = sampler(pool, batch_size, self.dataset.vocabulary, seed, "batch/unlabeled")

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

    def step(self, step: int) -> dict[str, Tensor]:
        terms = update(self.optimizer, partial(self.losses, step))
        if self.scheduler:
            self.scheduler.step()
        return {name: term.detach() for name, term in terms.items()}

    def losses(self, step: int) -> dict[str, Tensor]:
        """Make the gradients of update `step`; the cross-entropy of the tokens that are asked for."""
        x = self.batch.take(self.dataset.unlabeled, step)
        asked = self.ask(x, streams.generator(self.seed, "noise/pretrain", step, self.device))
        streams.begin_pass(streams.derive(self.seed, "dropout/pretrain", step), self.device)
        loss = F.cross_entropy(self.logits(asked), asked.answers, ignore_index=NONE)
        backward(loss, self.parameters)
        return {"cross_entropy": loss, "loss": loss}

    def logits(self, asked: Question) -> Tensor:
        """(n, V), in full precision."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            logits: Tensor = self.model(asked.shown, asked.where)
        return logits.float()

    def ask(self, x: Tensor, draw: torch.Generator) -> Question:
        """What is asked of a batch x (B, T)."""
        if self.objective == "next":
            ahead = torch.cat((x[:, 1:], torch.full_like(x[:, :1], self.vocabulary.pad)), 1).flatten()
            answers = torch.where(ahead == self.vocabulary.pad, NONE, ahead.long())
            return Question(x, torch.arange(x.numel(), device=x.device), answers)
        u = torch.rand(x.shape, generator=draw, device=x.device)
        u = torch.where(self.is_text[x.long()], u, 1.0)
        least, where = u.flatten().topk(max(1, int(self.share * x.numel())), largest=False)
        answers = torch.where(least < self.share, x.flatten()[where].long(), NONE)
        strange = torch.randint(len(self.vocabulary), x.shape, generator=draw, device=x.device, dtype=x.dtype)
        shown = torch.where(u < 0.9 * self.share, strange, x)
        shown = torch.where(u < 0.8 * self.share, self.mask, shown)
        return Question(shown, where, answers)

    def evaluate(self) -> dict[str, float]:
        """Of tokens of validation and test, the same at every evaluation and for every seed."""
        row: dict[str, float] = {}
        with evaluation_weights(self.optimizer):
            for name in ("validation", "test"):
                row |= self._of_split(name, getattr(self.dataset, name))
        return row

    @torch.no_grad()
    def _of_split(self, name: str, split: Split) -> dict[str, float]:
        draw, losses, right = streams.generator(0, f"measure/{name}", device=self.device), [], []
        with evaluation_mode(self.model):
            for index in by_length(self.encoder, split.x):
                asked = self.ask(self.encoder.trimmed(split.x[index]), draw)
                logits, here = self.logits(asked), asked.answers != NONE
                losses.append(F.cross_entropy(logits[here], asked.answers[here], reduction="none"))
                right.append((logits[here].argmax(1) == asked.answers[here]).float())
        found = {"cross_entropy": torch.cat(losses), "accuracy": torch.cat(right)}
        return {f"{name}/{metric}": mean(values).value for metric, values in found.items()}
