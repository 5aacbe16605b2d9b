"""Label smoothing."""

from dataclasses import replace

import torch
from pydantic.dataclasses import dataclass

from genreg.dataset import Batch
from genreg.parameters import STRICT, Fraction
from genreg.regularizer import Regularizer


@dataclass(config=STRICT, kw_only=True)
class LabelSmoothing(Regularizer):
    """The target of each labeled item is (1 - epsilon) y + epsilon / K, over K classes.

    Szegedy et al., arXiv:1512.00567, section 7.
    """

    epsilon: Fraction = 0.1

    reads = frozenset({"classes"})

    def batch(self, batch: Batch, draw: torch.Generator) -> Batch:
        if not self.epsilon:
            return batch
        return replace(batch, y=(1 - self.epsilon) * batch.probabilities + self.epsilon / batch.classes)
