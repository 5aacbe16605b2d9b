"""Layers that keep only what enters them, and run again on the way back."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.checkpoint import checkpoint

from genreg import streams
from genreg.model.twice import wanted


def recompute(layers: Iterable[nn.Module]) -> None:
    """Let each layer keep nothing but its input for the backward pass (Chen et al., arXiv:1604.06174).

    It draws the same masks when it runs again. Passes that are differentiated twice keep everything.
    """
    for layer in layers:
        layer.forward = partial(_run, layer, layer.forward)


def _run(layer: nn.Module, forward: Callable[..., Tensor], *given: Any, **named: Any) -> Any:
    if wanted() or not torch.is_grad_enabled():
        return forward(*given, **named)
    for module in layer.modules():  # what parametrizations make of weights is shared, so not made in here
        for name in getattr(module, "parametrizations", ()) if parametrize.is_parametrized(module) else ():
            getattr(module, name)
    return checkpoint(forward, *given, use_reentrant=False, context_fn=streams.replayed, **named)
