"""Layers that see a whole batch, of which this process has a part: dropout and batch normalization."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from genreg import streams
from genreg.model.statistics import by_batch, moments, normalized
from genreg.run import ranks

Made = TypeVar("Made", bound=nn.Module)


def sharing(model: Made) -> Made:
    """The model, whose dropout and batch normalization see whole batches where processes share them."""
    layers: Iterable[Any] = model.modules() if ranks.size > 1 else ()
    for layer in layers:
        if isinstance(layer, nn.Dropout):
            layer.forward = partial(_dropped, layer)  # type: ignore[method-assign]
        if isinstance(layer, _BatchNorm):
            layer.forward = partial(_normalized, layer, layer.forward)  # type: ignore[method-assign]
    return model


def _dropped(layer: nn.Dropout, x: Tensor) -> Tensor:
    """x by this process's rows of the mask of all; on the CPU it is the mask that one process draws."""
    if not layer.training:
        return x
    ones = x.new_ones(streams.whole(x.shape))
    if x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last):  # masks are drawn as numbers lie
        ones = ones.contiguous(memory_format=torch.channels_last)
    return x * streams.own(F.dropout(ones, layer.p))


def _normalized(layer: Any, alone: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """x by the moments of the whole batch, which also move the running ones."""
    if streams.processes == 1 or not by_batch(layer):
        return alone(x)
    mean, variance = moments(x)
    if layer.training and layer.track_running_stats:
        _follow(layer, mean, variance, ranks.size * x.numel() // x.shape[1])
    return normalized(layer, x, mean, variance)


@torch.no_grad()
def _follow(layer: Any, mean: Tensor, variance: Tensor, n: int) -> None:
    """Move the running statistics as torch does, by the moments of n numbers of each channel."""
    layer.num_batches_tracked.add_(1)
    share = 1 / float(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
    layer.running_mean.lerp_(mean.flatten().to(layer.running_mean.dtype), share)
    layer.running_var.lerp_((variance * (n / (n - 1))).flatten().to(layer.running_var.dtype), share)
