"""Lipschitz constants of layers and of chains of them, from below and from above."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from genreg.errors import InputError
from genreg.model.passes import evaluation_mode

CHUNK = 512  # items whose gradients are taken at a time
TOLERANCE = 1e-5  # of a squared operator norm, relative
SMALL = 2  # inputs of a convolution that ARPACK does not take

CONTRACTIONS = (nn.Identity, nn.Flatten, nn.Unflatten, nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.Dropout)
"""Layers that lengthen no difference, in evaluation mode (leaky ReLU of a slope up to 1)."""
KNOWN = (nn.Linear, nn.Conv2d, *CONTRACTIONS)


def gradient_norms(critic: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Euclidean norm of the critic's gradient at each input, (B,)."""
    norms = []
    for chunk in x.split(CHUNK):
        chunk = chunk.detach().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(critic(chunk).sum(), chunk)
        norms.append(gradient.flatten(1).norm(dim=1))
    return torch.cat(norms)


def interpolates(real: Tensor, fake: Tensor, generator: torch.Generator) -> Tensor:
    """t real + (1 - t) fake, t uniform in [0, 1], one for each pair."""
    t = torch.rand(len(real), generator=generator, device=generator.device).to(real)
    t = t.reshape(-1, *[1] * (real.ndim - 1))
    return t * real + (1 - t) * fake


def spectral_product(layers: Sequence[nn.Module]) -> float:
    """Product of the largest singular values of the weights as matrices, kernels (out, in * h * w).

    What spectral normalization sets to 1. Of a convolution it is not the operator norm, and no bound.
    """
    weights = [weight_of(layer).flatten(1) for layer in layers if isinstance(layer, (nn.Linear, nn.Conv2d))]
    return float(np.prod([torch.linalg.matrix_norm(weight, 2).item() for weight in weights]))


def lipschitz_upper(
    layers: Sequence[nn.Module], critic: Callable[[Tensor], Tensor], x: Tensor, generator: torch.Generator
) -> float | None:
    """Product of the layers' operator norms, an upper bound on the slope; None if one has no known bound.

    x: a few inputs of the critic, on which each convolution shows the size of picture that it sees.
    """
    if not all(isinstance(layer, KNOWN) and _pads_with_zeros(layer) for layer in layers):
        return None
    shapes = input_shapes(layers, critic, x)
    bound = 1.0
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            bound *= convolution_norm(layer, shapes[layer], generator)
        elif isinstance(layer, nn.Linear):
            bound *= torch.linalg.matrix_norm(weight_of(layer), 2).item()
        elif isinstance(layer, nn.LeakyReLU):
            bound *= max(1.0, abs(layer.negative_slope))
    return bound


def _pads_with_zeros(layer: nn.Module) -> bool:
    return getattr(layer, "padding_mode", "zeros") == "zeros"


def input_shapes(
    layers: Sequence[nn.Module], critic: Callable[[Tensor], Tensor], x: Tensor
) -> dict[nn.Module, tuple[int, ...]]:
    """The shape of each layer's input, without the batch, when the critic scores x."""
    shapes: dict[nn.Module, tuple[int, ...]] = {}

    def note(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        shapes[layer] = tuple(given[0].shape[1:])

    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        with torch.no_grad():
            critic(x)
    finally:
        for hook in hooks:
            hook.remove()
    return shapes


def convolution_norm(layer: nn.Conv2d, shape: Sequence[int], generator: torch.Generator) -> float:
    """Largest singular value of the convolution, with its stride and padding, on pictures (C, H, W).

    Lanczos iteration (ARPACK) on A^T A in float64, to a relative error of 1e-5 of the squared norm; exactly,
    by its whole matrix, where that is too small for ARPACK.
    """
    weight = weight_of(layer)
    size = int(np.prod(shape))

    def normal(v: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(v).to(weight).reshape(1, *shape).requires_grad_()
        with torch.enable_grad():
            y = F.conv2d(x, weight, None, layer.stride, layer.padding, layer.dilation, layer.groups)
            (product,) = torch.autograd.grad(y, x, y.detach())  # A^T y
        return product.flatten().cpu().numpy()

    if size <= SMALL:
        largest = np.linalg.eigvalsh(np.stack([normal(row) for row in np.eye(size)]))[-1]
        return math.sqrt(max(0.0, float(largest)))
    start = torch.randn(size, generator=generator, device=generator.device, dtype=torch.float64).cpu().numpy()
    if not normal(start).any():  # a convolution that is zero, which ARPACK does not take either
        return 0.0
    return math.sqrt(max(0.0, _largest(normal, start)))


def _largest(product: Callable[[np.ndarray], np.ndarray], start: np.ndarray) -> float:
    """The largest eigenvalue of a symmetric operator; ArithmeticError where the iteration finds none."""
    from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh  # 0.4 s, which few runs need

    operator = LinearOperator((len(start), len(start)), matvec=product, dtype=np.float64)
    try:
        (largest,) = eigsh(operator, k=1, v0=start, tol=TOLERANCE, return_eigenvectors=False)
    except ArpackError as error:
        raise ArithmeticError(str(error)) from error
    return float(largest)


def weight_of(layer: nn.Module) -> Tensor:
    """The weight as evaluated: a spectrally normalized one is read without advancing its power iteration."""
    with evaluation_mode(layer):
        weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight.detach().double()


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
    """True if every window is a block of inputs, and an average is over all of it."""
    if isinstance(layer, nn.AvgPool2d) and (any(_pair(layer.padding)) or layer.divisor_override):
        return False
    return not layer.ceil_mode and set(_pair(getattr(layer, "dilation", 1))) == {1}


def _windows(layer: nn.MaxPool2d | nn.AvgPool2d) -> tuple[int, int]:
    """The most windows of a pooling that hold one input, and the number of inputs of a window."""
    pairs = [_pair(layer.kernel_size), _pair(layer.stride)]
    return math.prod(-(-k // s) for k, s in zip(*pairs, strict=True)), math.prod(pairs[0])


def _pair(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(value)


def unknown(target: Any) -> InputError:
    name = getattr(target, "__name__", str(target))
    return InputError("measure.lipschitz_upper", "layers whose norm is known (docs/measures.md)", name)
