"""Fast gradient method."""

from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.forward.classifier import ClassifierForward
from genreg.forward.perturbation import Scope, at_tokens, loss_gradient, of_tokens, unit
from genreg.parameters import STRICT, NonNegative, Share
from genreg.regularizer.base import Reads, Regularizer, reads_of


@dataclass(config=STRICT, kw_only=True)
class FGM(Regularizer):
    """The labeled loss is alpha l(e) + (1 - alpha) l(e + r) with r = epsilon g / |g|_2, g = grad_e l.

    Miyato, Dai and Goodfellow, arXiv:1605.07725, equations 5 and 6, which add both losses: alpha 0.5 is half
    of that sum. r is a constant of the backward pass, zero where g is.

    epsilon: length of r, l2 norm, in units of `embed(x)`.
    alpha: share of the clean loss, from 0 to 1.
    scope: of what r is one vector of that length, as in `VAT`: each `example`, the `batch`, or the `table`.
    """

    epsilon: NonNegative = 0.5
    alpha: Share = 0.5
    scope: Scope = "example"

    @property
    def reads(self) -> frozenset[Reads]:  # type: ignore[override]
        return reads_of(self.scope)

    @property
    def idle(self) -> bool:
        return not self.epsilon or self.alpha == 1

    def losses(self, forward: ClassifierForward, losses: Tensor) -> Tensor:
        e = forward.embedding
        with forward.fixed_statistics():
            g = loss_gradient(forward, e)
        d = at_tokens(forward, unit(of_tokens(forward, g, self.scope), self.scope), self.scope)
        attacked = forward.loss(forward.at(e + self.epsilon * d), forward.batch)
        return self.alpha * losses + (1 - self.alpha) * attacked
