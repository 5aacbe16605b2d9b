"""Flooding."""

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.forward.classifier import ClassifierForward
from genreg.parameters import STRICT, NonNegative
from genreg.regularizer.base import Regularizer


@dataclass(config=STRICT, kw_only=True)
class Flooding(Regularizer):
    """The labeled loss L of a batch becomes |L - level| + level: below the level it is climbed.

    Ishida et al., arXiv:2002.08709; L is the loss as methods of earlier names leave it.

    level: in units of the loss; 0 leaves the method out.
    """

    level: NonNegative = 0.1

    replicas = ("level",)

    @property
    def idle(self) -> bool:
        return not self.level

    def losses(self, forward: ClassifierForward, losses: Tensor) -> Tensor:
        level = forward.factor(self.level, losses)
        depth = forward.mean(level - losses).detach().view(-1)  # of each replica
        below = depth.repeat_interleave(len(losses) // len(depth)) > 0
        return torch.where(below, 2 * level - losses, losses)  # whose mean is |L - level| + level
