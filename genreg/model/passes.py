"""Passes of a model: second derivatives, recomputation, leaving it as it was, safe norms."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils import parametrize
from torch.utils.checkpoint import checkpoint

from genreg import streams

_twice = False


def differentiated_twice() -> bool:
    """True inside of `twice`: the pass must have a second derivative, or a forward one."""
    return _twice


@contextmanager
def twice() -> Iterator[None]:
    """Inside, attention is made of plain products, and recurrent layers of plain steps.

    Fused kernels have neither a derivative of their backward pass nor a forward derivative. What plain ones
    cost is in docs/text.md.
    """
    global _twice
    before, _twice = _twice, True
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        _twice = before


def recompute(layers: Iterable[nn.Module]) -> None:
    """Let each layer keep nothing but its input for the backward pass (Chen et al., arXiv:1604.06174).

    It draws the same masks when it runs again. Passes that are differentiated twice keep everything.
    """
    for layer in layers:
        layer.forward = partial(_run, layer, layer.forward)


def _run(layer: nn.Module, forward: Callable[..., Tensor], *given: Any, **named: Any) -> Any:
    if differentiated_twice() or not torch.is_grad_enabled():
        return forward(*given, **named)
    for module in layer.modules():  # what parametrizations make of weights is shared, so not made in here
        for name in getattr(module, "parametrizations", ()) if parametrize.is_parametrized(module) else ():
            getattr(module, name)
    return checkpoint(forward, *given, use_reentrant=False, context_fn=streams.replayed, **named)


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Dropout off and running statistics used inside; each module's own mode is put back, also on error."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """No parameter is trained inside; those that were trained before are trained again."""
    trained = [p for p in model.parameters() if p.requires_grad]
    for p in trained:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in trained:
            p.requires_grad_(True)


def power_of_two(largest: Tensor) -> Tensor:
    """For each number, none negative, the power of two at or next below it; 1 where it is zero.

    Dividing by it is exact, so that a length computed of x over this of max |x|, and multiplied by it, has
    the bits of the plain formula wherever that neither under- nor overflows.
    """
    mantissa, _ = torch.frexp(largest)  # in [1/2, 1)
    return torch.where(largest > 0, largest / (2 * mantissa), torch.ones_like(largest))


def norm(x: Tensor) -> Tensor:
    """The l2 norm over all dimensions."""
    scale = power_of_two(x.abs().max())
    length: Tensor = (x / scale).norm() * scale
    return length
