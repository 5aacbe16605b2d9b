"""Virtual adversarial training."""

from typing import Literal

from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.forward.base import Forward
from genreg.forward.classifier import ClassifierForward
from genreg.forward.perturbation import (
    Norm,
    Scope,
    Target,
    at_tokens,
    divergence_along,
    of_tokens,
    random_direction,
    unit,
)
from genreg.parameters import STRICT, CountOrZero, NonNegative, Positive
from genreg.regularizer.base import Reads, Regularizer, Weight, reads_of
from genreg.streams import Draw


@dataclass(config=STRICT, kw_only=True)
class VAT(Regularizer):
    """KL divergence between the prediction at x and at x + r, r the perturbation that changes it most.

    Miyato et al., arXiv:1704.03976: r = epsilon d, where d is the top eigenvector of the divergence's Hessian
    in the input, found by power iteration from a random start. An eigenvector has no sign; as there, the one
    that the start gives is kept, so r is not always the worse of both (`measure=lds` tries both).

    weight: factor of the term (the paper's alpha).
    epsilon: radius of r in units of `embed(x)`, of what `scope` says.
    xi: length at which the finite difference probes; good between 1e-3 and 1e-1 (docs/vat.md).
    power_iterations: Hessian products; 0 leaves the random start.
    direction: `finite_difference` (two passes a product), or `exact` (J'FJu by one forward-mode and one
        reverse-mode product, F the Fisher matrix of the softmax; xi is not used).
    target: `stop` makes the clean prediction a constant; `flow` also trains it.
    scope: one direction of length 1 for each `example`; one for the whole `batch` tensor; or one for the
        `table` of embeddings, in which equal tokens are moved alike (the code of kexue.fm archive 7466).
    norm: the ball of r, `l2` or `linf` (then r = epsilon sign(d)).

    The direction is found in float32 whatever the precision, and leaves no parameter gradients. Running
    statistics of batch normalization move once per step, from the clean labeled and unlabeled batches in
    proportion to their sizes; every pass normalizes by the statistics of its own batch, so that there an
    example's direction counts what it does to the others too.
    """

    weight: Weight = 1.0
    epsilon: NonNegative = 0.5
    xi: Positive = 1e-2
    power_iterations: CountOrZero = 1
    direction: Literal["finite_difference", "exact"] = "finite_difference"
    target: Target = "stop"
    scope: Scope = "example"
    norm: Norm = "l2"

    replicas = (
        "weight",
        "epsilon",
        "xi",
    )
    by_item = ("scope=example",)

    @property
    def reads(self) -> frozenset[Reads]:  # type: ignore[override]
        return frozenset({"unlabeled", "classes", *reads_of(self.scope)})

    @property
    def trains_unlabeled(self) -> bool:
        return self.target == "flow"

    def penalty(self, forward: Forward) -> Tensor:
        clean = forward.unlabeled
        d = self.find_direction(clean, forward.draw)
        d = at_tokens(clean, d, self.scope)
        return divergence_along(clean, d, self.epsilon, self.norm, self.target)

    def find_direction(self, clean: ClassifierForward, draw: Draw) -> Tensor:
        """The unit direction d after `power_iterations` Hessian products, as `random_direction` shapes it."""
        e, d = clean.embedding.detach(), random_direction(clean, self.scope, draw)
        if self.power_iterations == 0:
            return d
        with clean.full_precision() as logits:
            for _ in range(self.power_iterations):
                along = at_tokens(clean, d, self.scope)
                if self.direction == "exact":
                    product = exact_product(clean, e, along)
                else:
                    xi = clean.factor(self.xi, along)
                    product = difference_product(clean, logits, e, along, xi)
                d = unit(of_tokens(clean, product, self.scope), self.scope, d, clean.batch.replicas)
        return d


def difference_product(clean: ClassifierForward, logits: Tensor, e: Tensor, d: Tensor, xi: float) -> Tensor:
    """Hd up to a factor: the divergence's gradient J'(q - p) at e + xi d (it vanishes at e)."""
    perturbed, pull = clean.vjp(e + xi * d)
    return pull(perturbed.softmax(1) - logits.softmax(1))


def exact_product(clean: ClassifierForward, e: Tensor, d: Tensor) -> Tensor:
    """Hd = J'FJd up to the factor 1/B: J the Jacobian of the logits at e, F = diag(p) - pp'."""
    logits, jd, pull = clean.jvp(e, d)
    p = logits.softmax(1)
    return pull(p * (jd - (p * jd).sum(1, keepdim=True)))
