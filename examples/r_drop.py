"""R-Drop."""

from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.forward.classifier import ClassifierForward
from genreg.forward.perturbation import kl_divergence
from genreg.parameters import STRICT
from genreg.regularizer import Regularizer, Weight


@dataclass(config=STRICT, kw_only=True)
class RDrop(Regularizer):
    """(KL(p || q) + KL(q || p)) / 2 of the predictions p, q of the labeled batch under two dropout masks.

    Liang et al., arXiv:2106.14448. Both passes learn the labels; their losses are averaged,
    where the paper adds them, so that without dropout this is the baseline.

    weight: factor of the term, half of the paper's alpha, since the losses are averaged.
    """

    weight: Weight = 1.0

    reads = frozenset({"labeled", "again", "classes"})

    def losses(self, forward: ClassifierForward, losses: Tensor) -> Tensor:
        return (losses + forward.loss(forward.again(), forward.batch)) / 2

    def penalty(self, forward: ClassifierForward) -> Tensor:
        p, q = forward.logits, forward.again()
        return (kl_divergence(p, q) + kl_divergence(q, p)) / 2
