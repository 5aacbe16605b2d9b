"""Consistency under random noise."""

from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.forward.base import Forward
from genreg.forward.perturbation import Norm, Scope, Target, divergence_along, random_direction
from genreg.parameters import STRICT, NonNegative
from genreg.regularizer.base import Regularizer, Weight


@dataclass(config=STRICT, kw_only=True)
class NoiseConsistency(Regularizer):
    """KL divergence between the prediction at x and at x + r, r a random direction of length epsilon.

    VAT (arXiv:1704.03976, Algorithm 1) with zero power iterations: the "random perturbation training" it is
    compared with. Parameters mean what they mean in `VAT`.
    """

    weight: Weight = 1.0
    epsilon: NonNegative = 1.0
    target: Target = "stop"
    scope: Scope = "example"
    norm: Norm = "l2"

    reads = frozenset({"unlabeled", "classes"})

    @property
    def trains_unlabeled(self) -> bool:
        return self.target == "flow"

    def penalty(self, forward: Forward) -> Tensor:
        clean = forward.unlabeled
        d = random_direction(clean, self.scope, forward.draw)
        return divergence_along(clean, d, self.epsilon, self.norm, self.target)
