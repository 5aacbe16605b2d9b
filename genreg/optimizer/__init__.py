"""Optimizers that wrap torch's: noise on the weights, gradients taken uphill."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch.optim import Optimizer

from genreg.optimizer.perturbed import Perturbed as Perturbed
from genreg.optimizer.perturbed import anti_pgd as anti_pgd
from genreg.optimizer.perturbed import pgd as pgd
from genreg.optimizer.sharpness import Uphill as Uphill
from genreg.optimizer.sharpness import gradient_norm as gradient_norm
from genreg.optimizer.sharpness import sam as sam
from genreg.optimizer.wrapped import Wrapped as Wrapped


def seeded(
    make: Callable[..., Optimizer], seed: int, params: Any, replicas: range | None = None
) -> Optimizer:
    """`make(params)`, with the run's seed for its noise, if it has any, and told of the replicas it moves.

    Replicas are not moved by fused kernels: those round the last few numbers of a tensor otherwise, so that a
    replica would depend on where it stands.
    """
    optimizer = make(params)
    for group in optimizer.param_groups:
        if replicas is not None and "fused" in group:
            group["fused"] = False
    if isinstance(optimizer, Wrapped):
        optimizer.replicas = replicas
    if isinstance(optimizer, Perturbed):
        optimizer.seed = seed
    return optimizer


def evaluation_weights(optimizer: Optimizer) -> AbstractContextManager[None]:
    """Inside, the weights are those the optimizer is to be judged by: w, or z = w - xi if it says so."""
    at_z = isinstance(optimizer, Perturbed) and optimizer.evaluate_at == "z"
    return optimizer.noise_free() if at_z else nullcontext()  # type: ignore[attr-defined]
