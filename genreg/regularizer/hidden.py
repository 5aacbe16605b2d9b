"""Noise after hidden layers, which methods choose by a pattern of their names."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial

import torch
from torch import Tensor, nn

from genreg import streams
from genreg.errors import InputError, nearest
from genreg.model.mlp import ACTIVATIONS

Noise = Callable[[Tensor, torch.Generator], Tensor]
"""From what a layer gives, and a generator, to what the next layer is shown."""


def attach_noise(model: nn.Module, layers: str | None, method: str, noise: Noise) -> None:
    """Let `noise` act on the output of each chosen layer, in training only.

    layers: a pattern of names as `*.2`, or None: every activation that is a module of its own. Each layer
    draws from a stream of the method's and its own name, the same in all passes of equal masks. Raises
    InputError where nothing matches.
    """
    for name, layer in chosen(model, layers, f"regularizer.{method}.layers").items():
        layer.register_forward_hook(partial(_noisy, f"{method}/{name}", noise))


def chosen(model: nn.Module, pattern: str | None, key: str) -> dict[str, nn.Module]:
    """The modules whose names match, by name; what parametrizations consist of has none."""
    named = {name: m for name, m in model.named_modules() if name and "parametrizations" not in name}
    kinds = tuple(ACTIVATIONS.values())
    found: dict[str, nn.Module] = {
        name: layer for name, layer in named.items()
        if (isinstance(layer, kinds) if pattern is None else fnmatchcase(name, pattern))
    }  # fmt: skip
    if not found:
        expected = "a pattern of names of layers" + ("" if pattern else ": no activation is one by itself")
        raise InputError(key, expected, pattern, nearest(pattern or "", named))
    return found


def _noisy(stream: str, noise: Noise, layer: nn.Module, inputs: tuple[Tensor, ...], h: Tensor) -> Tensor:
    """A forward hook: h with noise in training, h itself in evaluation."""
    return noise(h, streams.of_layer(stream, h.device)) if layer.training else h
