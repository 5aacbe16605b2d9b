"""Local distributional smoothness."""

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg import streams
from genreg.dataset.draw import chosen
from genreg.forward.classifier import ClassifierForward, embedded
from genreg.forward.perturbation import lengthen
from genreg.loss import Loss
from genreg.measure.base import ClassifierMeasure, Estimate, mean
from genreg.model.base import Classifier
from genreg.model.passes import evaluation_mode
from genreg.parameters import STRICT, Count, Positive
from genreg.regularizer.vat import VAT
from genreg.run.metric import Metric


@dataclass(config=STRICT, kw_only=True)
class LDS(ClassifierMeasure):
    """Minus the KL divergence, in nats, under the virtual adversarial perturbation of length epsilon.

    Miyato et al., arXiv:1507.00677: 0 for a model that no such perturbation changes, more
    negative for a rougher one. The direction is exact (no xi). As an eigenvector it has no sign: of both,
    each example counts the worse.

    epsilon: length of the perturbation, l2 norm per example. items: drawn,
    the same at every evaluation, where a split has more.
    """

    metric = Metric("lds", "max", "nats")
    classes = True

    epsilon: Positive = 1.0
    power_iterations: Count = 5
    items: Count = 500

    def __call__(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Estimate:
        x, y = chosen(self.items, x), chosen(self.items, y)
        return mean(self.of_items(model, x, y))

    def of_items(self, model: Classifier, x: Tensor, y: Tensor) -> Tensor:
        """The value at each of all x, (B,)."""
        vat = VAT(epsilon=self.epsilon, power_iterations=self.power_iterations, direction="exact")
        with evaluation_mode(model):
            batch = embedded(model, model.trimmed(x), y)
            clean = ClassifierForward(model, batch, gradient=False)
            d = vat.find_direction(clean, streams.generator(0, "measure", device=x.device))
            p = clean.logits.log_softmax(1)
            both = [self._divergence(clean, p, sign * d) for sign in (1, -1)]
        return -torch.maximum(*both)

    def _divergence(self, clean: ClassifierForward, p: Tensor, d: Tensor) -> Tensor:
        """KL(p || q) of each example, q at length epsilon along d; p, q: logarithms."""
        q = clean.at(clean.embedding + lengthen(d, self.epsilon, "l2")).detach().log_softmax(1)
        return (p.exp() * (p - q)).sum(1)
