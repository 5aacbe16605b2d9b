"""Pseudo-labels."""

import torch.nn.functional as F
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.forward.classifier import ClassifierForward
from genreg.parameters import STRICT, Share
from genreg.regularizer.base import Regularizer, Weight


@dataclass(config=STRICT, kw_only=True)
class PseudoLabel(Regularizer):
    """Cross-entropy of the predicted class on unlabeled items, where its probability is above `threshold`.

    Lee, "Pseudo-Label" (ICML 2013 workshop on challenges in representation learning), which has no threshold
    and a ramp as weight; the threshold is that of Oliver et al., arXiv:1804.09170. The mean is over all
    unlabeled items, of which those below the threshold count as zero; the class is a constant.

    threshold: probability, from 0 (every item has a label) to 1.
    """

    weight: Weight = 1.0
    threshold: Share = 0.95

    reads = frozenset({"unlabeled", "classes"})
    replicas = ("weight", "threshold")
    by_item = ()

    def penalty(self, forward: ClassifierForward) -> Tensor:
        clean = forward.unlabeled
        probability, label = clean.logits.detach().softmax(1).max(1)
        sure = probability > clean.factor(self.threshold, probability)
        return clean.mean(sure * F.cross_entropy(clean.logits, label, reduction="none"))
