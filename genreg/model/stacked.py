"""Models of one shape as one model: its layers show the items of each replica to the weights of that one."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from genreg import streams
from genreg.model.products import ALIGNMENT, affine, product

ELEMENTWISE = (nn.ReLU, nn.LeakyReLU, nn.Tanh)
"""Layers whose numbers do not depend on where in a tensor an item stands."""

BY_ITSELF = (*ELEMENTWISE, nn.GELU, nn.Softplus)
"""Layers that may be shown each replica apart, having no weights."""


BLOCK = 64
"""Channels that sums over a batch take at a time: where a layer has no multiple of it, its last ones round
otherwise beside those of another replica."""


class Unstackable(Exception):  # noqa: N818
    """A layer of which there is no stacked one that keeps the bits of a single one."""


Model = TypeVar("Model", bound=nn.Module)


def stack(models: Sequence[Model]) -> Model:
    """Return one model of R models: shown R x B items, it gives each replica's B what its model would.

    On the CPU the outputs and gradients are those of the single models to the last bit. From here on their
    parameters and buffers are views of its own. Raises Unstackable for a layer that cannot be stacked.
    """
    joint = deepcopy(models[0])
    for name, layer in list(joint.named_modules()):
        if "parametrizations" in name:
            continue
        if isinstance(layer, nn.Linear) or next(layer.children(), None) is None:
            parent, _, own = name.rpartition(".")
            layers = [model.get_submodule(name) for model in models]
            setattr(joint.get_submodule(parent), own, _stacked(layers))
        elif _has_hooks(layer) or parametrize.is_parametrized(layer):
            raise Unstackable(f"{type(layer).__name__} with a part that a method attached")
    return joint


def unstack(model: nn.Module) -> None:
    """Let a model that was stacked count its batches by itself again."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d) and layer.num_batches_tracked is not None:
            layer.num_batches_tracked = layer.num_batches_tracked.clone()


def _stacked(layers: Sequence[Any]) -> nn.Module:
    first = layers[0]
    if isinstance(first, BY_ITSELF if _has_hooks(first) else nn.GELU | nn.Softplus):
        return Each(layers)
    if _has_hooks(first):
        raise Unstackable(f"{first} with noise that a method attached")
    if isinstance(first, nn.Linear):
        return StackedLinear(layers)
    if isinstance(first, nn.BatchNorm1d) and first.num_features % BLOCK == 0:
        return StackedBatchNorm(layers)
    if isinstance(first, nn.Dropout):
        return StackedDropout([layer.p for layer in layers])
    if isinstance(first, (nn.Flatten, nn.Unflatten, *ELEMENTWISE)):
        return first
    raise Unstackable(f"{first} cannot be stacked")


def _has_hooks(layer: nn.Module) -> bool:
    return bool(layer._forward_hooks or layer._forward_pre_hooks)


def _shared(parts: Sequence[Tensor]) -> Tensor:
    """The tensors as one, (R, ...), of which they become views, each where a tensor alone would begin."""
    first = parts[0]
    step = max(1, ALIGNMENT // first.element_size())
    whole = first.new_zeros(len(parts), -(-first.numel() // step) * step)[:, : first.numel()]
    whole = whole.view(len(parts), *first.shape)
    for part, view in zip(parts, whole, strict=True):
        view.copy_(part.detach())
        part.data = view
    return whole


def _column(parts: Sequence[Tensor]) -> nn.Parameter:
    """The parameters of all as one, trained if they are."""
    return nn.Parameter(_shared(parts), requires_grad=parts[0].requires_grad)


class StackedLinear(nn.Module):
    """Linear layers, weights (R, out, in): those of a single layer lie in memory as if it were alone."""

    def __init__(self, layers: Sequence[Any]) -> None:
        super().__init__()
        changed = parametrize.is_parametrized(layers[0])
        chains = [layer.parametrizations.weight for layer in layers] if changed else []
        self.weight = _column([chain.original for chain in chains] or [layer.weight for layer in layers])
        biased = layers[0].bias is not None
        self.bias = _column([layer.bias for layer in layers]) if biased else None
        if chains:  # unsafe: else it would be tried here, and tell its state
            parametrize.register_parametrization(self, "weight", OfEach(chains), unsafe=True)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.view(len(self.weight), -1, x.shape[1])
        if self.bias is None:
            return product(rows, self.weight.transpose(1, 2)).flatten(0, 1)
        # transposed here, as in `F.linear`: the gradients of one call are summed before they join others
        outputs = affine(rows, self.weight.transpose(1, 2), self.bias)
        return outputs.view(-1, outputs.shape[2])

    def transposed(self, g: Tensor) -> Tensor:
        """The product of `g` with each replica's transposed weight: (R B, in) of (R B, out)."""
        rows = g.view(len(self.weight), -1, g.shape[1])
        return product(rows, self.weight).flatten(0, 1)


class OfEach(nn.Module):
    """Of the weights of all, (R, out, in), what the parametrizations of each make of its own."""

    def __init__(self, chains: Sequence[nn.ModuleList]) -> None:
        super().__init__()
        self.chains = nn.ModuleList(nn.ModuleList(chain) for chain in chains)

    def forward(self, weights: Tensor) -> Tensor:
        made = []
        for number, weight in enumerate(weights):
            with streams.replica(number):
                for own in self.chains[number]:  # type: ignore[attr-defined]
                    weight = own(weight)
            made.append(weight)
        return torch.stack(made)


class StackedBatchNorm(nn.Module):
    """Batch normalization of each replica by its own statistics: one layer of R x C channels."""

    def __init__(self, layers: Sequence[nn.BatchNorm1d]) -> None:
        super().__init__()
        self.replicas = len(layers)
        first = layers[0]
        self.norm = nn.BatchNorm1d(
            self.replicas * first.num_features, first.eps, first.momentum, first.affine,
            first.track_running_stats,
        )  # fmt: skip
        for name in ("weight", "bias"):
            column = _column([getattr(one, name) for one in layers])
            setattr(self.norm, name, nn.Parameter(column.flatten(), column.requires_grad))
        for name in ("running_mean", "running_var"):
            setattr(self.norm, name, _shared([getattr(one, name) for one in layers]).flatten())
        self.norm.num_batches_tracked = first.num_batches_tracked
        for layer in layers:
            layer.num_batches_tracked = first.num_batches_tracked

    def forward(self, x: Tensor) -> Tensor:
        columns = x.view(self.replicas, -1, x.shape[1]).transpose(0, 1).flatten(1)
        outputs: Tensor = self.norm(columns)
        return outputs.view(len(columns), self.replicas, -1).transpose(0, 1).reshape_as(x)


class StackedDropout(nn.Module):
    """Dropout of each replica at its own rate, by the masks that it would draw alone."""

    def __init__(self, rates: Sequence[float]) -> None:
        super().__init__()
        self.rates = rates

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        shape = (len(x) // len(self.rates), *x.shape[1:])
        masks = [
            torch.empty(shape, dtype=x.dtype, device=x.device)
            .bernoulli_(1 - rate, generator=draw)
            .div_(1 - rate)
            for rate, draw in zip(self.rates, streams.of_replicas(), strict=True)
        ]
        return x * torch.cat(masks)


def draws_masks(model: nn.Module) -> bool:
    """True if a pass of a stacked model draws masks."""
    return any(isinstance(layer, StackedDropout | OfEach | Each) for layer in model.modules())


class Each(nn.Module):
    """Layers without weights, each shown its replica alone, with what a method attached to it.

    Those too whose numbers depend on where in a tensor an item stands.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        made = []
        for number, part in enumerate(x.chunk(len(self.layers))):
            with streams.replica(number):
                made.append(self.layers[number](part))
        return torch.cat(made)


class Parts:
    """The models of all as methods see them that read weights: parts of the stacked one's, with history."""

    def __init__(self, joint: Model, models: Sequence[Model]) -> None:
        if any(isinstance(layer, OfEach) for layer in joint.modules()):
            raise Unstackable("a penalty on weights beside a parametrization of them")
        self.columns = list(joint.parameters())
        self.models = [deepcopy(model) for model in models]
        self.places = [
            [
                (layer, name)
                for layer in model.modules()
                for name, own in layer._parameters.items()
                if own is not None
            ]
            for model in self.models
        ]

    def __call__(self) -> list[Any]:
        """The models, as the weights are now."""
        for number, place in enumerate(zip(*self.places, strict=True)):
            shape = place[0][0]._parameters[place[0][1]].shape
            for (layer, name), part in zip(place, self.columns[number].view(-1, *shape), strict=True):
                layer._parameters[name] = part
        return self.models
