"""Temporal ensembling."""

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from genreg.forward.classifier import ClassifierForward
from genreg.forward.perturbation import squared_distance
from genreg.forward.update import counts
from genreg.parameters import STRICT, Fraction
from genreg.regularizer.base import Regularizer, Weight


@dataclass(config=STRICT, kw_only=True)
class TemporalEnsembling(Regularizer):
    """Squared distance of unlabeled predictions from an average of the same item's earlier ones.

    Laine and Aila, arXiv:1610.02242, Algorithm 2; summed over classes, of which that averages. Each time that
    an item is shown, which is once an epoch, its Z becomes decay Z + (1 - decay) p. Its target the next time
    is the constant Z / (1 - decay^k), k the times it was shown; the first time it has none. Z is a number for
    each item of the pool and class.

    decay: share of Z that an epoch leaves, from 0 (the target is the prediction before) to below 1.
    """

    weight: Weight = 1.0
    decay: Fraction = 0.6

    reads, keeps = frozenset({"unlabeled", "numbers", "classes"}), ("average", "times")

    def attach(self, model: nn.Module) -> None:
        self.average, self.times = torch.empty(0), torch.empty(0)
        self._shown: tuple[Tensor, Tensor] | None = None

    def penalty(self, forward: ClassifierForward) -> Tensor:
        clean = forward.unlabeled
        p, numbers = clean.logits.softmax(1), clean.numbers
        if not len(self.average):
            self.average = p.new_zeros(clean.batch.pool, p.shape[1])
            self.times = p.new_zeros(clean.batch.pool)
        if counts():
            self._shown = numbers, p.detach()
        known, left = self.times[numbers] > 0, self.decay ** self.times[numbers]
        target = self.average[numbers] / (1 - left).where(known, 1)[:, None]
        return clean.mean(known * squared_distance(p, target, "none"))

    @torch.no_grad()
    def project(self, model: nn.Module) -> None:
        """Follow what the update has shown, once where a batch that ends an epoch holds an item twice."""
        if self._shown is None:
            return
        (numbers, p), self._shown = self._shown, None
        first = (numbers[:, None] == numbers).int().argmax(1) == torch.arange(len(p), device=p.device)
        moved = (1 - self.decay) * (p - self.average[numbers])
        self.average.index_add_(0, numbers, first[:, None] * moved)
        self.times.index_add_(0, numbers, first.to(p.dtype))
