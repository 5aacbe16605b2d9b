"""Fast gradient sign method."""

from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.forward.classifier import ClassifierForward
from genreg.forward.perturbation import loss_gradient
from genreg.parameters import STRICT, NonNegative, Share
from genreg.regularizer.base import Regularizer


@dataclass(config=STRICT, kw_only=True)
class FGSM(Regularizer):
    """The labeled loss is alpha l(e) + (1 - alpha) l(e + epsilon sign(grad_e l)).

    Goodfellow, Shlens and Szegedy, arXiv:1412.6572, section 6; the perturbation is a constant of the backward
    pass.

    epsilon: size of the perturbation of each number, in units of `embed(x)`.
    alpha: share of the clean loss, from 0 to 1 (0.5 in the paper).
    """

    epsilon: NonNegative = 0.1
    alpha: Share = 0.5

    @property
    def idle(self) -> bool:
        return not self.epsilon or self.alpha == 1

    def losses(self, forward: ClassifierForward, losses: Tensor) -> Tensor:
        e = forward.embedding
        with forward.fixed_statistics():
            g = loss_gradient(forward, e)
        attacked = forward.loss(forward.at(e + self.epsilon * g.sign()), forward.batch)
        return self.alpha * losses + (1 - self.alpha) * attacked
