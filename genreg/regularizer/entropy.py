"""Entropy minimization."""

from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.forward.base import Forward
from genreg.forward.classifier import ClassifierForward
from genreg.parameters import STRICT
from genreg.regularizer.base import Regularizer, Weight


@dataclass(config=STRICT, kw_only=True)
class Entropy(Regularizer):
    """Mean entropy of the clean predictions on the unlabeled batch, in nats.

    Grandvalet and Bengio, "Semi-supervised learning by entropy minimization" (NeurIPS 2004); beside VAT it
    is the "VAT+EntMin" of arXiv:1704.03976.
    """

    weight: Weight = 1.0

    reads = frozenset({"unlabeled", "classes"})
    replicas = ("weight",)
    by_item = ()

    def penalty(self, forward: Forward) -> Tensor:
        clean: ClassifierForward = forward.unlabeled
        log_p = clean.logits.log_softmax(1)
        return clean.mean(-(log_p.exp() * log_p).sum(1))
