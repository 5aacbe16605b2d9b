"""Local distributional smoothness."""

from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg import streams
from genreg.forward.classifier import Pass
from genreg.forward.perturbation import lengthen
from genreg.measure.estimate import Estimate, mean
from genreg.model.base import Classifier
from genreg.model.unchanged import evaluation_mode
from genreg.parameters import STRICT, Count, Positive
from genreg.regularizer.vat import VAT


@dataclass(config=STRICT, kw_only=True)
class LDS:
    """Minus the KL divergence, in nats, under the virtual adversarial perturbation of length epsilon.

    Miyato et al., arXiv:1507.00677, equation 3: 0 for a model that no such perturbation changes, more
    negative for a rougher one. The direction is exact (no xi).

    epsilon: length of the perturbation, l2 norm per example. items: how many items of the split are read.
    """

    epsilon: Positive = 1.0
    power_iterations: Count = 5
    items: Count = 500

    def __call__(self, model: Classifier, x: Tensor, y: Tensor) -> Estimate:
        x = x[: self.items]
        vat = VAT(epsilon=self.epsilon, power_iterations=self.power_iterations, direction="exact")
        with evaluation_mode(model):
            clean = Pass(model, x, gradient=False)
            d = vat.find_direction(clean, streams.generator(0, "measure", device=x.device))
            p = clean.logits.log_softmax(1)
            q = clean.perturbed(clean.embedding + lengthen(d, self.epsilon, "l2")).detach().log_softmax(1)
        return mean(-(p.exp() * (p - q)).sum(1))
