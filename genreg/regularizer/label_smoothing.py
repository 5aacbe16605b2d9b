"""Label smoothing."""

from dataclasses import replace

from pydantic.dataclasses import dataclass

from genreg.dataset import Batch
from genreg.parameters import STRICT, Fraction
from genreg.regularizer.base import Regularizer
from genreg.streams import Draw


@dataclass(config=STRICT, kw_only=True)
class LabelSmoothing(Regularizer):
    """The target of each labeled item is (1 - epsilon) y + epsilon / K, over K classes.

    Szegedy et al., arXiv:1512.00567, section 7.

    epsilon: share of the uniform distribution, from 0 to below 1.
    """

    epsilon: Fraction = 0.1

    reads = frozenset({"classes"})
    replicas = ("epsilon",)
    by_item = ()

    @property
    def idle(self) -> bool:
        return not self.epsilon

    def batch(self, batch: Batch, draw: Draw) -> Batch:
        y = batch.probabilities
        own, other = batch.factor(1 - self.epsilon, y), batch.factor(self.epsilon / batch.classes, y)
        return replace(batch, y=own * y + other)
