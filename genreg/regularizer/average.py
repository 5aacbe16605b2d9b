"""Moving averages of the weights: judged in the model's place, and perhaps its teacher."""

import copy
from typing import Any

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn.utils import parametrize

from genreg.forward.classifier import ClassifierForward
from genreg.forward.perturbation import squared_distance
from genreg.parameters import STRICT, Fraction
from genreg.regularizer.base import Regularizer, Weight


@dataclass(config=STRICT, kw_only=True)
class WeightAverage(Regularizer):
    """The model that is evaluated, shown and saved has the weights w' = decay w' + (1 - decay) w.

    A moving average over updates, as the teacher of Tarvainen and Valpola, arXiv:1703.01780, is; training
    goes on as without it. It begins at the initial weights and has the model's own running statistics.

    decay: share of the average that an update leaves, from 0 (no average) to below 1.
    """

    decay: Fraction = 0.99

    keeps, judged = ("average",), "average"
    replicas = ("decay",)
    by_item = ()

    @property
    def idle(self) -> bool:
        return not self.decay

    def attach(self, model: nn.Module) -> None:
        self.average = copied(model)

    def project(self, model: nn.Module) -> None:
        follow(self.average, model, self.decay)


@dataclass(config=STRICT, kw_only=True)
class MeanTeacher(Regularizer):
    """Squared distance of unlabeled predictions from those of a teacher, w' = decay w' + (1 - decay) w.

    Tarvainen and Valpola, arXiv:1703.01780; summed over classes. The teacher has dropout masks of its own and
    the student's running statistics, and is what is evaluated and saved.

    decay: share of the teacher that an update leaves, from 0 (the student itself) to below 1.
    """

    weight: Weight = 1.0
    decay: Fraction = 0.99

    reads, keeps, judged = frozenset({"unlabeled", "again", "classes"}), ("teacher",), "teacher"
    replicas = ("weight", "decay")
    by_item = ()

    def attach(self, model: nn.Module) -> None:
        self.teacher = copied(model)

    def penalty(self, forward: ClassifierForward) -> Tensor:
        clean = forward.unlabeled
        target = clean.again(model=self.teacher).softmax(1)
        return clean.mean(squared_distance(clean.logits.softmax(1), target, "none"))

    def project(self, model: nn.Module) -> None:
        follow(self.teacher, model, self.decay)


def copied(model: nn.Module) -> nn.Module:
    """A copy whose weights nothing trains.

    Its parametrizations are registered anew: torch remembers what they make of a weight (`cached`) by the
    layer that they were registered for, so that a plain copy would read the weights of the model.
    """
    made = copy.deepcopy(model).requires_grad_(False)
    for layer in list(made.modules()):
        chains: Any = getattr(layer, "parametrizations", {})
        if chains:
            layer.__class__ = parametrize.type_before_parametrizations(layer)
            del layer.parametrizations
        for name, chain in chains.items():
            layer.register_parameter(name, chain.original)
            for one in chain:
                parametrize.register_parametrization(layer, name, one, unsafe=True)
    return made


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move an average of a model's weights toward it; its buffers become the model's."""
    own: list[Tensor] = list(average.parameters())
    torch._foreach_lerp_(own, list(model.parameters()), 1 - decay)
    for ours, theirs in zip(average.buffers(), model.buffers(), strict=True):
        ours.copy_(theirs)
