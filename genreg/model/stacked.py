"""Models of one shape as one model: its layers show the items of each replica to the weights of that one."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genreg import streams

ELEMENTWISE = (nn.ReLU, nn.LeakyReLU, nn.Tanh)
"""Layers whose numbers do not depend on where in a tensor an item stands."""


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
        if next(layer.children(), None) is None:
            parent, _, own = name.rpartition(".")
            layers = [model.get_submodule(name) for model in models]
            setattr(joint.get_submodule(parent), own, _stacked(layers))
    return joint


def unstack(model: nn.Module) -> None:
    """Let a model that was stacked count its batches by itself again."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d) and layer.num_batches_tracked is not None:
            layer.num_batches_tracked = layer.num_batches_tracked.clone()


def _stacked(layers: Sequence[Any]) -> nn.Module:
    first = layers[0]
    if isinstance(first, nn.Linear):
        return StackedLinear(layers)
    if isinstance(first, nn.BatchNorm1d) and first.num_features % BLOCK == 0:
        return StackedBatchNorm(layers)
    if isinstance(first, nn.Dropout):
        return StackedDropout([layer.p for layer in layers])
    if isinstance(first, (nn.Flatten, nn.Unflatten, *ELEMENTWISE)):
        return first
    if isinstance(first, nn.GELU | nn.Softplus):
        return Each(first, len(layers))
    raise Unstackable(f"{first} cannot be stacked")


def _shared(parts: Sequence[Tensor]) -> Tensor:
    """The tensors as one, (R, ...), of which they become views."""
    whole = torch.stack([part.detach() for part in parts])
    for part, view in zip(parts, whole, strict=True):
        part.data = view
    return whole


def _column(parts: Sequence[Tensor]) -> nn.Parameter:
    """The parameters of all as one, trained if they are."""
    return nn.Parameter(_shared(parts), requires_grad=parts[0].requires_grad)


class StackedLinear(nn.Module):
    """Linear layers, weights (R, out, in): those of a single layer lie in memory as if it were alone."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = _column([layer.weight for layer in layers])
        biased = layers[0].bias is not None
        self.bias = _column([layer.bias for layer in layers]) if biased else None

    def forward(self, x: Tensor) -> Tensor:
        rows = x.view(len(self.weight), -1, x.shape[1])
        if self.bias is None:
            return product(rows, self.weight.transpose(1, 2)).flatten(0, 1)
        # transposed here, as in `F.linear`: the gradients of one call are summed before they join others
        outputs: Tensor = Linear.apply(rows, self.weight.transpose(1, 2), self.bias)  # type: ignore[no-untyped-call]
        return outputs.view(-1, outputs.shape[2])

    def transposed(self, g: Tensor) -> Tensor:
        """The product of `g` with each replica's transposed weight: (R B, in) of (R B, out)."""
        rows = g.view(len(self.weight), -1, g.shape[1])
        return product(rows, self.weight).flatten(0, 1)


class Linear(torch.autograd.Function):
    """x W + b of each replica, (R, B, out), of x (R, B, in), W (R, in, out) and b (R, out)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.save_for_forward(x, weight)
        ctx.set_materialize_grads(False)
        return _exact(_affine, _linear, x, weight, bias)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        of_bias = g.sum(1) if ctx.needs_input_grad[2] else None
        return *_of_product(ctx, g), of_bias

    @staticmethod
    def jvp(ctx: Any, x: Tensor | None, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        assert x is not None and weight is None and bias is None, "only inputs are perturbed"  # noqa: PT018
        return product(x, ctx.saved_tensors[1])


class Product(torch.autograd.Function):
    """a b of each replica, (R, n, m), of a (R, n, k) and b (R, k, m)."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return _exact(torch.bmm, torch.mm, a, b)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor | None]:
        return _of_product(ctx, g)


def product(a: Tensor, b: Tensor) -> Tensor:
    """a b of each replica, with the bits of `torch.mm`, whose derivatives of any order have them too."""
    found: Tensor = Product.apply(a, b)  # type: ignore[no-untyped-call]
    return found


def _of_product(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """The gradients of a product in both factors.

    Of a factor that lies column by column in memory, as a transposed weight does, torch makes the gradient of
    `mm` as a transposed product, which rounds otherwise. For a batch of products it does not.
    """
    a, b = ctx.saved_tensors
    of_a = of_b = None
    if _is_wanted(ctx.next_functions[0]):
        of_a = _t(product(b, _t(g))) if _by_column(a) else product(g, _t(b))
    if _is_wanted(ctx.next_functions[1]):
        of_b = _t(product(_t(g), a)) if _by_column(b) else product(_t(a), g)
    return of_a, of_b


def _by_column(x: Tensor) -> bool:
    return x.stride(1) == 1 and x.stride(2) == x.shape[1]


def _t(x: Tensor) -> Tensor:
    return x.transpose(1, 2)


def _is_wanted(edge: tuple[Any, int]) -> bool:
    """True if the backward pass goes on there: `autograd.grad` of an input asks for no weight's gradient.

    `ctx.needs_input_grad` does not know which gradients were asked for.
    """
    node = edge[0]
    if node is None or node.name().endswith("AccumulateGrad"):
        return node is not None
    return torch._C._will_engine_execute_node(node)


def _affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.baddbmm(bias[:, None], x, weight)


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.linear(x, weight.t(), bias)


_equal: dict[Any, bool] = {}  # by operation, shapes and layouts


def _exact(batch: Callable[..., Tensor], single: Callable[..., Tensor], *given: Tensor) -> Tensor:
    """The products of all replicas at once where these have the bits of single ones, else one by one.

    They differ for some small shapes and layouts; each is tried once. On a device they are not compared.
    """
    if given[0].device.type != "cpu":
        return batch(*given)
    key = batch, given[0].dtype, *((t.shape, t.stride()) for t in given)
    if key not in _equal:
        _equal[key] = _agree(batch, single, given)
    return batch(*given) if _equal[key] else _each(single, given)


def _each(single: Callable[..., Tensor], given: Sequence[Tensor]) -> Tensor:
    return torch.stack([single(*map(_aligned, parts)) for parts in zip(*given, strict=True)])


ALIGNMENT = 64  # bytes, of what torch allocates on the CPU; kernels round by where numbers lie


def _aligned(x: Tensor) -> Tensor:
    return x.clone() if x.data_ptr() % ALIGNMENT else x


@torch.no_grad()
def _agree(batch: Callable[..., Tensor], single: Callable[..., Tensor], given: Sequence[Tensor]) -> bool:
    """Compare some 10,000 numbers of both ways, at random tensors laid out as the given ones."""
    draw = torch.Generator().manual_seed(0)
    compared = 0
    while compared < 10_000:
        drawn = [torch.empty_like(t).normal_(generator=draw) for t in given]
        found = batch(*drawn)
        if not torch.equal(found, _each(single, drawn)):
            return False
        compared += found.numel()
    return True


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
            setattr(self.norm, name, nn.Parameter(_shared([getattr(one, name) for one in layers]).flatten()))
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
    return any(isinstance(layer, StackedDropout) for layer in model.modules())


class Each(nn.Module):
    """A layer without weights that is shown each replica apart: its bits depend on where numbers stand."""

    def __init__(self, layer: nn.Module, replicas: int) -> None:
        super().__init__()
        self.layer, self.replicas = layer, replicas

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.layer(part) for part in x.chunk(self.replicas)])
