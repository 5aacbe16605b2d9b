"""Confidence penalty."""

from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.forward.classifier import ClassifierForward
from genreg.parameters import STRICT
from genreg.regularizer import Regularizer, Weight


@dataclass(config=STRICT, kw_only=True)
class ConfidencePenalty(Regularizer):
    """Negative entropy of the predictions on the labeled batch, in nats: -H(p) = sum_c p_c log p_c.

    Pereyra et al., arXiv:1701.06548, section 3.

    weight: factor of the term (the paper's beta).
    """

    weight: Weight = 0.1

    reads = frozenset({"labeled", "classes"})

    def penalty(self, forward: ClassifierForward) -> Tensor:
        log_p = forward.logits.log_softmax(1)
        return (log_p.exp() * log_p).sum(1).mean()
