"""Measures of a classifier beside its data: closed forms on linear models, bounds on nets, in float64."""

import math
from contextlib import suppress
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import SPLITS, classifier, draw, normal, yaml_options
from omegaconf import OmegaConf
from seam import build, moons
from torch import Tensor

from genreg import CONFIGS
from genreg.errors import InputError
from genreg.measure import (
    AdversarialAccuracy,
    Brier,
    CalibrationError,
    ClassifierMeasure,
    JacobianNorm,
    LipschitzLower,
    LipschitzUpper,
    LossGradientNorm,
    Margin,
    NoiseAccuracy,
    WeightNoiseAccuracy,
)
from genreg.measure.prediction import brier, calibration_error, margin
from genreg.measure.robustness import withstood
from genreg.measure.slope import steepest
from genreg.model import MLP
from genreg.run.factory import factory, find_target


def linear(outputs: int = 2) -> tuple[MLP, Tensor, Tensor]:
    """A linear model of (5,), its weight and bias."""
    model = classifier(widths=[], outputs=outputs)
    return model, model.output.weight.detach(), model.output.bias.detach()


def items(n: int = 300, outputs: int = 2) -> tuple[Tensor, Tensor]:
    return normal(n, 5), torch.randint(outputs, (n,), generator=draw(1))


def gap(model: MLP, x: Tensor, y: Tensor) -> Tensor:
    """The logit of each item's class less that of the other of two."""
    logits = model(x).detach()
    return logits.gather(1, y[:, None])[:, 0] - logits.gather(1, 1 - y[:, None])[:, 0]


# Slopes.


def test_slopes_of_a_linear_model() -> None:
    model, w, _ = linear(3)
    x, y = items(outputs=3)
    found = JacobianNorm(**SPLITS)(model, x, y)
    assert found.value == pytest.approx(w.norm().item(), rel=1e-12)
    assert found.stderr == pytest.approx(0, abs=1e-12)
    spectral = torch.linalg.matrix_norm(w, 2).item()
    assert LipschitzLower(**SPLITS)(model, x, y).value == pytest.approx(spectral, rel=1e-12)
    assert LipschitzUpper(**SPLITS)(model, x, y).value == pytest.approx(spectral, rel=1e-12)
    p = model(x).detach().softmax(1)
    norms = ((p - F.one_hot(y, 3)) @ w).norm(dim=1)
    found = LossGradientNorm(**SPLITS)(model, x, y)
    assert found.value == pytest.approx(norms.mean().item(), rel=1e-12)
    assert found.stderr == pytest.approx(norms.std().item() / 300**0.5, rel=1e-12)


def test_the_jacobian_of_a_net_is_that_of_central_differences() -> None:
    model, x = classifier(), normal(4, 5)
    squares = torch.zeros(4, dtype=torch.float64)
    with torch.no_grad():
        for unit in torch.eye(5, dtype=torch.float64) * 1e-6:
            squares += ((model(x + unit) - model(x - unit)) / 2e-6).square().sum(1)
    found = JacobianNorm(**SPLITS)(model, x, torch.zeros(4)).value
    assert found == pytest.approx(squares.sqrt().mean().item(), rel=1e-8)


def test_a_climb_finds_the_steepest_point_of_a_sine() -> None:
    """|f'| = |cos x| is 1 at 0; starting at 1.2, in steps of 0.1."""

    class Sine(MLP):
        def classify(self, embedding: Tensor, mask: Tensor | None = None) -> Tensor:
            return embedding.sin()

    model, x = Sine(input_shape=[1], outputs=1, widths=[]).double(), torch.full((1, 1), 1.2).double()
    y = torch.zeros(1)
    assert LipschitzLower(**SPLITS, steps=0)(model, x, y).value == pytest.approx(math.cos(1.2))
    assert LipschitzLower(**SPLITS, steps=5)(model, x, y).value == pytest.approx(math.cos(0.7))
    assert LipschitzLower(**SPLITS, steps=12)(model, x, y).value == pytest.approx(1)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_every_step_of_a_climb_begins_at_the_steepest_point_so_far(activation: str) -> None:
    """Each item by itself, by Jacobians of autograd at the points that it went to."""
    model, (x, _), visited = classifier(activation=activation), items(5, 3), list[Tensor]()
    found = steepest(
        lambda e: model(visited.append(e.detach()) or e), x, steps=8, length=0.3, generator=draw()
    )
    jacobian = torch.func.vmap(torch.func.jacrev(lambda e: model(e[None])[0]))
    slopes = torch.stack([torch.linalg.matrix_norm(jacobian(e), 2) for e in visited]).detach()
    places = torch.stack(visited)
    torch.testing.assert_close(found, slopes.amax(0), rtol=1e-9, atol=0)
    for k in range(1, 9):
        best = places[slopes[:k].argmax(0), torch.arange(5)]
        lengths = (places[k] - best).norm(dim=1)
        torch.testing.assert_close(lengths, torch.full_like(lengths, 0.3), rtol=1e-9, atol=0)


def test_a_climb_of_a_piecewise_linear_net_finds_more_than_its_start() -> None:
    model, (x, y) = classifier(activation="relu", widths=[30]), items(5, 3)
    found = [LipschitzLower(**SPLITS, steps=steps, length=0.5)(model, x, y).value for steps in (0, 30)]
    assert found[0] < found[1]


# Robustness.


@pytest.mark.parametrize("steps", [1, 10])
@pytest.mark.parametrize(("norm", "order"), [("linf", 1), ("l2", 2)])
def test_adversarial_accuracy_of_a_linear_model(norm: Any, order: int, steps: int) -> None:
    """Two classes: an item falls where its gap is below epsilon times the dual norm of w0 - w1."""
    model, w, _ = linear()
    x, y = items()
    for epsilon in (0.0, 0.05, 0.2):
        stands = gap(model, x, y) > epsilon * torch.linalg.vector_norm(w[0] - w[1], order)
        found = AdversarialAccuracy(**SPLITS, epsilon=epsilon, steps=steps, norm=norm)(model, x, y)
        assert found.value == stands.double().mean().item()
        assert epsilon == 0 or 0 < found.value < (gap(model, x, y) > 0).double().mean().item()


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("steps", [1, 2, 5, 10])
def test_an_attack_goes_in_its_steps_and_not_beyond_its_radius(steps: int, norm: Any) -> None:
    """Of a linear model, whose gradient has one direction: after k steps k times 2.5 epsilon / steps."""
    model, visited = linear()[0], []
    x, y = items(20)
    withstood(lambda e: model(visited.append(e.detach()) or e), x, y, epsilon=0.4, steps=steps, norm=norm)
    order = math.inf if norm == "linf" else 2
    found = torch.stack([torch.linalg.vector_norm(e - x, order, 1) for e in visited])
    length = 0.4 if steps == 1 else 2.5 * 0.4 / steps
    expected = torch.tensor([min(k * length, 0.4) for k in range(steps + 1)], dtype=torch.float64)
    torch.testing.assert_close(found, expected[:, None].expand_as(found), rtol=1e-9, atol=1e-12)


def test_an_item_that_falls_anywhere_on_the_way_has_fallen() -> None:
    """Classes of sin e: right at 0, wrong at -1.6, right again one step of 4 behind it and back."""
    logits = lambda e: torch.cat([(e + 0.5).sin(), torch.zeros_like(e)], 1)  # noqa: E731
    visited: list[float] = []
    start, y = torch.zeros(1, 1).double(), torch.zeros(1, dtype=torch.long)
    found = withstood(
        lambda e: logits(visited.append(e.item()) or e), start, y, epsilon=5.0, steps=4, norm="l2"
    )
    right = [math.sin(place + 0.5) > 0 for place in visited]
    assert right[0]
    assert right[-1]
    assert not all(right)
    assert not found.item()


def test_more_steps_and_radius_find_more_and_none_is_accuracy() -> None:
    model, (x, y) = classifier(widths=[40]), items(outputs=3)
    found = {(e, s): AdversarialAccuracy(**SPLITS, epsilon=e, steps=s)(model, x, y).value
             for e in (0.0, 0.1, 0.3) for s in (1, 20)}  # fmt: skip
    right = (model(x).argmax(1) == y).double().mean().item()
    assert found[0.0, 1] == found[0.0, 20] == right
    assert right > found[0.1, 1] >= found[0.1, 20] > found[0.3, 20]


def phi(z: Tensor) -> Tensor:
    return 0.5 * (1 + (z / 2**0.5).erf())


def test_noise_accuracy_of_a_linear_model() -> None:
    model, w, _ = linear()
    x, y = items()
    expected = phi(gap(model, x, y) / (0.7 * (w[0] - w[1]).norm()))
    found = NoiseAccuracy(**SPLITS, sigma=0.7, draws=400)(model, x, y)
    error = (expected * (1 - expected) / 400).mean().sqrt().item() / 300**0.5
    assert abs(found.value - expected.mean().item()) < 4 * error
    assert found.stderr == pytest.approx(expected.std().item() / 300**0.5, rel=0.02)
    assert NoiseAccuracy(**SPLITS, sigma=0.0)(model, x, y).value == (gap(model, x, y) > 0).double().mean()


def test_weight_noise_accuracy_of_a_linear_model() -> None:
    """The gap's noise has the variance 2 sigma^2 (|x|^2 + 1), of both rows and both biases."""
    model, (x, y) = linear()[0], items()
    expected = phi(gap(model, x, y) / (0.3 * (2 * (x.square().sum(1) + 1)).sqrt())).mean().item()
    found = WeightNoiseAccuracy(**SPLITS, sigma=0.3, draws=400)(model, x, y)
    assert abs(found.value - expected) < 4 * found.stderr
    still = WeightNoiseAccuracy(**SPLITS, sigma=0.0)(model, x, y)
    assert still.value == pytest.approx((gap(model, x, y) > 0).double().mean().item(), abs=1e-12)


# Predictions.


def test_calibration_error_by_hand() -> None:
    """Four bins: two items in (0.5, 0.75], one right, mean 0.65; three above, one wrong, mean 0.9."""
    confidence = torch.tensor([0.6, 0.7, 0.8, 0.95, 0.95], dtype=torch.float64)
    p = torch.stack([confidence, 1 - confidence], 1)
    y = torch.tensor([0, 1, 0, 0, 1])
    found = calibration_error(p, y, bins=4)
    assert found.value == pytest.approx(2 / 5 * abs(0.5 - 0.65) + 3 / 5 * abs(2 / 3 - 0.9))
    assert calibration_error(p, y, bins=1).value == pytest.approx(abs(3 / 5 - 0.8))
    edge = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    assert calibration_error(edge, torch.tensor([1, 0]), bins=2).value == pytest.approx(0.25)


def test_a_calibrated_prediction_has_no_error_but_that_of_sampling() -> None:
    p = torch.rand(20_000, generator=draw(), dtype=torch.float64) / 2 + 0.5
    y = (torch.rand(20_000, generator=draw(1), dtype=torch.float64) > p).long()
    found = calibration_error(torch.stack([p, 1 - p], 1), y, bins=5)
    assert found.value < 3 * 5**0.5 * found.stderr
    assert found.stderr == pytest.approx((p * (1 - p)).mean().sqrt().item() / 20_000**0.5, rel=0.02)


def test_brier_and_margin_by_hand() -> None:
    p = torch.tensor([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]])
    y = torch.tensor([0, 1])
    terms = [0.3**2 + 0.2**2 + 0.1**2, 0.3**2 + 0.7**2 + 0.4**2]
    assert brier(p, y).value == pytest.approx(sum(terms) / 2)
    found = margin(torch.tensor([[3.0, 1.0, 2.0], [0.0, -1.0, -3.0]]), y)
    assert (found.value, found.n) == (0.0, 2)
    assert found.stderr == pytest.approx(1)  # of 1 and -1


def test_measures_of_predictions_are_those_of_the_models() -> None:
    model, (x, y) = classifier(), items(50, 3)
    logits = model(x).detach()
    assert Brier(**SPLITS)(model, x, y) == brier(logits.softmax(1), y)
    assert Margin(**SPLITS)(model, x, y) == margin(logits, y)
    assert CalibrationError(**SPLITS, bins=7)(model, x, y) == calibration_error(logits.softmax(1), y, 7)


# Nothing is left behind.

NODES = {name: OmegaConf.to_container(OmegaConf.load(CONFIGS / "measure" / f"{name}.yaml"))
         for name in yaml_options("measure") if name != "none"}  # fmt: skip
OF_CLASSIFIERS = [name for name, node in NODES.items()
                  if issubclass(find_target(node, "measure"), ClassifierMeasure)]  # fmt: skip


class Breaks(MLP):
    """A net whose third pass fails."""

    passes = 0

    def classify(self, embedding: Tensor, mask: Tensor | None = None) -> Tensor:
        self.passes += 1
        if self.passes > 2:
            raise ArithmeticError("broken")
        return super().classify(embedding)


@pytest.mark.parametrize("name", OF_CLASSIFIERS)
def test_a_measure_that_raises_leaves_the_model_as_it_was(name: str) -> None:
    model = Breaks(input_shape=[2], outputs=2, widths=[8], batch_norm=True, dropout=0.3)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    chosen, split, state = factory(NODES[name], f"measure.{name}")(), moons().labeled, torch.get_rng_state()
    for passes in range(3):
        model.passes = passes
        with suppress(ArithmeticError, InputError):
            chosen(model, split.x, split.y)
        assert all(module.training for module in model.modules())
        assert all(p.grad is None and p.requires_grad for p in model.parameters())
        assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert name == "lds" or torch.equal(
        torch.get_rng_state(), state
    )  # it begins a pass, as every update does


@pytest.mark.full
@pytest.mark.parametrize("name", OF_CLASSIFIERS)
def test_a_measure_is_the_same_at_every_call(name: str) -> None:
    model, split = MLP(input_shape=[2], outputs=2, widths=[8]), moons().labeled
    chosen = factory(NODES[name], f"measure.{name}")()
    assert chosen(model, split.x, split.y) == chosen(model, split.x, split.y)


def test_items_are_drawn_from_the_whole_split_and_stay() -> None:
    chosen = Margin(**SPLITS, items=10)
    x, y = torch.arange(100.0)[:, None], torch.arange(100)
    first, again = chosen.chosen(x, y), chosen.chosen(x, y)
    assert torch.equal(first[0], again[0])
    assert first[0].shape == (10, 1)
    assert torch.equal(first[0][:, 0].long(), first[1])
    assert first[1].max() > 50


def test_a_second_size_of_attack_is_a_second_key() -> None:
    chosen = {f"at_{e}": AdversarialAccuracy(**SPLITS, epsilon=e) for e in (0.05, 1.0)}
    row = build("classify", measure=chosen).evaluate()
    assert row["test/at_0.05"] >= row["test/at_1.0"]
