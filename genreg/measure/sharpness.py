"""Sharpness in a ball, and the noise of mini-batch gradients."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from genreg.measure.base import Estimate, mean
from genreg.measure.hessian import chunk_size
from genreg.model.passes import evaluation_mode, power_of_two

Weights = dict[str, Tensor]


def sharpness(
    model: nn.Module, x: Tensor, y: Tensor, loss: Callable[..., Tensor], *, rho: float, steps: int = 1,
    memory: float = 1e9,
) -> Estimate:  # fmt: skip
    """The rise of the mean loss uphill, within the l2 ball of radius rho around the weights.

    steps=1 is the point that SAM climbs to, w + rho grad L / |grad L| (arXiv:2010.01412); more steps of
    length 2.5 rho / steps, each projected onto the ball, search for a higher one, and the highest counts.
    The standard error is over items, at that point. In evaluation mode; the weights are never moved.
    """
    weights = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    size = chunk_size(model, x, memory)
    with evaluation_mode(model):
        clean = _losses(model, weights, x, y, loss, size)
        climb, best = {name: torch.zeros_like(w) for name, w in weights.items()}, clean
        for _ in range(steps):
            at = {name: w + climb[name] for name, w in weights.items()}
            uphill = _gradient(model, at, x, y, loss, size)
            climb = _shorten(_step(climb, uphill, rho if steps == 1 else 2.5 * rho / steps), rho)
            found = _losses(model, {k: w + climb[k] for k, w in weights.items()}, x, y, loss, size)
            best = found if found.mean() > best.mean() or steps == 1 else best
    return mean(best - clean)


def gradient_noise(
    model: nn.Module, x: Tensor, y: Tensor, loss: Callable[..., Tensor], *, memory: float = 1e9
) -> Estimate:
    """Trace of the covariance of single items' gradients, with its standard error over items.

    A batch of B items has gradient noise of this over B. In evaluation mode; two items or more.
    """
    weights = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}

    def one(w: Weights, a: Tensor, b: Tensor) -> Tensor:
        return loss(functional_call(model, w, (a[None],)), b[None])

    per_item = vmap(grad(one), in_dims=(None, 0, 0))
    bytes_of_weights = 4 * sum(w.numel() for w in weights.values())
    size = max(1, min(chunk_size(model, x, memory / 2), int(memory / 2 / bytes_of_weights)))
    with evaluation_mode(model):
        chunk = min(512, len(x))
        average = _gradient(model, weights, x, y, loss, chunk)
        squares = []
        for a, b in zip(x.split(size), y.split(size), strict=True):
            items = per_item(weights, a, b)
            parts = [(items[name] - average[name]).reshape(len(a), -1).square().sum(1) for name in weights]
            squares.append(torch.stack(parts).sum(0))
    n = len(x)
    return mean(torch.cat(squares) * n / (n - 1))


def _losses(
    model: nn.Module, weights: Weights, x: Tensor, y: Tensor, loss: Callable[..., Tensor], size: int
) -> Tensor:
    """The loss of each item, (N,)."""
    with torch.no_grad():
        chunks = zip(x.split(size), y.split(size), strict=True)
        rows = [loss(functional_call(model, weights, (a,)), b, reduction="none") for a, b in chunks]
    return torch.cat(rows)


def _gradient(
    model: nn.Module, weights: Weights, x: Tensor, y: Tensor, loss: Callable[..., Tensor], size: int
) -> Weights:
    """The gradient of the mean loss."""

    def total(w: Weights, a: Tensor, b: Tensor) -> Tensor:
        return loss(functional_call(model, w, (a,)), b, reduction="sum") / len(x)

    out = {name: torch.zeros_like(w) for name, w in weights.items()}
    for a, b in zip(x.split(size), y.split(size), strict=True):
        out = {name: out[name] + g for name, g in grad(total)(weights, a, b).items()}
    return out


def _norm(weights: Weights) -> Tensor:
    return torch.stack([w.square().sum() for w in weights.values()]).sum().sqrt()


def _step(climb: Weights, uphill: Weights, length: float) -> Weights:
    """`climb` and a step of that length along `uphill`, whose squares may underflow; none if it is zero."""
    unit = power_of_two(torch.stack([g.abs().max() for g in uphill.values()]).max())
    uphill = {name: g / unit for name, g in uphill.items()}
    scale = length / _norm(uphill).clamp_min(1)  # below 1 only where all are zero
    return {name: climb[name] + scale * uphill[name] for name in climb}


def _shorten(climb: Weights, rho: float) -> Weights:
    norm = _norm(climb)
    return {name: e * (rho / norm) if norm > rho else e for name, e in climb.items()}
