"""Adversarial training on the labeled batch: one gradient step (FGM, FGSM), or several."""

from typing import Annotated

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg import streams
from genreg.forward.classifier import ClassifierForward
from genreg.forward.perturbation import Norm, Scope, at_tokens, loss_gradient, of_tokens, unit, within
from genreg.parameters import STRICT, Count, Neutral, NonNegative, Positive, Share
from genreg.regularizer.base import Reads, Regularizer, reads_of
from genreg.streams import Draw


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
    scope: Annotated[Scope, Neutral("example")] = "example"

    replicas = (
        "epsilon",
        "alpha",
    )
    by_item = ("scope=example",)

    @property
    def reads(self) -> frozenset[Reads]:  # type: ignore[override]
        return reads_of(self.scope)

    @property
    def idle(self) -> bool:
        return not self.epsilon or self.alpha == 1

    def losses(self, forward: ClassifierForward, losses: Tensor) -> Tensor:
        with forward.fixed_statistics():
            g = loss_gradient(forward, forward.embedding)
        d = unit(of_tokens(forward, g, self.scope), self.scope, replicas=forward.batch.replicas)
        d = at_tokens(forward, d, self.scope)
        return mixed(forward, losses, forward.factor(self.epsilon, d) * d, self.alpha)


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

    replicas = (
        "epsilon",
        "alpha",
    )
    by_item = ()

    @property
    def idle(self) -> bool:
        return not self.epsilon or self.alpha == 1

    def losses(self, forward: ClassifierForward, losses: Tensor) -> Tensor:
        with forward.fixed_statistics():
            g = loss_gradient(forward, forward.embedding)
        return mixed(forward, losses, forward.factor(self.epsilon, g) * g.sign(), self.alpha)


def mixed(forward: ClassifierForward, losses: Tensor, r: Tensor, alpha: float) -> Tensor:
    """alpha l(e) + (1 - alpha) l(e + r) of each labeled item."""
    moved = forward.loss(forward.at(forward.embedding + r), forward.batch)
    both: Tensor = forward.factor(alpha, losses) * losses + forward.factor(1 - alpha, moved) * moved
    return both


@dataclass(config=STRICT, kw_only=True)
class Adversarial(Regularizer):
    """The labeled loss is l(e + r), where r climbs l for some steps without leaving the ball |r| <= epsilon.

    Madry et al., arXiv:1706.06083, equation 2.1 and the projected gradient method below it. Each step goes
    `step_size` along g / |g|_2 (l2) or sign(g) (linf), g = grad_e l, and back to the ball; r is a constant of
    the backward pass.

    epsilon: radius of the ball, in units of `embed(x)`; per example (l2) or of each number (linf).
    ascent_steps: one forward and one backward pass each.
    step_size: in the same norm; null: 2.5 epsilon / ascent_steps, so that the far side is in reach.
    random_start: uniform in the ball; false: r starts at zero.
    """

    epsilon: NonNegative = 0.1
    ascent_steps: Count = 5
    step_size: Positive | None = None
    norm: Norm = "linf"
    random_start: bool = True

    replicas = (
        "epsilon",
        "step_size",
    )
    by_item = ()

    @property
    def idle(self) -> bool:
        return not self.epsilon

    def losses(self, forward: ClassifierForward, losses: Tensor) -> Tensor:
        return forward.loss(forward.at(forward.embedding + self.climb(forward)), forward.batch)

    def climb(self, forward: ClassifierForward) -> Tensor:
        """The perturbation r of each labeled item, shaped like the embedding."""
        e = forward.embedding.detach()
        stride = 2.5 * self.epsilon / self.ascent_steps if self.step_size is None else self.step_size
        stride, epsilon = forward.factor(stride, e), forward.factor(self.epsilon, e)
        r = self.start(e, epsilon, forward.draw) if self.random_start else torch.zeros_like(e)
        if forward.mask is not None:
            r = r * forward.mask[..., None]
        with forward.fixed_statistics():
            for _ in range(self.ascent_steps):
                g = loss_gradient(forward, e + r)
                step = g.sign() if self.norm == "linf" else unit(g, "example")
                r = within(r + stride * step, epsilon, self.norm)
        return r

    def start(self, e: Tensor, epsilon: float | Tensor, draw: Draw) -> Tensor:
        """Points of the ball of that radius, uniform."""
        if self.norm == "linf":
            return epsilon * (2 * streams.uniform_like(e, draw) - 1)
        d = streams.normal_like(e, draw)
        u = streams.uniform_of_items(e, draw)
        power = 1 / e[0].numel()  # so that volumes are equally likely
        # replica by replica: powers round by where in a tensor a number stands
        share = torch.cat([part**power for part in u.chunk(streams.replicas_of(draw))])
        return epsilon * share * unit(d, "example")
