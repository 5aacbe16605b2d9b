"""The curvature measures as options of `measure=`: of the loss, on chosen splits."""

from collections.abc import Callable

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg import streams
from genreg.loss import CrossEntropy, Loss
from genreg.measure.base import Estimate, ItemsMeasure, mean
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
class Curvature(ItemsMeasure):
    """The base of the measures below: they may take so much memory.

    In evaluation mode: dropout off, batch normalization by its running statistics.
    """

    memory_mb: Positive = 500.0

    def _hessian(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None) -> Hessian:
        return classifier_hessian(model, *self.chosen(x, y), self._loss(loss), self.memory_mb * 1e6)

    @staticmethod
    def _loss(loss: Loss | None) -> Callable[..., Tensor]:
        return (loss or CrossEntropy()).against

    @staticmethod
    def _generator(x: Tensor) -> torch.Generator:
        return streams.generator(0, "measure", device=x.device)


@dataclass(config=STRICT, kw_only=True)
class HessianTrace(Curvature):
    """`hessian_trace` of the mean loss."""

    metric = Metric("hessian_trace", "min")

    method: Method = "hutchinson"
    relative_error: Positive = 0.05
    max_samples: Count = 200
    sketch: Count = 10

    def __call__(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Estimate:
        with evaluation_mode(model):
            return hessian_trace(
                self._hessian(model, x, y, loss), method=self.method, relative_error=self.relative_error,
                max_samples=self.max_samples, sketch=self.sketch, generator=self._generator(x),
            )  # fmt: skip


@dataclass(config=STRICT, kw_only=True)
class HessianEigenvalue(Curvature):
    """The largest of `hessian_eigenvalues`; in place of a standard error stands its residual.

    The value is never above the largest eigenvalue, and some eigenvalue lies within the residual of it. That
    may be a smaller one, so the residual does not bound the distance to the largest.
    """

    metric = Metric("hessian_eigenvalue", "min")

    relative_error: Positive = 1e-2
    max_products: Count = 100

    def __call__(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Estimate:
        with evaluation_mode(model):
            found = hessian_eigenvalues(
                self._hessian(model, x, y, loss), relative_error=self.relative_error,
                max_products=self.max_products, generator=self._generator(x),
            )  # fmt: skip
        return Estimate(found.values[0], found.residuals[0], found.n)


@dataclass(config=STRICT, kw_only=True)
class HessianNegativeShare(Curvature):
    """The share of the spectral density below -threshold times the largest node of its quadrature."""

    metric = Metric("hessian_negative_share", "min")

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
            return hessian_density(
                self._hessian(model, x, y, loss), steps=self.steps, max_samples=self.max_samples,
                generator=self._generator(x),
            )  # fmt: skip


@dataclass(config=STRICT, kw_only=True)
class Sharpness(Curvature):
    """`sharpness` of the mean loss within an l2 ball of radius rho."""

    metric = Metric("sharpness", "min")

    rho: Positive = 0.05
    steps: Count = 1

    def __call__(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Estimate:
        options = {"rho": self.rho, "steps": self.steps, "memory": self.memory_mb * 1e6}
        return sharpness(model, *self.chosen(x, y), self._loss(loss), **options)  # type: ignore[arg-type]


@dataclass(config=STRICT, kw_only=True)
class GradientNoise(Curvature):
    """`gradient_noise` of the loss."""

    metric = Metric("gradient_noise", "min")
    least = 2  # a spread

    def __call__(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Estimate:
        return gradient_noise(model, *self.chosen(x, y), self._loss(loss), memory=self.memory_mb * 1e6)
