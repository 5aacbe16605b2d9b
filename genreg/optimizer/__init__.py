"""Optimizers that wrap torch's: noise on the weights, gradients taken uphill; a schedule."""

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from genreg.optimizer.perturbed import Perturbed as Perturbed
from genreg.optimizer.perturbed import anti_pgd as anti_pgd
from genreg.optimizer.perturbed import pgd as pgd
from genreg.optimizer.sharpness import Uphill as Uphill
from genreg.optimizer.sharpness import gradient_norm as gradient_norm
from genreg.optimizer.sharpness import sam as sam
from genreg.optimizer.wrapped import Wrapped as Wrapped
from genreg.optimizer.wrapped import late_linear as late_linear


def build_optimizer(
    make: Callable[..., Optimizer], parameters: list[Tensor], *, seed: int, stream: str = "perturbation",
    replicas: range | None = None,
) -> Optimizer:  # fmt: skip
    """`make(parameters)`, told as much of the rest as it takes: of its noise and its replicas.

    Replicas are not moved by fused kernels: those round the last few numbers of a tensor otherwise, so that a
    replica would depend on where it stands.
    """
    offered: dict[str, Any] = {"seed": seed, "stream": stream, "replicas": replicas}
    if replicas is not None:
        offered["fused"] = False
    takes = inspect.signature(make).parameters
    return make(parameters, **{name: value for name, value in offered.items() if name in takes})


def trainable(model: nn.Module) -> list[Tensor]:
    """The parameters that an optimizer is given: frozen ones it must not even decay."""
    return [p for p in model.parameters() if p.requires_grad]


def evaluation_weights(optimizer: Optimizer) -> AbstractContextManager[None]:
    """Set the weights meanwhile to those that are judged: w, or z = w - xi if it says so."""
    at_z = isinstance(optimizer, Perturbed) and optimizer.has_iterate
    return optimizer.noise_free() if at_z else nullcontext()  # type: ignore[attr-defined]
