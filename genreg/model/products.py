"""Products of the matrices of replicas, with the bits of single ones."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

ALIGNMENT = 64
"""Bytes, of what torch allocates on the CPU: kernels round by where numbers lie."""


class Affine(torch.autograd.Function):
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


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x W + b of each replica, with the bits of `F.linear`, and so its derivatives."""
    found: Tensor = Affine.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return found


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


def _aligned(x: Tensor) -> Tensor:
    return x.clone() if x.data_ptr() % ALIGNMENT else x


@torch.no_grad()
def _agree(batch: Callable[..., Tensor], single: Callable[..., Tensor], given: Sequence[Tensor]) -> bool:
    """Compare some 10,000 numbers of both ways, at random tensors laid out as the given ones."""
    draw = torch.Generator().manual_seed(0)
    compared = 0
    while compared < 10_000:
        drawn = [torch.empty_strided(t.shape, t.stride()).normal_(generator=draw) for t in given]
        found = batch(*drawn)
        if not torch.equal(found, _each(single, drawn)):
            return False
        compared += found.numel()
    return True
