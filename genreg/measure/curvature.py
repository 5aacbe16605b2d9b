"""The curvature measures as options of `measure=`: of the loss, on chosen splits."""

from collections.abc import Callable

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg import streams
from genreg.loss import CrossEntropy, Loss
from genreg.measure.base import ClassifierMeasure, Estimate, SplitName, mean
from genreg.measure.hessian import (
    Density,
    Hessian,
    Method,
    classifier_hessian,
    hessian_density,
    hessian_eigenvalues,
    hessian_trace,
)
from genreg.measure.sharpness import gradient_noise, sharpness
from genreg.model.base import Classifier
from genreg.model.passes import evaluation_mode
from genreg.parameters import STRICT, Count, Positive
from genreg.run.metric import Metric


@dataclass(config=STRICT, kw_only=True)
class HessianTrace(ClassifierMeasure):
    """`hessian_trace` of the mean loss."""

    metric = Metric("hessian_trace", "min")

    splits: list[SplitName]
    items: Count = 1000
    memory_mb: Positive = 500.0
    method: Method = "hutchinson"
    relative_error: Positive = 0.05
    max_samples: Count = 200
    sketch: Count = 10

    def __call__(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Estimate:
        with evaluation_mode(model):
            hessian = _hessian(model, *self.chosen(x, y), loss, self.memory_mb)
            return hessian_trace(
                hessian, method=self.method, relative_error=self.relative_error,
                max_samples=self.max_samples, sketch=self.sketch, generator=_generator(x),
            )  # fmt: skip


@dataclass(config=STRICT, kw_only=True)
class HessianEigenvalue(ClassifierMeasure):
    """The largest of `hessian_eigenvalues`; in place of a standard error stands its residual.

    The value is never above the largest eigenvalue, and some eigenvalue lies within the residual of it. That
    may be a smaller one, so the residual does not bound the distance to the largest.
    """

    metric = Metric("hessian_eigenvalue", "min")

    splits: list[SplitName]
    items: Count = 1000
    memory_mb: Positive = 500.0
    relative_error: Positive = 1e-2
    max_products: Count = 100

    def __call__(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Estimate:
        with evaluation_mode(model):
            hessian = _hessian(model, *self.chosen(x, y), loss, self.memory_mb)
            found = hessian_eigenvalues(
                hessian, relative_error=self.relative_error,
                max_products=self.max_products, generator=_generator(x),
            )  # fmt: skip
        return Estimate(found.values[0], found.residuals[0], found.n)


@dataclass(config=STRICT, kw_only=True)
class HessianNegativeShare(ClassifierMeasure):
    """The share of the spectral density below -threshold times the largest node of its quadrature."""

    metric = Metric("hessian_negative_share", "min")

    splits: list[SplitName]
    items: Count = 1000
    memory_mb: Positive = 500.0
    threshold: Positive = 1e-2
    steps: Count = 40
    max_samples: Count = 10

    def __call__(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Estimate:
        density = self.density(model, x, y, loss)
        below = density.nodes < -self.threshold * density.nodes.max()
        return mean((density.weights * below).sum(1))

    def density(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Density:
        """The whole `hessian_density`."""
        with evaluation_mode(model):
            hessian = _hessian(model, *self.chosen(x, y), loss, self.memory_mb)
            return hessian_density(
                hessian, steps=self.steps, max_samples=self.max_samples,
                generator=_generator(x),
            )  # fmt: skip


@dataclass(config=STRICT, kw_only=True)
class Sharpness(ClassifierMeasure):
    """`sharpness` of the mean loss within an l2 ball of radius rho."""

    metric = Metric("sharpness", "min")

    splits: list[SplitName]
    items: Count = 1000
    memory_mb: Positive = 500.0
    rho: Positive = 0.05
    steps: Count = 1

    def __call__(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Estimate:
        options = {"rho": self.rho, "steps": self.steps, "memory": self.memory_mb * 1e6}
        return sharpness(model, *self.chosen(x, y), _plain(loss), **options)  # type: ignore[arg-type]


@dataclass(config=STRICT, kw_only=True)
class GradientNoise(ClassifierMeasure):
    """`gradient_noise` of the loss."""

    metric = Metric("gradient_noise", "min")
    least = 2  # a spread

    splits: list[SplitName]
    items: Count = 1000
    memory_mb: Positive = 500.0

    def __call__(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Estimate:
        return gradient_noise(model, *self.chosen(x, y), _plain(loss), memory=self.memory_mb * 1e6)


def _hessian(model: Classifier, x: Tensor, y: Tensor, loss: Loss | None, memory_mb: float) -> Hessian:
    """The Hessian of the mean loss, in evaluation mode: no dropout, running statistics as they are."""
    return classifier_hessian(model, x, y, _plain(loss), memory_mb * 1e6)


def _plain(loss: Loss | None) -> Callable[..., Tensor]:
    """The function of outputs and targets that a measure differentiates."""
    return (loss or CrossEntropy()).against


def _generator(x: Tensor) -> torch.Generator:
    return streams.generator(0, "measure", device=x.device)
