"""Fast gradient method."""

from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.forward.classifier import ClassifierForward
from genreg.forward.perturbation import loss_gradient, unit
from genreg.parameters import STRICT, NonNegative, Share
from genreg.regularizer.base import Regularizer


@dataclass(config=STRICT, kw_only=True)
class FGM(Regularizer):
    """The labeled loss is alpha l(e) + (1 - alpha) l(e + r) with r = epsilon g / |g|_2, g = grad_e l.

    Miyato, Dai and Goodfellow, arXiv:1605.07725, equations 5 and 6, which add both losses: alpha 0.5 is half
    of that sum. r is a constant of the backward pass; one for each example, zero where g is.

    epsilon: length of r, l2 norm per example, in units of `embed(x)`.
    alpha: share of the clean loss, from 0 to 1.
    """

    epsilon: NonNegative = 0.5
    alpha: Share = 0.5

    @property
    def idle(self) -> bool:
        return not self.epsilon or self.alpha == 1

    def losses(self, forward: ClassifierForward, losses: Tensor) -> Tensor:
        e = forward.embedding
        with forward.fixed_statistics():
            g = loss_gradient(forward, e)
        attacked = forward.loss(forward.at(e + self.epsilon * unit(g, "example")), forward.batch)
        return self.alpha * losses + (1 - self.alpha) * attacked
