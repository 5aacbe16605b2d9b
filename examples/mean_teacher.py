"""Mean teacher."""

import copy

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from genreg.forward.classifier import ClassifierForward
from genreg.parameters import STRICT, Fraction
from genreg.regularizer import Regularizer, Weight


@dataclass(config=STRICT, kw_only=True)
class MeanTeacher(Regularizer):
    """Squared distance of unlabeled predictions from those of a teacher, w' = decay w' + (1 - decay) w.

    Tarvainen and Valpola, arXiv:1703.01780, equation 1; summed over classes. The teacher has dropout masks of
    its own and the student's running statistics, and is what is evaluated and saved.
    """

    weight: Weight = 1.0
    decay: Fraction = 0.99

    reads, keeps, judged = frozenset({"unlabeled", "again", "classes"}), ("teacher",), "teacher"

    def attach(self, model: nn.Module) -> None:
        self.teacher = copy.deepcopy(model).requires_grad_(False)

    def penalty(self, forward: ClassifierForward) -> Tensor:
        target = forward.unlabeled.again(model=self.teacher).softmax(1)
        return (forward.unlabeled.logits.softmax(1) - target).square().sum(1).mean()

    @torch.no_grad()
    def project(self, model: nn.Module) -> None:
        for average, weight in zip(self.teacher.parameters(), model.parameters(), strict=True):
            average.lerp_(weight, 1 - self.decay)
        for ours, theirs in zip(self.teacher.buffers(), model.buffers(), strict=True):
            ours.copy_(theirs)
