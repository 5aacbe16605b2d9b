"""Gradient descent with noise on the weights: independent (PGD) or anticorrelated (Anti-PGD)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

from genreg.optimizer.noise import Kind, Noise
from genreg.optimizer.wrapped import BETAS, Base, Betas, Closure, Wrapped, around
from genreg.parameters import Count, Fraction, NonNegative, checked

Iterate = Literal["w", "z"]


class Perturbed(Wrapped):
    """The update of `base`, then noise: w <- base(w) + xi_{n+1}, or + (xi_{n+1} - xi_n) if anticorrelated.

    Orvieto et al., arXiv:2202.02831. xi_n has independent entries of standard deviation sigma; xi_0 = 0, so
    that the noise-free iterate z = w - xi starts where w does and increments sum to the last xi.

    The noise is replayed from its number (`Noise`) rather than stored: a checkpoint of 11 million weights
    would grow by as many numbers, and a number is enough. `noise_step` (n) and `noise_scale` (the standard
    deviation that xi_n was injected with, so that a moving learning rate telescopes too) stand in the
    parameter groups, and so in every checkpoint. With sigma=0 nothing is drawn or added.

    scale_by_lr: sigma is in units of the learning rate (the noise of w - lr (grad + xi)), not of the weights.
    evaluate_at: the iterate that `evaluation_weights` shows, w or z.
    noise_steps: xi_n = 0 for n > noise_steps, so Anti-PGD returns to z at the step after; None for no end.
    """

    @checked
    def __init__(
        self, base: Optimizer, *, sigma: NonNegative, anticorrelated: bool, noise: Kind = "gaussian",
        scale_by_lr: bool = False, noise_steps: Count | None = None, evaluate_at: Iterate = "w",
        seed: int = 0, stream: str = "perturbation", replicas: range | None = None,
    ) -> None:  # fmt: skip
        super().__init__(base, replicas=replicas, sigma=sigma, noise_step=0, noise_scale=0.0)
        self.anticorrelated, self.kind, self.scale_by_lr = anticorrelated, noise, scale_by_lr
        self.noise_steps, self.evaluate_at = noise_steps, evaluate_at
        self.seed, self.stream = seed, stream
        self._noise: Noise | None = None

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if getattr(self, "_noise", None) is not None:
            raise ValueError("add_param_group: expected before the first step, whose noise fixes the layout")
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Tensor | None:  # type: ignore[override]
        loss: Tensor | None = self.base.step(closure)  # type: ignore[arg-type]
        self.perturb()
        return loss

    @torch.no_grad()
    def perturb(self) -> None:
        """Add the noise that follows an update of the base."""
        # xi_n is taken away with the scale that it was added with: only so do the increments sum to the last
        # xi where a scheduler moves the scale, and w - xi stays the noise-free iterate
        n = self.param_groups[0]["noise_step"]
        before = [group["noise_scale"] for group in self.param_groups]
        scales = [self._scale(group, n + 1) for group in self.param_groups]
        self._add(n + 1, scales)
        if self.anticorrelated:
            self._add(n, [-scale for scale in before])
        for group, scale in zip(self.param_groups, scales, strict=True):
            group["noise_step"], group["noise_scale"] = n + 1, scale

    @property
    def has_iterate(self) -> bool:
        """True if the weights are to be judged at z, the iterate without noise, which PGD has not."""
        return self.anticorrelated and self.evaluate_at == "z"

    @contextmanager
    def noise_free(self) -> Iterator[None]:
        """Set the weights to z = w - xi (of Anti-PGD; PGD has no such iterate), then back bit for bit."""
        scales = [group["noise_scale"] for group in self.param_groups]
        if not self.anticorrelated or not any(scales):
            yield
            return
        # copied, not added back: (w - xi) + xi has other last bits, and an evaluation would change the run
        noisy = [p.detach().clone() for p in self._parameters()]
        with torch.no_grad():
            self._add(self.param_groups[0]["noise_step"], [-scale for scale in scales])
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(self._parameters(), noisy)

    def _scale(self, group: dict[str, Any], n: int) -> float:
        if self.noise_steps is not None and n > self.noise_steps:
            return 0.0
        sigma: float = group["sigma"] * (float(group["lr"]) if self.scale_by_lr else 1.0)
        return sigma

    def _add(self, n: int, scales: Sequence[float]) -> None:
        """w += scale xi_n, with each group's scale."""
        if not any(scales):
            return
        if self._noise is None:
            self._noise = Noise(
                self._parameters(), kind=self.kind, seed=self.seed, stream=self.stream, replicas=self.replicas
            )
        xi, start = self._noise(n), 0
        for group, scale in zip(self.param_groups, scales, strict=True):
            stop = start + len(group["params"])
            if scale:
                torch._foreach_add_(group["params"], xi[start:stop], alpha=scale)
            start = stop

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]


@checked
def pgd(
    params: Any,
    *,
    sigma: NonNegative = 0.05,
    noise: Kind = "gaussian",
    scale_by_lr: bool = False,
    noise_steps: Count | None = None,
    base: Base = "sgd",
    lr: NonNegative = 0.01,
    momentum: Fraction = 0.0,
    betas: Betas = BETAS,
    weight_decay: NonNegative = 0.0,
    seed: int = 0,
    stream: str = "perturbation",
    replicas: range | None = None,
) -> Perturbed:
    """Perturbed gradient descent: `Perturbed` around torch's `base`, with independent noise."""
    return around(Perturbed, anticorrelated=False, **locals())


@checked
def anti_pgd(
    params: Any,
    *,
    sigma: NonNegative = 0.05,
    noise: Kind = "gaussian",
    scale_by_lr: bool = False,
    noise_steps: Count | None = None,
    evaluate_at: Iterate = "z",
    base: Base = "sgd",
    lr: NonNegative = 0.01,
    momentum: Fraction = 0.0,
    betas: Betas = BETAS,
    weight_decay: NonNegative = 0.0,
    seed: int = 0,
    stream: str = "perturbation",
    replicas: range | None = None,
) -> Perturbed:
    """Anticorrelated perturbed gradient descent: `Perturbed` around torch's `base`, with noise increments."""
    return around(Perturbed, anticorrelated=True, **locals())
