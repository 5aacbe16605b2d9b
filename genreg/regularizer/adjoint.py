"""The input gradient of a chain of layers, written out as the chain of their transposes."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ADJOINT = (nn.Linear, nn.Conv2d, nn.LeakyReLU, nn.ReLU, nn.Flatten)


def unknown_layer(layers: nn.Sequential) -> nn.Module | None:
    """The first layer that `adjoint` cannot transpose, or None."""
    return next((layer for layer in _flat(layers) if not _known(layer)), None)


def adjoint(layers: nn.Sequential, x: Tensor) -> Tensor:
    """The gradient of `layers(x).sum()` in x, differentiable in the weights.

    A forward pass without history finds which units are active; a piecewise linear network is then, near x,
    the product of its weights and those masks, and its gradient the product of their transposes. One
    ordinary backward pass through that product replaces the second of two.
    """
    inputs: list[Tensor] = []
    with torch.no_grad():
        h = x
        for layer in _flat(layers):
            inputs.append(h)
            h = layer(h)
    g = torch.ones_like(h)
    for layer, entered in zip(reversed(list(_flat(layers))), reversed(inputs), strict=True):
        g = _transpose(layer, g, entered)
    return g


def _transpose(layer: nn.Module, g: Tensor, entered: Tensor) -> Tensor:
    """What the layer's backward pass makes of `g`, where `entered` is what entered the layer."""
    if isinstance(layer, nn.Linear):
        return g @ layer.weight
    if isinstance(layer, nn.Conv2d):
        return _transpose_convolution(layer, g, entered)
    if isinstance(layer, nn.Flatten):
        return g.reshape(entered.shape)
    slope = layer.negative_slope if isinstance(layer, nn.LeakyReLU) else 0.0
    return torch.where(entered > 0, g, g * slope)


def _transpose_convolution(layer: nn.Conv2d, g: Tensor, entered: Tensor) -> Tensor:
    padding: Any = layer.padding
    shape = (entered.shape[2:], padding, layer.dilation, layer.kernel_size, layer.stride)
    unreached = [(n + 2 * p - d * (k - 1) - 1) % s for n, p, d, k, s in zip(*shape, strict=True)]
    options = (layer.stride, padding, unreached, layer.groups, layer.dilation)
    return F.conv_transpose2d(g, layer.weight, None, *options)


def _known(layer: nn.Module) -> bool:
    if layer._forward_hooks:  # what a method attached may bend the slope: dropout, noise
        return False
    if isinstance(layer, nn.Conv2d):
        return layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    if isinstance(layer, nn.Flatten):
        return layer.start_dim == 1
    return isinstance(layer, ADJOINT)


def _flat(layers: nn.Sequential) -> Iterator[nn.Module]:
    for layer in layers:
        yield from _flat(layer) if isinstance(layer, nn.Sequential) else (layer,)
