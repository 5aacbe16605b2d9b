"""Divergence between predictions, and directions of fixed length: what consistency methods share."""

from typing import Literal

import torch
from torch import Tensor

from genreg import streams
from genreg.forward.classifier import ClassifierForward
from genreg.streams import Draw

Scope = Literal["example", "batch", "table"]
"""The unit that has one direction: an example's embedding, the batch's, or the table that tokens look up."""

Norm = Literal["l2", "linf"]
Target = Literal["stop", "flow"]
Divergence = Literal["kl", "mse"]


Reduction = Literal["mean", "none"]


def kl_divergence(p_logits: Tensor, q_logits: Tensor, reduction: Reduction = "mean") -> Tensor:
    """KL(p || q) in nats, averaged over the batch, or of each item, (B,); logits are (B, classes).

    Written so that its gradient in `q_logits` is softmax(q) - softmax(p) to the last bit: equal logits
    give a gradient of exactly zero, where `F.kl_div` leaves rounding errors of 1e-8.
    """
    p_normalizer, q_normalizer = p_logits.logsumexp(1), q_logits.logsumexp(1)
    p = (p_logits - p_normalizer[:, None]).exp()
    items = (p * (p_logits - q_logits)).sum(1) + (q_normalizer - p_normalizer)
    return items.mean() if reduction == "mean" else items


def squared_distance(p: Tensor, q: Tensor, reduction: Reduction = "mean") -> Tensor:
    """|p - q|^2 summed over outputs (B, k), averaged over the batch, or of each item, (B,)."""
    items = (p - q).square().sum(1)
    return items.mean() if reduction == "mean" else items


def unit(d: Tensor, scope: Scope, fallback: Tensor | None = None, replicas: int = 1) -> Tensor:
    """`d` at l2 length 1: each example, or the whole tensor. Where `d` is zero, `fallback`.

    All dimensions but the first belong to an example, whether d is (B, features) or (B, C, H, W). replicas:
    that share the items of a batch evenly, each with a direction of its own.
    """
    if scope == "batch" and replicas > 1:
        other = None if fallback is None else fallback.view(replicas, -1)
        return unit(d.view(replicas, -1), "example", other).view_as(d)
    dims = tuple(range(1 if scope == "example" else 0, d.ndim))
    largest = d.abs().amax(dims, keepdim=True)
    scaled = d / largest.clamp_min(torch.finfo(d.dtype).tiny)  # squares of tiny gradients would underflow
    length = scaled.square().sum(dims, keepdim=True).sqrt().clamp_min(1)  # below 1 only where d is zero
    normalized = scaled / length
    return normalized if fallback is None else torch.where(largest > 0, normalized, fallback)


def divergence_along(
    clean: ClassifierForward, d: Tensor, epsilon: float, norm: Norm, target: Target,
    divergence: Divergence = "kl",
) -> Tensor:  # fmt: skip
    """KL(p(e) || p(e + r)), r of size `epsilon` along unit `d`; `flow` also differentiates p(e).

    With `mse` it is the squared distance of the outputs.
    """
    # a view, in which parts of the gradient that cancel meet before those of other terms are added
    outputs = clean.logits.view_as(clean.logits) if target == "flow" else clean.logits.detach()
    compare = kl_divergence if divergence == "kl" else squared_distance
    moved = clean.at(clean.embedding + lengthen(d, clean.factor(epsilon, d), norm))
    return clean.mean(compare(outputs, moved, "none"))


def lengthen(d: Tensor, epsilon: float | Tensor, norm: Norm) -> Tensor:
    """The perturbation of size `epsilon` along unit `d`: epsilon d (l2), or epsilon sign(d) (linf)."""
    return epsilon * (d if norm == "l2" else d.sign())


def within(r: Tensor, epsilon: float | Tensor, norm: Norm) -> Tensor:
    """The nearest point to r of the ball of radius `epsilon` around 0, for each example."""
    if norm == "linf":
        return r.clamp(-epsilon, epsilon)  # type: ignore[arg-type]
    lengths = torch.linalg.vector_norm(r.flatten(1), dim=1).reshape(-1, *[1] * (r.ndim - 1))
    inverse = lengths.clamp_min(torch.finfo(r.dtype).tiny).reciprocal()
    nearest: Tensor = r * (inverse * epsilon).clamp(max=1)
    return nearest


def random_direction(clean: ClassifierForward, scope: Scope, draw: Draw) -> Tensor:
    """A Gaussian direction of l2 length 1, shaped like the embedding, zero at padding; or like the table."""
    e = clean.embedding
    if scope == "table":
        return unit(streams.normal_like(e.new_empty(clean.batch.vocabulary, e.shape[2]), draw), scope)
    d = streams.normal_like(e, draw)
    d = d if clean.mask is None else d * clean.mask[..., None]
    return unit(d, scope, replicas=clean.batch.replicas)


def at_tokens(clean: ClassifierForward, d: Tensor, scope: Scope) -> Tensor:
    """The move of each position along a direction: of a table, the rows of its tokens; none at padding.

    Equal tokens of a batch then move alike, as if the direction were added to the table.
    """
    if scope != "table":
        return d
    assert clean.batch.tokens is not None  # by `reads`
    moved = torch.nn.functional.embedding(clean.batch.tokens, d)
    return moved if clean.mask is None else moved * clean.mask[..., None]


def of_tokens(clean: ClassifierForward, g: Tensor, scope: Scope) -> Tensor:
    """The transpose of `at_tokens`: a gradient in the embedding as one in what the direction is."""
    if scope != "table":
        return g
    assert clean.batch.tokens is not None  # by `reads`
    g = g if clean.mask is None else g * clean.mask[..., None]
    table = g.new_zeros(clean.batch.vocabulary, g.shape[2])
    return table.index_add_(0, clean.batch.tokens.flatten().long(), g.flatten(0, 1))


def noised(clean: ClassifierForward, sigma: float, draw: Draw) -> Tensor:
    """The embedding and Gaussian noise of standard deviation `sigma` in each coordinate; none at padding."""
    e = clean.embedding
    noise: Tensor = clean.factor(sigma, e) * streams.normal_like(e, draw)
    return e + (noise if clean.mask is None else noise * clean.mask[..., None])


def interpolated(clean: ClassifierForward, draw: Draw) -> Tensor:
    """Points between each item and another of the batch, a permutation: t e + (1 - t) e', t ~ U[0, 1]."""
    e = clean.embedding
    t = streams.uniform_of_items(e, draw)
    return t * e + (1 - t) * e[streams.permutation(len(e), draw, e.device)]


def loss_gradient(forward: ClassifierForward, x: Tensor) -> Tensor:
    """The gradient of each labeled item's loss in its embedding, at x; no parameter's gradient is touched.

    Called inside `forward.fixed_statistics()`, so that no item's loss depends on another's x.
    """
    x = x.detach().requires_grad_()
    return torch.autograd.grad(forward.loss(forward.at(x), forward.batch).sum(), x)[0]
