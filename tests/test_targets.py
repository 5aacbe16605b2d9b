"""Methods on real targets and under squared error, and without strength: trained, refused, or left out."""

from typing import Any

import pytest
import torch
from conftest import small_task

from genreg.dataset import diabetes
from genreg.errors import InputError
from genreg.loss import MSE
from genreg.regularizer import (
    FGM,
    FGSM,
    Adversarial,
    Dropout,
    HiddenNoise,
    InputNoise,
    JacobianPenalty,
    LabelSmoothing,
    LaplacianPenalty,
    LossGradientPenalty,
    NoiseConsistency,
    RandomAffine,
    RDrop,
    Regularizer,
    WeightNoise,
)
from genreg.task.classify import Classify

REAL: dict[str, Regularizer] = {
    "input_noise": InputNoise(samples=2), "dropout": Dropout(), "hidden_noise": HiddenNoise(),
    "weight_noise": WeightNoise(), "jacobian_penalty": JacobianPenalty(divergence="mse"),
    "laplacian_penalty": LaplacianPenalty(), "fgm": FGM(), "fgsm": FGSM(), "adversarial": Adversarial(),
    "loss_gradient_penalty": LossGradientPenalty(),
    "noise_consistency": NoiseConsistency(divergence="mse", samples=2),
}  # fmt: skip
OF_CLASSES = [LabelSmoothing(), RDrop(), JacobianPenalty(divergence="kl"), NoiseConsistency()]


def regression(methods: dict[str, Regularizer], **options: Any) -> Classify:
    return small_task(methods, dataset=diabetes, loss=MSE(), **options)


@pytest.mark.parametrize("name", REAL)
def test_regression_is_trained_with_it(name: str) -> None:
    task, bare = regression({name: REAL[name]}), regression({})
    rows = [task.step(step) for step in range(3)]
    assert all(value.isfinite() for row in rows for value in row.values())
    for step in range(3):
        bare.step(step)
    assert not any(map(torch.equal, task.parameters, bare.parameters))


@pytest.mark.parametrize("method", OF_CLASSES, ids=lambda method: type(method).__name__)
def test_regression_is_refused_where_classes_are_read(method: Regularizer) -> None:
    with pytest.raises(InputError, match="needs no classes, for real targets and inputs of shape"):
        regression({"a": method})


@pytest.mark.parametrize("name", REAL)
def test_squared_error_of_classes_is_trained_with_it(name: str) -> None:
    task = small_task({name: REAL[name], "label_smoothing": LabelSmoothing()}, loss=MSE())
    assert all(value.isfinite() for value in task.step(0).values())


IDLE = [
    LabelSmoothing(epsilon=0.0), InputNoise(sigma=0.0, samples=3), Dropout(p=0.0), HiddenNoise(sigma=0.0),
    WeightNoise(sigma=0.0), RDrop(weight=0.0), RandomAffine(translate=0.0, scale=0.0),
    JacobianPenalty(sigma=0.0), JacobianPenalty(weight=0.0), LaplacianPenalty(sigma=0.0), FGM(epsilon=0.0),
    FGM(alpha=1.0), FGSM(epsilon=0.0), FGSM(alpha=1.0), Adversarial(epsilon=0.0),
    LossGradientPenalty(weight=0.0),
]  # fmt: skip


@pytest.mark.parametrize("method", IDLE, ids=lambda method: type(method).__name__)
def test_strength_zero_is_left_out_of_the_run(method: Regularizer) -> None:
    task, bare = small_task({"a": method}), small_task({})
    assert task.methods == {}
    for step in range(5):
        assert list(task.step(step)) == list(bare.step(step))
    assert all(map(torch.equal, task.weights().values(), bare.weights().values()))
