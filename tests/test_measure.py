"""Measures against closed forms."""

import math
from typing import Any

import pytest
import torch
from conftest import small_task

from genreg.loss import MSE, CrossEntropy
from genreg.measure import LDS, GradientNoise, HessianTrace, Sharpness, accuracy, cross_entropy
from genreg.measure.estimate import mean
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

    low, high = torch.minimum(divergence(1), divergence(-1)), torch.maximum(divergence(1), divergence(-1))
    estimate = LDS(epsilon=0.3, power_iterations=20, items=200)(model, x, torch.zeros(200))
    assert -high.mean() - 1e-9 <= estimate.value <= -low.mean() + 1e-9
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
