"""Virtual adversarial training."""

from typing import Literal

import torch
import torch.autograd.forward_ad as forward_ad
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.forward.base import Forward
from genreg.forward.classifier import Pass
from genreg.forward.perturbation import Norm, Scope, Target, divergence_along, random_direction, unit
from genreg.parameters import STRICT, CountOrZero, NonNegative, Positive
from genreg.regularizer.base import Regularizer


@dataclass(config=STRICT, kw_only=True)
class VAT(Regularizer):
    """KL divergence between the prediction at x and at x + r, r the perturbation that changes it most.

    Miyato et al., arXiv:1704.03976, equations 5 to 8 and Algorithm 1: r = epsilon d, where d is the top
    eigenvector of the divergence's Hessian in the input, found by power iteration from a random start.

    weight: factor of the term (the paper's alpha).
    epsilon: radius of r in units of `embed(x)`, per example (`scope=example`) or of the whole batch tensor.
    xi: length at which the finite difference probes; good between 1e-3 and 1e-1 (docs/vat.md).
    power_iterations: Hessian products; 0 leaves the random start.
    direction: `finite_difference` (two passes a product), or `exact` (J'FJu by one forward-mode and one
        reverse-mode product, F the Fisher matrix of the softmax; xi is not used).
    target: `stop` makes the clean prediction a constant; `flow` also trains it.
    scope: one direction per example, or `batch`: one for the whole tensor, as in the published Keras code.
    norm: the ball of r, `l2` or `linf` (then r = epsilon sign(d)).

    The direction is found in float32 whatever the precision, and leaves no parameter gradients. Running
    statistics of batch normalization move once per step, from the clean labeled and unlabeled batches in
    proportion to their sizes; every pass normalizes by the statistics of its own batch.
    """

    weight: NonNegative = 1.0
    epsilon: NonNegative = 0.5
    xi: Positive = 1e-2
    power_iterations: CountOrZero = 1
    direction: Literal["finite_difference", "exact"] = "finite_difference"
    target: Target = "stop"
    scope: Scope = "example"
    norm: Norm = "l2"

    @property
    def uses_unlabeled(self) -> bool:
        return True

    @property
    def uses_unlabeled_gradient(self) -> bool:
        return self.target == "flow"

    def penalty(self, forward: Forward) -> Tensor:
        clean = forward.unlabeled
        d = self.find_direction(clean, forward.generator)
        return divergence_along(clean, d, self.epsilon, self.norm, self.target)

    def find_direction(self, clean: Pass, generator: torch.Generator) -> Tensor:
        """The unit direction d after `power_iterations` Hessian products, shaped like the embedding."""
        e = clean.embedding.detach()
        d = random_direction(e, self.scope, generator)
        if self.power_iterations == 0:
            return d
        with clean.full_precision() as logits:
            for _ in range(self.power_iterations):
                if self.direction == "exact":
                    product = exact_product(clean, e, d)
                else:
                    product = difference_product(clean, logits, e, d, self.xi)
                d = unit(product, self.scope, fallback=d)
        return d


def difference_product(clean: Pass, logits: Tensor, e: Tensor, d: Tensor, xi: float) -> Tensor:
    """Hd up to a factor: the divergence's gradient J'(q - p) at e + xi d (it vanishes at e)."""
    with torch.enable_grad():
        probe = (e + xi * d).requires_grad_()
        perturbed = clean.perturbed(probe)
        return torch.autograd.grad(perturbed, probe, perturbed.detach().softmax(1) - logits.softmax(1))[0]


def exact_product(clean: Pass, e: Tensor, d: Tensor) -> Tensor:
    """Hd = J'FJd up to the factor 1/B: J the Jacobian of the logits at e, F = diag(p) - pp'."""
    with torch.enable_grad(), forward_ad.dual_level():
        point = e.clone().requires_grad_()
        dual = clean.perturbed(forward_ad.make_dual(point, d))
        logits, jd = forward_ad.unpack_dual(dual)
        p = logits.detach().softmax(1)
        jd = jd.detach()
        fisher_jd = p * (jd - (p * jd).sum(1, keepdim=True))
        return torch.autograd.grad(logits, point, fisher_jd)[0]
