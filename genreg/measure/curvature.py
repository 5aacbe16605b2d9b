"""The curvature measures as options of `measure=`: of the cross-entropy, on chosen splits."""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg import streams
from genreg.measure.estimate import Estimate, mean
from genreg.measure.hessian import Hessian, Method, classifier_hessian, hessian_trace
from genreg.measure.lanczos import Density, hessian_density, hessian_eigenvalues
from genreg.measure.sharpness import gradient_noise, sharpness
from genreg.model.base import Classifier
from genreg.model.unchanged import evaluation_mode
from genreg.parameters import STRICT, Count, Positive

Split = Literal["labeled", "validation", "test"]


@dataclass(config=STRICT, kw_only=True)
class Curvature:
    """What the measures below share: which splits and items they read, and how much memory they may take.

    In evaluation mode: dropout off, batch normalization by its running statistics.
    """

    splits: list[Split]
    items: Count = 1000
    memory_mb: Positive = 500.0

    def _data(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x[: self.items], y[: self.items]

    def _hessian(self, model: Classifier, x: Tensor, y: Tensor) -> Hessian:
        return classifier_hessian(model, *self._data(x, y), F.cross_entropy, self.memory_mb * 1e6)

    @staticmethod
    def _generator(x: Tensor) -> torch.Generator:
        return streams.generator(0, "measure", device=x.device)


@dataclass(config=STRICT, kw_only=True)
class HessianTrace(Curvature):
    """`hessian_trace` of the mean cross-entropy."""

    method: Method = "hutchinson"
    relative_error: Positive = 0.05
    max_samples: Count = 200
    sketch: Count = 10

    def __call__(self, model: Classifier, x: Tensor, y: Tensor) -> Estimate:
        with evaluation_mode(model):
            return hessian_trace(
                self._hessian(model, x, y), method=self.method, relative_error=self.relative_error,
                max_samples=self.max_samples, sketch=self.sketch, generator=self._generator(x),
            )  # fmt: skip


@dataclass(config=STRICT, kw_only=True)
class HessianEigenvalue(Curvature):
    """The largest of `hessian_eigenvalues`; its standard error is the residual, a bound on the error."""

    relative_error: Positive = 1e-2
    max_products: Count = 100

    def __call__(self, model: Classifier, x: Tensor, y: Tensor) -> Estimate:
        with evaluation_mode(model):
            found = hessian_eigenvalues(
                self._hessian(model, x, y), relative_error=self.relative_error,
                max_products=self.max_products, generator=self._generator(x),
            )  # fmt: skip
        return Estimate(found.values[0], found.residuals[0], found.n)


@dataclass(config=STRICT, kw_only=True)
class HessianNegativeShare(Curvature):
    """The share of the spectral density below -threshold times the largest node of its quadrature."""

    threshold: Positive = 1e-2
    steps: Count = 40
    max_samples: Count = 10

    def __call__(self, model: Classifier, x: Tensor, y: Tensor) -> Estimate:
        density = self.density(model, x, y)
        below = density.nodes < -self.threshold * density.nodes.max()
        return mean((density.weights * below).sum(1))

    def density(self, model: Classifier, x: Tensor, y: Tensor) -> Density:
        """The whole `hessian_density`."""
        with evaluation_mode(model):
            return hessian_density(
                self._hessian(model, x, y), steps=self.steps, max_samples=self.max_samples,
                generator=self._generator(x),
            )  # fmt: skip


@dataclass(config=STRICT, kw_only=True)
class Sharpness(Curvature):
    """`sharpness` of the mean cross-entropy within an l2 ball of radius rho."""

    rho: Positive = 0.05
    steps: Count = 1

    def __call__(self, model: Classifier, x: Tensor, y: Tensor) -> Estimate:
        options = {"rho": self.rho, "steps": self.steps, "memory": self.memory_mb * 1e6}
        return sharpness(model, *self._data(x, y), F.cross_entropy, **options)  # type: ignore[arg-type]


@dataclass(config=STRICT, kw_only=True)
class GradientNoise(Curvature):
    """`gradient_noise` of the cross-entropy."""

    def __call__(self, model: Classifier, x: Tensor, y: Tensor) -> Estimate:
        return gradient_noise(model, *self._data(x, y), F.cross_entropy, memory=self.memory_mb * 1e6)
