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
    """`make(params)`, with the run's seed for its noise, if it has any, and told of the replicas it moves."""
    optimizer = make(params)
    if isinstance(optimizer, Wrapped):
        optimizer.replicas = replicas
    if isinstance(optimizer, Perturbed):
        optimizer.seed = seed
    return optimizer


def noise_free(optimizer: Optimizer) -> AbstractContextManager[None]:
    """Inside, the weights are without the optimizer's anticorrelated noise, if it has any."""
    return optimizer.noise_free() if isinstance(optimizer, Perturbed) else nullcontext()
