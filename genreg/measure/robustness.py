"""Accuracy of a classifier near its data, as options of `measure=`."""

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.func import functional_call

from genreg import streams
from genreg.forward.perturbation import Norm, lengthen, unit, within
from genreg.loss import CrossEntropy, Loss
from genreg.measure.base import ClassifierMeasure, Estimate, SplitName, mean
from genreg.measure.slope import CHUNK, Function, chunks
from genreg.model.base import Classifier
from genreg.model.passes import evaluation_mode
from genreg.parameters import STRICT, Count, NonNegative
from genreg.run.metric import Metric


def withstood(function: Function, e: Tensor, y: Tensor, *, epsilon: float, steps: int, norm: Norm) -> Tensor:
    """True for each item that is right at e and at every point that an attack visits, (B,).

    steps=1: the fast gradient sign method, e + epsilon sign(grad L) (Goodfellow et al., arXiv:1412.6572,
    section 4), or along the gradient for l2; more: projected ascent of the cross-entropy (Madry et al.,
    arXiv:1706.06083) from e, in steps of 2.5 epsilon / steps within the ball of radius epsilon.
    """
    length = epsilon if steps == 1 else 2.5 * epsilon / steps
    r = torch.zeros_like(e)
    right, uphill = _right_and_uphill(function, e, y)
    for _ in range(steps):
        r = within(r + lengthen(unit(uphill, "example"), length, norm), epsilon, norm)
        still, uphill = _right_and_uphill(function, e + r, y)
        right = right & still
    return right


def _right_and_uphill(function: Function, e: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """True for each item that is right, and the gradient of its cross-entropy in its embedding."""
    e = e.detach().requires_grad_()
    logits = function(e)
    total = CrossEntropy().against(logits, y, "sum")
    return logits.detach().argmax(1) == y, torch.autograd.grad(total, e)[0]


@dataclass(config=STRICT, kw_only=True)
class AdversarialAccuracy(ClassifierMeasure):
    """Share of items that are right at x and wherever an attack of size epsilon goes (`withstood`).

    epsilon: size of the perturbation of `embed(x)` in the norm, linf or l2 per example.
    steps: 1 is the fast gradient sign method. Perturbed inputs are not clipped to the range of the data.
    """

    metric = Metric("adversarial_accuracy", "max", "%")
    classes = True

    splits: list[SplitName]
    items: Count = 1000
    epsilon: NonNegative = 0.1
    steps: Count = 10
    norm: Norm = "linf"

    def __call__(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Estimate:
        x, y = self.chosen(x, y)
        given = {"epsilon": self.epsilon, "steps": self.steps, "norm": self.norm}
        with evaluation_mode(model), torch.enable_grad():
            found = [withstood(f, e, target, **given) for f, e, (target,) in chunks(model, x, y)]  # type: ignore[arg-type]
        return mean(torch.cat(found))


@dataclass(config=STRICT, kw_only=True)
class NoiseAccuracy(ClassifierMeasure):
    """Mean accuracy under Gaussian noise on `embed(x)`, over `draws` of each item; the error is over items.

    sigma: standard deviation in each coordinate, in units of `embed(x)`.
    """

    metric = Metric("noise_accuracy", "max", "%")
    classes = True

    splits: list[SplitName]
    items: Count = 1000
    sigma: NonNegative = 0.1
    draws: Count = 10

    @torch.no_grad()
    def __call__(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Estimate:
        x, y = self.chosen(x, y)
        draw = streams.generator(0, "measure/noise_accuracy", device=x.device)
        found = []
        with evaluation_mode(model):
            for function, e, (target,) in chunks(model, x, y):
                right = torch.zeros(len(e), dtype=torch.float64, device=e.device)
                for _ in range(self.draws):
                    right += function(e + self.sigma * streams.normal_like(e, draw)).argmax(1) == target
                found.append(right / self.draws)
        return mean(torch.cat(found))


@dataclass(config=STRICT, kw_only=True)
class WeightNoiseAccuracy(ClassifierMeasure):
    """Mean accuracy with Gaussian noise on every trained parameter, over `draws`; the error is over draws.

    The expected accuracy of a PAC-Bayes posterior N(w, sigma^2) (Neyshabur et al., arXiv:1706.08947).
    Under a parametrization the noise is on the raw weight. The weights themselves are never moved.

    sigma: standard deviation, in the weights' own units.
    """

    metric = Metric("weight_noise_accuracy", "max", "%")
    classes = True

    splits: list[SplitName]
    items: Count = 1000
    sigma: NonNegative = 0.01
    draws: Count = 10

    @torch.no_grad()
    def __call__(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Estimate:
        x, y = self.chosen(x, y)
        draw = streams.generator(0, "measure/weight_noise_accuracy", device=x.device)
        weights = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
        found = []
        with evaluation_mode(model):
            for _ in range(self.draws):
                noised = {name: w + self.sigma * streams.normal_like(w, draw) for name, w in weights.items()}
                parts = [functional_call(model, noised, (part,)) for part in x.split(CHUNK)]
                found.append((torch.cat(parts).argmax(1) == y).double().mean())
        return mean(torch.stack(found))
