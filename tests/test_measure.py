"""Measures against closed forms."""

import math
from typing import Any

import pytest
import torch
from conftest import classifier, normal, small_task

from genreg import streams
from genreg.loss import MSE, CrossEntropy
from genreg.measure import (
    LDS,
    GradientNoise,
    HessianNegativeShare,
    HessianTrace,
    Sharpness,
    accuracy,
    cross_entropy,
)
from genreg.measure.base import mean
from genreg.model import MLP


def test_mean_and_its_standard_error() -> None:
    estimate = mean(torch.tensor([0.0, 1.0, 1.0, 1.0]))
    assert (estimate.value, estimate.n) == (0.75, 4)
    assert estimate.stderr == pytest.approx(math.sqrt(0.25 / 4))
    assert math.isnan(mean(torch.tensor([1.0])).stderr)


def test_accuracy_and_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[math.log(0.7), math.log(0.3)], [math.log(0.2), math.log(0.8)]])
    assert accuracy(logits, torch.tensor([0, 0])).value == 0.5
    assert cross_entropy(logits, torch.tensor([0, 0])).value == pytest.approx(
        -(math.log(0.7) + math.log(0.2)) / 2
    )


def test_lds_of_a_linear_model_is_found_along_its_only_direction() -> None:
    """With two classes the logits' gap changes by |w0 - w1| epsilon at most, up or down."""
    torch.manual_seed(0)
    model = MLP(input_shape=[4], outputs=2, widths=[]).double()
    x = torch.randn(200, 4, dtype=torch.float64)
    layer = model.layers[0]
    change = 0.3 * (layer.weight[0] - layer.weight[1]).norm().item()  # type: ignore[operator,index,union-attr]
    gap = model(x).detach()[:, 0] - model(x).detach()[:, 1]

    def divergence(sign: int) -> torch.Tensor:
        p, q = torch.sigmoid(gap), torch.sigmoid(gap + sign * change)
        return p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()

    high = torch.maximum(divergence(1), divergence(-1))  # of both signs each item counts the worse
    estimate = LDS(epsilon=0.3, power_iterations=20, items=200)(model, x, torch.zeros(200))
    assert estimate.value == pytest.approx(-high.mean().item(), rel=1e-9)
    assert 0 < estimate.stderr < abs(estimate.value)
    assert LDS(epsilon=0.3)(model, x, torch.zeros(200)) == LDS(epsilon=0.3)(model, x, torch.zeros(200))
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training


@pytest.mark.parametrize("measure", [GradientNoise, HessianTrace, Sharpness])
def test_a_row_measures_the_loss_that_is_minimized(measure: Any) -> None:
    chosen = measure(splits=["labeled"], items=30)
    task = small_task(loss=MSE(), measure={"chosen": chosen})
    found, labeled = task.evaluate()["labeled/chosen"], task.dataset.labeled
    assert found == chosen(task.model, labeled.x, labeled.y, MSE()).value
    assert found != chosen(task.model, labeled.x, labeled.y, CrossEntropy()).value


@pytest.mark.full
def test_the_negative_share_is_that_of_the_explicit_hessian() -> None:
    """Of 30 weights: all eigenvalues, by autograd through one flat vector, in the probes that are drawn."""
    model, x, y = classifier(widths=[3]), normal(20, 5, seed=1), torch.arange(20) % 3
    shapes = {name: p.shape for name, p in model.named_parameters()}
    flat = torch.cat([p.detach().flatten() for p in model.parameters()])

    def loss(w: torch.Tensor) -> torch.Tensor:
        parts = w.split([shape.numel() for shape in shapes.values()])
        weights = {name: part.view(shapes[name]) for name, part in zip(shapes, parts, strict=True)}
        return torch.nn.functional.cross_entropy(torch.func.functional_call(model, weights, (x,)), y)

    values, vectors = torch.linalg.eigh(torch.autograd.functional.hessian(loss, flat))
    for threshold in (0.01, 0.1):
        found = HessianNegativeShare(splits=["test"], threshold=threshold, steps=30)(model, x, y)
        draw = streams.generator(0, "measure")
        signs = [2 * torch.randint(2, (30, 1), generator=draw)[:, 0] - 1 for _ in range(found.n)]
        shares = [(vectors.T @ v.double()).square() / 30 for v in signs]  # of each eigenvector in a probe
        below = torch.stack(shares)[:, values < -threshold * values.max()].sum(1)
        assert found.value == pytest.approx(below.mean().item(), rel=1e-6)
        assert found.stderr == pytest.approx(below.std().item() / found.n**0.5, rel=1e-6)
    assert 0 < found.value < 1
