"""Noise on hidden layers: added (hidden_noise), or multiplied (dropout)."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial
from typing import Annotated, Literal

from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from genreg import streams
from genreg.errors import InputError, nearest
from genreg.model.mlp import ACTIVATIONS
from genreg.parameters import STRICT, Fraction, Neutral, NonNegative
from genreg.regularizer.base import Regularizer
from genreg.regularizer.input_noise import Mode
from genreg.streams import Draw

Noise = Callable[[Tensor, Draw], Tensor]
"""A function of activations and a generator that returns noisy activations."""


Side = Literal["after", "before"]


def attach_noise(
    model: nn.Module, layers: str | None, method: str, noise: Noise,
    side: Side = "after", each_pass: bool = False,
) -> None:  # fmt: skip
    """Let `noise` act on the output of each chosen layer, or on its input, in training only.

    layers: a pattern of names as `*.2`, or None: every activation that is a module of its own. Each layer
    draws from a stream of the method's and its own name: the same in all passes of equal masks, or others in
    `each_pass`. Raises InputError where nothing matches.
    """
    for name, layer in chosen(model, layers, f"regularizer.{method}.layers").items():
        noisy = partial(_noisy, f"{method}/{name}", noise, each_pass)
        if side == "after":
            layer.register_forward_hook(noisy)
        else:
            layer.register_forward_pre_hook(partial(_before, noisy))


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


def _noisy(
    stream: str, noise: Noise, each_pass: bool, layer: nn.Module, inputs: tuple[Tensor, ...], h: Tensor
) -> Tensor:
    """A forward hook: h with noise in training, h itself in evaluation."""
    if not layer.training:
        return h
    return noise(h, streams.of_items(streams.of_layer(stream, h.device, each_pass)))


def _before(noisy: Callable[..., Tensor], layer: nn.Module, inputs: tuple[Tensor]) -> Tensor:
    """A hook before the layer: its input as `noisy` makes it."""
    return noisy(layer, inputs, *inputs)


@dataclass(config=STRICT, kw_only=True)
class HiddenNoise(Regularizer):
    """Each chosen layer's output in training is h + sigma n, or h (1 + sigma n), with n ~ N(0, I).

    Poole, Sohl-Dickstein and Ganguli, arXiv:1406.1831; multiplicative: Srivastava et al., JMLR 15
    (2014), section 10. All passes of an update over one batch share n, unless each has its own.

    sigma: standard deviation; additive, in units of h.
    layers: pattern of the names of layers, as in `Dropout`. Raises InputError where nothing matches.
    side: `before` adds the noise to what enters each of them.
    each_pass: n is drawn anew in each pass of an update, so that the divergence of a perturbation of length
        zero is not zero.
    """

    sigma: NonNegative = 0.1
    mode: Mode = "additive"
    layers: str | None = None
    side: Annotated[Side, Neutral("after")] = "after"
    each_pass: Annotated[bool, Neutral(False)] = False

    replicas = ("sigma",)
    by_item = ()

    @property
    def idle(self) -> bool:
        return not self.sigma

    def attach(self, model: nn.Module) -> None:
        attach_noise(model, self.layers, self.name, self.noisy, self.side, self.each_pass)

    def noisy(self, h: Tensor, draw: Draw) -> Tensor:
        """h with noise."""
        n = self.sigma * streams.normal_like(h, draw)
        return h + (n if self.mode == "additive" else n * h)


@dataclass(config=STRICT, kw_only=True)
class Dropout(Regularizer):
    """Each hidden unit is zero with probability p in training, and otherwise h / (1 - p).

    Srivastava et al., JMLR 15 (2014), section 4; scaled in training, as in its section 10. Masks come from
    the method's own stream, so that arms of one seed with different p drop nested sets of units, and are
    the same in every pass of an update over one batch; a model's own dropout (`model.dropout`) is beside it.

    p: probability, from 0 to below 1.
    layers: pattern of the names of layers after which units are dropped, as `layers.*`; null: after every
    activation that is a module of its own. Raises InputError where nothing matches.
    """

    p: Fraction = 0.5
    layers: str | None = None

    replicas = ("p",)
    by_item = ()

    @property
    def idle(self) -> bool:
        return not self.p

    def attach(self, model: nn.Module) -> None:
        attach_noise(model, self.layers, self.name, self.drop)

    def drop(self, h: Tensor, draw: Draw) -> Tensor:
        """h with units dropped."""
        kept = streams.uniform(h.shape, draw, h.device) >= self.p
        return h * kept / (1 - self.p)
