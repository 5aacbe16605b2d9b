"""Slopes of a classifier in its input, as options of `measure=`: at items, and where it is steepest."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg import streams
from genreg.forward.perturbation import unit
from genreg.loss import CrossEntropy, Loss
from genreg.measure.base import ClassifierMeasure, Estimate, SplitName, mean
from genreg.model.base import Classifier
from genreg.model.passes import evaluation_mode, twice
from genreg.parameters import STRICT, Count, CountOrZero, Positive
from genreg.run.metric import Metric

CHUNK = 256  # items whose gradients are taken at a time

Function = Callable[[Tensor], Tensor]
Chunk = tuple[Function, Tensor, tuple[Tensor, ...]]


def chunks(model: Classifier, x: Tensor, *more: Tensor) -> Iterator[Chunk]:
    """The model as a function of the embedding, and the embeddings (B, ...) of a few items at a time."""
    for part, *others in zip(x.split(CHUNK), *(tensor.split(CHUNK) for tensor in more), strict=True):
        part = model.trimmed(part)
        yield partial(_called, model, model.mask(part)), model.embed(part).detach(), tuple(others)


def _called(model: Classifier, mask: Tensor | None, e: Tensor) -> Tensor:
    logits: Tensor = model(embedding=e, mask=mask)
    return logits


def jacobians(function: Function, e: Tensor, create_graph: bool = False) -> Tensor:
    """The Jacobian of each item's outputs in its own embedding, (B, outputs, numbers of an embedding)."""
    outputs = function(e)
    columns = range(outputs.shape[1])
    rows = [
        torch.autograd.grad(outputs[:, k].sum(), e, create_graph=create_graph, retain_graph=True)[0]
        for k in columns
    ]
    return torch.stack([row.flatten(1) for row in rows], 1)


def steepest(
    function: Function, e: Tensor, *, steps: int, length: float, generator: torch.Generator
) -> Tensor:
    """The largest spectral norm of the Jacobian that a climb from each embedding finds, (B,).

    A step of that l2 length goes along the gradient of the norm, or at random where there is none, as in a
    piecewise linear network, and counts only where it leads up.
    """
    best, e = torch.zeros(len(e), dtype=e.dtype, device=e.device), e.clone()
    proposed = e
    for _ in range(steps + 1):
        found, uphill = _slope_and_gradient(function, proposed)
        up = found > best
        best = torch.where(up, found, best)
        kept = up.reshape(-1, *[1] * (e.ndim - 1))
        e = torch.where(kept, proposed, e)
        gradient = torch.where(kept, uphill, torch.zeros_like(uphill))  # after a failed step: another way
        random = streams.normal_like(e, generator)
        proposed = e + length * unit(gradient, "example", fallback=unit(random, "example"))
    return best


def _slope_and_gradient(function: Function, e: Tensor) -> tuple[Tensor, Tensor]:
    e = e.detach().requires_grad_()
    with twice():
        slope = torch.linalg.matrix_norm(jacobians(function, e, create_graph=True), 2)
    if not slope.requires_grad:  # a linear model, of which no slope depends on a point
        return slope.detach(), torch.zeros_like(e)
    (uphill,) = torch.autograd.grad(slope.sum(), e, allow_unused=True, materialize_grads=True)
    return slope.detach(), uphill


@dataclass(config=STRICT, kw_only=True)
class JacobianNorm(ClassifierMeasure):
    """Mean over items of |J|_F, J the Jacobian of the logits in `embed(x)`; a backward pass an output.

    Novak et al., arXiv:1802.08760 (there of probabilities), a companion of generalization.
    """

    metric = Metric("jacobian_norm", "min")

    splits: list[SplitName]
    items: Count = 1000

    def __call__(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Estimate:
        x, y = self.chosen(x, y)
        with evaluation_mode(model), torch.enable_grad():
            norms = [jacobians(f, e.requires_grad_()).flatten(1).norm(dim=1) for f, e, _ in chunks(model, x)]
        return mean(torch.cat(norms))


@dataclass(config=STRICT, kw_only=True)
class LossGradientNorm(ClassifierMeasure):
    """Mean over items of the l2 norm of their loss's gradient in `embed(x)`, as gradient_penalty's slope."""

    metric = Metric("loss_gradient_norm", "min")

    splits: list[SplitName]
    items: Count = 1000

    def __call__(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Estimate:
        x, y = self.chosen(x, y)
        losses = (loss or CrossEntropy()).against
        found = []
        with evaluation_mode(model), torch.enable_grad():
            for function, e, (target,) in chunks(model, x, y):
                total = losses(function(e.requires_grad_()), target, "sum")
                found.append(torch.autograd.grad(total, e)[0].flatten(1).norm(dim=1))
        return mean(torch.cat(found))


@dataclass(config=STRICT, kw_only=True)
class LipschitzLower(ClassifierMeasure):
    """The largest spectral norm of the logits' Jacobian in `embed(x)` that a climb from the items finds.

    A lower bound on the Lipschitz constant from l2 to l2. As a bound it has no standard error (0).

    steps: of the climb; 0: at the items only. length: l2 norm of a step, in units of `embed(x)`.
    """

    metric = Metric("lipschitz_lower", "min")

    splits: list[SplitName]
    items: Count = 1000
    steps: CountOrZero = 10
    length: Positive = 0.1

    def __call__(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Estimate:
        x, y = self.chosen(x, y)
        draw = streams.generator(0, "measure/lipschitz_lower", device=x.device)
        with evaluation_mode(model), torch.enable_grad():
            found = [steepest(f, e, steps=self.steps, length=self.length, generator=draw)
                     for f, e, _ in chunks(model, x)]  # fmt: skip
        return Estimate(torch.cat(found).max().item(), 0.0, len(x))
