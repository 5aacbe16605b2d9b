"""Sharpness-aware minimization and the gradient-norm penalty: gradients taken a step uphill."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from genreg.model.passes import power_of_two
from genreg.optimizer.wrapped import BETAS, Base, Betas, Closure, Wrapped, around
from genreg.parameters import Fraction, NonNegative, checked


class Uphill(Wrapped):
    """The base's update with g = (1 - alpha) grad L(w) + alpha grad L(w + e(w)), e(w) of length rho uphill.

    alpha=1 is SAM (Foret et al., arXiv:2010.01412): e(w) = rho grad L / |grad L|. Other alpha are the
    penalty alpha rho |grad L| in weight space, to first order in rho (Zhao et al., arXiv:2202.03599, whose r
    is rho and whose weight lambda is alpha r).
    adaptive: e(w) = rho w^2 grad L / |w grad L|, elementwise products (Kwon et al., arXiv:2102.11600).

    `step` needs a closure and calls it twice, a second time at w + e(w); it returns the loss at w. Weights
    are put back as copied, not by subtraction. With rho=0 or alpha=0 the closure is called once and the
    step is the base's. Each replica has its own norm, found without squares that underflow; where the
    gradient is zero there is no climb.
    """

    @checked
    def __init__(
        self, base: Optimizer, *, rho: NonNegative, alpha: NonNegative, adaptive: bool,
        replicas: range | None = None,
    ) -> None:  # fmt: skip
        super().__init__(base, replicas=replicas, rho=rho, alpha=alpha)
        self.adaptive = adaptive

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Tensor | None:  # type: ignore[override]
        if closure is None:
            raise ValueError("step: expected a closure that computes loss and gradients, got none")
        evaluate = torch.enable_grad()(closure)
        loss = evaluate()
        if any(group["rho"] and group["alpha"] for group in self.param_groups):
            self._replace_gradients(evaluate)
        self.base.step()
        return loss

    def _replace_gradients(self, evaluate: Closure) -> None:
        """Leave in `.grad` the mixture of the gradient at w, which is there, and the one at w + e(w)."""
        moved = [(group, [p for p in group["params"] if p.grad is not None]) for group in self.param_groups]
        moved = [(group, parameters) for group, parameters in moved if parameters]
        before = [[p.clone() for p in parameters] for _, parameters in moved]
        gradients = [[p.grad.clone() for p in ps] if group["alpha"] != 1 else [] for group, ps in moved]
        scale, norm = self._norm([p for _, parameters in moved for p in parameters])
        for group, parameters in moved:
            e_w = _over(_over([p.grad for p in parameters], scale), norm)
            for factors in (parameters, parameters) if self.adaptive else ():
                torch._foreach_mul_(e_w, factors)
            torch._foreach_add_(parameters, e_w, alpha=group["rho"])  # climb to w + e(w)
        evaluate()  # writes the gradients at w + e(w) over those at w
        for (group, parameters), w, at_w in zip(moved, before, gradients, strict=True):
            torch._foreach_copy_(parameters, w)
            if at_w:
                climbed: list[Any] = [p.grad for p in parameters]
                torch._foreach_mul_(climbed, group["alpha"])
                torch._foreach_add_(climbed, at_w, alpha=1 - group["alpha"])

    def _norm(self, parameters: list[Tensor]) -> tuple[Tensor, Tensor]:
        """A power of two and the l2 norm over all parameters in units of it: scalars, or one a replica."""
        # squares of gradients below 1e-23 are zero in float32; division by a power of two is exact, so that
        # the length of ordinary gradients keeps the bits of the plain formula
        keep = 1 if self.replicas else 0
        slopes: Any = [p.grad for p in parameters]
        if self.adaptive:
            slopes = torch._foreach_mul(parameters, slopes)
        sizes = torch._foreach_abs(slopes)
        largest = [x.flatten(1).amax(-1) for x in sizes] if self.replicas else torch._foreach_max(sizes)
        scale = power_of_two(torch.stack(list(largest)).amax(0))
        slopes = _over(slopes, scale)
        squares = [square.flatten(keep).sum(-1) for square in torch._foreach_mul(slopes, slopes)]
        return scale, torch.stack(squares).sum(0).sqrt().clamp_min(1)  # below 1 only where all are zero


def _over(tensors: Sequence[Any], norm: Tensor) -> list[Tensor]:
    """Tensors over a scalar, or over the number of each of the N replicas that they hold."""
    if not norm.ndim:
        return list(torch._foreach_div(list(tensors), norm))
    return [x / norm.view(-1, *[1] * (x.ndim - 1)) for x in tensors]


@checked
def sam(
    params: Any,
    *,
    rho: NonNegative = 0.05,
    adaptive: bool = False,
    base: Base = "sgd",
    lr: NonNegative = 0.01,
    momentum: Fraction = 0.0,
    betas: Betas = BETAS,
    weight_decay: NonNegative = 0.0,
    replicas: range | None = None,
) -> Uphill:
    """Sharpness-aware minimization: `Uphill` with alpha=1 around torch's `base`."""
    return around(Uphill, alpha=1.0, **locals())


@checked
def gradient_norm(
    params: Any,
    *,
    r: NonNegative = 0.1,
    alpha: NonNegative = 0.8,
    base: Base = "sgd",
    lr: NonNegative = 0.01,
    momentum: Fraction = 0.0,
    betas: Betas = BETAS,
    weight_decay: NonNegative = 0.0,
    replicas: range | None = None,
) -> Uphill:
    """Gradient-norm penalty in weight space: `Uphill` with rho=r around torch's `base`.

    alpha above 1 extrapolates beyond the uphill gradient.
    """
    options = locals()
    return around(Uphill, rho=options.pop("r"), adaptive=False, **options)
