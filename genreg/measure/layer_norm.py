"""How much one layer may lengthen a difference, l2 to l2, in evaluation mode."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from genreg.errors import InputError
from genreg.measure.lipschitz import CONTRACTIONS, TOLERANCE, convolution_norm, weight_of

GELU = 1.129  # its largest slope is 1.12890 at the square root of 2, or 1.12899 of the approximation by tanh


def layer_norm(layer: nn.Module, shape: Sequence[int], generator: torch.Generator) -> float:
    """A bound on the slope of one layer of torch's, given items of that shape; InputError without one."""
    if isinstance(layer, nn.Linear):
        return float(torch.linalg.matrix_norm(weight_of(layer), 2))
    if isinstance(layer, nn.Conv2d) and layer.padding_mode == "zeros":
        return convolution_norm(layer, shape, generator) * math.sqrt(1 + TOLERANCE)  # Lanczos stays below
    if isinstance(layer, _BatchNorm) and layer.running_var is not None:
        scale = weight_of(layer).abs() if layer.affine else 1.0
        return (scale * (layer.running_var.double() + layer.eps).rsqrt()).max().item()
    if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d) and _plain(layer):
        windows, size = _windows(layer)
        return math.sqrt(windows if isinstance(layer, nn.MaxPool2d) else windows / size)
    if isinstance(layer, nn.AdaptiveAvgPool2d) and layer.output_size in (1, (1, 1)):
        return 1 / math.sqrt(math.prod(shape[1:]))
    if isinstance(layer, nn.LeakyReLU):
        return max(1.0, abs(layer.negative_slope))
    if isinstance(layer, nn.GELU):
        return GELU
    if isinstance(layer, (*CONTRACTIONS, nn.Softplus)):
        return 1.0
    raise unknown(type(layer).__name__)


def _plain(layer: nn.MaxPool2d | nn.AvgPool2d) -> bool:
    """Whether every window is a block of inputs, and an average is over all of it."""
    if isinstance(layer, nn.AvgPool2d) and (any(_pair(layer.padding)) or layer.divisor_override):
        return False
    return not layer.ceil_mode and set(_pair(getattr(layer, "dilation", 1))) == {1}


def _windows(layer: nn.MaxPool2d | nn.AvgPool2d) -> tuple[int, int]:
    """How many windows of a pooling an input may stand in, and how many inputs a window has."""
    pairs = [_pair(layer.kernel_size), _pair(layer.stride)]
    return math.prod(-(-k // s) for k, s in zip(*pairs, strict=True)), math.prod(pairs[0])


def _pair(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(value)


def unknown(target: Any) -> InputError:
    name = getattr(target, "__name__", str(target))
    return InputError("measure.lipschitz_upper", "layers whose norm is known (docs/measures.md)", name)
