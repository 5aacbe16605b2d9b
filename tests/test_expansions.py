"""Penalties that small noise amounts to, against explicit Jacobians, Hessians and averages in float64."""

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import classifier, forward_of, normal
from every_option import composed
from torch import Tensor, nn
from torch.autograd.functional import hessian, jacobian

from genreg.dataset import Batch
from genreg.forward.classifier import ClassifierForward
from genreg.loss import MSE, Loss
from genreg.model import MLP
from genreg.regularizer import (
    GradientPenalty,
    InputNoise,
    JacobianPenalty,
    LaplacianPenalty,
    LossGradientPenalty,
    NoiseConsistency,
    Regularizer,
)
from genreg.run.identity import experiment_hash

X, Y, TARGETS = normal(4, 5), torch.tensor([0, 2, 1, 2]), normal(4, 3, seed=1)
MODEL = classifier()
LOSSES: dict[str, tuple[Loss | None, Tensor]] = {"cross_entropy": (None, Y), "mse": (MSE(), TARGETS)}


def forward(loss: str = "cross_entropy", model: MLP = MODEL, x: Tensor = X, y: Tensor | None = None) -> Any:
    chosen, targets = LOSSES[loss]
    return ClassifierForward(model, Batch(x, targets if y is None else y, classes=3), loss=chosen)


def loss_of(name: str, x: Tensor, target: Tensor) -> Tensor:
    """The loss of one input (5,)."""
    outputs = MODEL(x[None])
    return (
        F.cross_entropy(outputs, target[None])
        if name == "cross_entropy"
        else (outputs - target).square().sum()
    )


def explicit(divergence: str, sigma: float) -> float:
    """sigma^2 / 2 sum_i lambda_i |grad f_i|^2 from the whole Jacobian, one item after another."""

    def f(x: Tensor) -> Tensor:
        outputs = MODEL(x[None])[0]
        return outputs if divergence == "mse" else outputs.softmax(0)

    total = 0.0
    for x in X:
        factor = torch.full((3,), 2.0).double() if divergence == "mse" else 1 / f(x).detach()
        total += float((factor * jacobian(f, x).square().sum(1)).sum())
    return sigma**2 / 2 * total / len(X)


@pytest.mark.parametrize("divergence", ["mse", "kl"])
def test_the_jacobian_is_that_of_autograd(divergence: Any) -> None:
    method = JacobianPenalty(sigma=0.3, divergence=divergence)
    assert method.penalty(forward()).item() == pytest.approx(explicit(divergence, 0.3), rel=1e-12)


def explicit_laplacian(loss: str, sigma: float) -> float:
    targets = LOSSES[loss][1]
    traces = [hessian(lambda x, t=t: loss_of(loss, x, t), x).trace() for x, t in zip(X, targets, strict=True)]
    return sigma**2 / 2 * float(torch.stack(traces).mean())


@pytest.mark.parametrize("loss", LOSSES)
def test_the_laplacian_is_the_trace_of_the_hessian(loss: str) -> None:
    method = LaplacianPenalty(sigma=0.3)
    assert method.penalty(forward(loss)).item() == pytest.approx(explicit_laplacian(loss, 0.3), rel=1e-12)


def test_a_large_input_is_sampled_unless_told_otherwise() -> None:
    model = MLP(input_shape=[1, 4, 5], outputs=3, widths=[4], activation="tanh").double()
    seen = [LaplacianPenalty(estimator=e).penalty(forward(model=model, x=normal(4, 1, 4, 5)))
            for e in ("auto", "sampled", "exact")]  # fmt: skip
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])


SAMPLED: dict[str, tuple[Callable[..., Regularizer], Callable[[], float]]] = {
    "jacobian_mse": (lambda **k: JacobianPenalty(divergence="mse", **k), lambda: explicit("mse", 0.1)),
    "jacobian_kl": (lambda **k: JacobianPenalty(divergence="kl", **k), lambda: explicit("kl", 0.1)),
    "laplacian": (lambda **k: LaplacianPenalty(**k), lambda: explicit_laplacian("cross_entropy", 0.1)),
}  # fmt: skip


@pytest.mark.full
@pytest.mark.parametrize("name", SAMPLED)
def test_signs_estimate_without_bias_and_better_with_more_of_them(name: str) -> None:
    make, exact = SAMPLED[name]
    errors = {}
    for probes, draws in ((1, 600), (9, 200)):
        seen = forward()  # whose generator goes on from draw to draw
        method = make(estimator="sampled", probes=probes)
        found = torch.stack([method.penalty(seen).detach() for _ in range(draws)])  # type: ignore[arg-type, union-attr]
        assert abs(found.mean() - exact()) < 4 * found.std() / math.sqrt(draws)
        errors[probes] = float(found.std())
    assert errors[1] / errors[9] == pytest.approx(3, rel=0.25)


CUBE = torch.tensor(list(product((-1.0, 1.0), repeat=5)), dtype=torch.float64)
"""All 32 noises of five signs: an average over them is an expectation."""


@pytest.mark.parametrize("loss", LOSSES)
def test_noise_adds_the_laplacian_to_the_loss(loss: str) -> None:
    def remainder(sigma: float) -> float:
        noisy = torch.stack([forward(loss, x=X + sigma * s).score(X + sigma * s).mean() for s in CUBE]).mean()
        added = (noisy - forward(loss).score(X).mean()).item()
        predicted = LaplacianPenalty(sigma=sigma).penalty(forward(loss)).item()
        assert added == pytest.approx(predicted, rel=0.05)
        return added - predicted

    assert remainder(0.1) / remainder(0.05) == pytest.approx(16, rel=0.1)  # of fourth order


@pytest.mark.parametrize("distribution", ["gaussian", "uniform", "bernoulli"])
def test_input_noise_adds_the_laplacian_to_the_loss(distribution: Any) -> None:
    copies = InputNoise(sigma=0.05, samples=20000, distribution=distribution)
    batch = copies.batch(Batch(X, Y, 3), torch.Generator().manual_seed(0))
    added = F.cross_entropy(MODEL(batch.e), batch.y, reduction="none").view(20000, 4).mean(1)
    added = (added - forward().score(X).mean()).detach()
    predicted = LaplacianPenalty(sigma=0.05).penalty(forward()).item()
    slope = LossGradientPenalty().penalty(forward())  # of which most of the variance is
    error = float(added.std()) / math.sqrt(20000)
    assert added.std() < 0.05 * slope.sqrt()
    assert abs(added.mean() - predicted) < 4 * error


@pytest.mark.parametrize("divergence", ["mse", "kl"])
def test_consistency_under_small_noise_is_the_jacobian_penalty(divergence: Any) -> None:
    def remainder(sigma: float) -> float:
        clean, noisy = MODEL(X), [MODEL(X + sigma * s) for s in CUBE]
        if divergence == "kl":
            p = clean.softmax(1)
            found = [(p * (clean.log_softmax(1) - q.log_softmax(1))).sum() for q in noisy]
        else:
            found = [(clean - q).square().sum() for q in noisy]
        average = torch.stack(found).mean().item() / len(X)
        predicted = JacobianPenalty(sigma=sigma, divergence=divergence).penalty(forward()).item()
        assert average == pytest.approx(predicted, rel=0.05)
        return average - predicted

    assert remainder(0.1) / remainder(0.05) == pytest.approx(16, rel=0.1)


@pytest.mark.full
@pytest.mark.parametrize("divergence", ["mse", "kl"])
def test_consistency_along_random_directions_is_the_jacobian_penalty(divergence: Any) -> None:
    """A direction of length epsilon in d dimensions has the covariance epsilon^2 / d."""
    seen = forward()
    seen.unlabeled_pass = seen
    method = NoiseConsistency(epsilon=0.01 * math.sqrt(5), samples=4, divergence=divergence)
    found = torch.stack([method.penalty(seen).detach() for _ in range(300)])
    exact = JacobianPenalty(sigma=0.01, divergence=divergence).penalty(seen).item()
    assert abs(found.mean() - exact) < 4 * found.std() / math.sqrt(300) + 1e-3 * exact


def test_the_slope_of_the_loss_against_finite_differences() -> None:
    h, total = 1e-5, 0.0
    for x, y in zip(X, Y, strict=True):
        for axis in torch.eye(5, dtype=torch.float64):
            slope = (
                loss_of("cross_entropy", x + h * axis, y) - loss_of("cross_entropy", x - h * axis, y)
            ) / (2 * h)
            total += float(slope.detach()) ** 2
    penalty = LossGradientPenalty().penalty(forward())
    assert penalty.item() == pytest.approx(total / 4, rel=1e-8)
    assert penalty.item() == pytest.approx(GradientPenalty(target=0.0).penalty(forward()).item(), rel=1e-12)


PENALTIES: dict[str, Regularizer] = {
    "loss_gradient": LossGradientPenalty(), "jacobian_kl": JacobianPenalty(),
    "jacobian_mse": JacobianPenalty(divergence="mse"), "laplacian": LaplacianPenalty(),
    "jacobian_sampled": JacobianPenalty(estimator="sampled", probes=2),
    "laplacian_sampled": LaplacianPenalty(estimator="sampled", probes=2),
}  # fmt: skip


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", PENALTIES)
def test_gradients_in_the_weights_against_finite_differences(name: str, loss: str) -> None:
    model = classifier(batch_norm=True)  # whose weights reach the penalty through the statistics too
    direction = {key: normal(*p.shape, seed=3) for key, p in model.named_parameters()}
    start = {key: p.detach().clone() for key, p in model.named_parameters()}

    def penalty(step: float) -> Tensor:
        with torch.no_grad():
            for key, p in model.named_parameters():
                p.copy_(start[key] + step * direction[key])
        value = PENALTIES[name].penalty(forward(loss, model=model))
        assert value is not None
        return value

    gradients = torch.autograd.grad(penalty(0.0), list(model.parameters()), allow_unused=True)
    slope = sum(float((g * direction[key]).sum()) for key, g in zip(direction, gradients, strict=True)
                if g is not None)  # fmt: skip
    h = 1e-5
    assert slope == pytest.approx((penalty(h) - penalty(-h)).item() / (2 * h), rel=1e-6)


def test_an_item_of_a_normalized_batch_has_a_slope_of_its_own() -> None:
    model = classifier(batch_norm=True)
    seen, moved = forward(model=model), X.clone()
    moved[1] += 0.3
    change = (seen.alone(moved) - seen.alone(X)).abs().sum(1)
    assert (change > 0).tolist() == [False, True, False, False]
    torch.testing.assert_close(seen.alone(X), seen.logits, rtol=1e-12, atol=1e-12)
    before = [b.clone() for b in model.buffers()]
    JacobianPenalty().penalty(seen)
    LaplacianPenalty().penalty(seen)
    assert all(map(torch.equal, before, model.buffers()))


def test_a_constant_prediction_costs_nothing() -> None:
    model = classifier()
    for p in model.parameters():
        nn.init.zeros_(p)
    for penalty in PENALTIES.values():
        assert penalty.penalty(forward_of(model, X, Y)).item() == 0  # type: ignore[union-attr]


def test_noise_consistency_of_one_sample_draws_as_before() -> None:
    seen = forward()
    seen.unlabeled_pass = seen
    d = torch.randn(4, 5, dtype=torch.float64, generator=forward().draw)
    r = 0.7 * d / d.norm(dim=1, keepdim=True)
    expected = F.kl_div(MODEL(X + r).log_softmax(1), MODEL(X).softmax(1), reduction="batchmean")
    assert NoiseConsistency(epsilon=0.7).penalty(seen).item() == pytest.approx(expected.item(), rel=1e-12)


def test_a_run_of_noise_consistency_keeps_its_folder() -> None:
    config = composed("experiment=vat_200/noise")
    before = config | {"regularizer": {"noise_consistency": dict(config["regularizer"]["noise_consistency"])}}
    for key in ("samples", "divergence"):
        del before["regularizer"]["noise_consistency"][key]
    assert experiment_hash(config) == experiment_hash(before)
    config["regularizer"]["noise_consistency"]["samples"] = 2
    assert experiment_hash(config) != experiment_hash(before)
