"""Curvature measures against closed forms and explicit Hessians in float64; the model is left as it was."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import draw, small_task
from torch import Tensor, nn

from genreg.measure import (
    GradientNoise,
    Hessian,
    HessianEigenvalue,
    HessianNegativeShare,
    HessianTrace,
    Sharpness,
    gradient_noise,
    hessian_density,
    hessian_eigenvalues,
    hessian_trace,
    sharpness,
)
from genreg.measure.base import FEWEST, until
from genreg.measure.hessian import chunk_size, classifier_hessian, landscape_hessian
from genreg.model import MLP, Conv
from genreg.model.landscape import MatrixSensing, Quadratic, QuadraticParametrized, WideningValley

SPECTRUM = [9.0, 4.0, 4.0, 1.0, 0.5, 0.1, 0.0, -0.3, -2.0]


def network(kind: str = "mlp") -> tuple[nn.Module, Tensor, Tensor]:
    """A small network in float64 with 40 items: its Hessian can be written out."""
    torch.manual_seed(0)
    if kind == "mlp":
        model: nn.Module = MLP(
            input_shape=[6], outputs=3, widths=[5], activation="tanh", batch_norm=True, dropout=0.3
        )
        x = torch.randn(40, 6)
    else:
        model = Conv(input_shape=[1, 12, 12], outputs=3, widths=[2, 2, 2, 2, 2])
        x = torch.randn(40, 1, 12, 12)
    model, x = model.double(), x.double()
    model(x)  # statistics of its own for batch normalization
    return model.eval(), x, torch.randint(3, (40,))


def explicit(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The Hessian of the mean cross-entropy, by torch.func over one flat vector: no code in common."""
    shapes = {name: p.shape for name, p in model.named_parameters()}
    flat = torch.cat([p.detach().flatten() for p in model.parameters()])

    def loss(w: Tensor) -> Tensor:
        parts = w.split([shape.numel() for shape in shapes.values()])
        weights = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
        return F.cross_entropy(torch.func.functional_call(model, weights, (x,)), y)

    return torch.func.hessian(loss)(flat)


@pytest.mark.every(3)
@pytest.mark.parametrize(("kind", "memory"), [("mlp", 1e9), ("mlp", 2e4), ("conv", 1e5)])
def test_products_are_those_of_the_explicit_hessian(kind: str, memory: float) -> None:
    model, x, y = network(kind)
    hessian = classifier_hessian(model, x, y, F.cross_entropy, memory)
    assert (len(hessian.losses) > 1) == (memory < 1e6)
    matrix = explicit(model, x, y)
    v = torch.randn(hessian.size, 3, dtype=torch.float64, generator=draw())
    torch.testing.assert_close(hessian @ v, matrix @ v, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(hessian @ v[:, 0], matrix @ v[:, 0], rtol=1e-9, atol=1e-11)


def test_memory_bounds_the_chunk() -> None:
    model, x, _ = network()
    one = chunk_size(model, x, 0)
    assert one == 1
    sizes = [chunk_size(model, x, memory) for memory in (1e4, 2e4, 1e9)]
    assert 1 <= sizes[0] < sizes[1] < sizes[2] == len(x)
    assert sizes[1] == pytest.approx(2 * sizes[0], abs=1)


LANDSCAPES = [
    Quadratic(spectrum=SPECTRUM, dtype="float64"),
    WideningValley(d=8, dtype="float64", replicas=2),
    QuadraticParametrized(d=9, points=3, nonzero=2, dtype="float64"),
    MatrixSensing(d=4, measurements=6, dtype="float64"),
]


@pytest.mark.every(5)
@pytest.mark.parametrize("model", LANDSCAPES, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("method", ["exact", "hutchinson", "hutch++"])
def test_trace_of_landscapes_is_the_closed_form(model: Any, method: Any) -> None:
    truth = model.hessian_trace().sum().item()
    options = {"relative_error": 2e-2, "max_samples": 8000, "sketch": 3, "generator": draw(1)}
    found = hessian_trace(landscape_hessian(model), method=method, **options)
    assert found.value == pytest.approx(truth, rel=1e-9, abs=4 * found.stderr)
    assert found.stderr <= 2e-2 * abs(found.value)
    assert found.n == len(found.samples)


@pytest.mark.full
@pytest.mark.parametrize("method", ["hutchinson", "hutch++"])
def test_the_standard_error_of_a_trace_is_honest(method: Any) -> None:
    """Of 100 estimates of a network's trace about 95 lie within two of their own standard errors."""
    model, x, y = network()
    truth = explicit(model, x, y).trace().item()
    inside = 0
    for seed in range(100):
        hessian = classifier_hessian(model, x, y, F.cross_entropy)
        found = hessian_trace(
            hessian, method=method, relative_error=0, max_samples=24, sketch=4, generator=draw(seed)
        )
        assert found.n == 24
        inside += abs(found.value - truth) < 2.07 * found.stderr  # t of 23 degrees of freedom
    assert inside >= 87


def test_hutch_plus_plus_is_sharper_where_few_eigenvalues_make_the_trace() -> None:
    torch.manual_seed(0)
    rotation = torch.linalg.qr(torch.randn(60, 60, dtype=torch.float64)).Q
    matrix = (
        rotation
        @ torch.diag(torch.tensor([100.0, 50.0, 20.0] + [0.1] * 57, dtype=torch.float64))
        @ rotation.T
    )
    w = torch.zeros(60, dtype=torch.float64, requires_grad=True)
    errors = {}
    for method in ("hutchinson", "hutch++"):
        hessian = Hessian([w], [lambda: 0.5 * w @ matrix @ w])
        found = hessian_trace(
            hessian, method=method, relative_error=0, max_samples=16, sketch=6, generator=draw()
        )  # type: ignore[arg-type]
        errors[method] = found.stderr
        assert found.value == pytest.approx(175.7, abs=4 * found.stderr)
    assert errors["hutch++"] < 0.1 * errors["hutchinson"]


def test_sampling_stops_by_the_spread_and_not_by_a_mean_that_stands_still() -> None:
    still = until(lambda k: [1.0, -1.0] * (k // 2) if k > 1 else [1.0], 0.1, 100)
    assert still.n == 100
    steady = until(lambda k: [1.0, 1.01] * (k // 2), 0.1, 100)
    assert steady.n == FEWEST
    assert (until(lambda k: [2.0] * k, 0.1, 3).n, until(lambda k: [2.0] * k, 0.1, 1).n) == (3, 1)


@pytest.mark.every(2)
@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_eigenvalues_are_those_of_the_explicit_hessian(kind: str) -> None:
    model, x, y = network(kind)
    truth = torch.linalg.eigvalsh(explicit(model, x, y)).flip(0)
    hessian = classifier_hessian(model, x, y, F.cross_entropy)
    found = hessian_eigenvalues(hessian, k=3, relative_error=1e-6, generator=draw())
    assert list(found.values) == pytest.approx(truth[:3].tolist(), rel=1e-5)
    assert max(found.residuals) <= 1e-6 * truth.abs().max()
    assert found.n == hessian.products


def test_a_residual_bounds_the_error() -> None:
    model, x, y = network()
    truth = torch.linalg.eigvalsh(explicit(model, x, y))
    for budget in (12, 40):
        hessian = classifier_hessian(model, x, y, F.cross_entropy)
        found = hessian_eigenvalues(hessian, k=3, relative_error=1e-12, max_products=budget, generator=draw())
        assert found.n <= max(budget, 10)
        for value, residual in zip(found.values, found.residuals, strict=True):
            assert (truth - value).abs().min() <= residual + 1e-12


def test_lanczos_stops_where_the_krylov_space_ends() -> None:
    """Of the identity a single product shows everything; of a spectrum with repeats, no value is invented."""
    flat = landscape_hessian(Quadratic(spectrum=[2.0] * 6, dtype="float64"))
    found = hessian_eigenvalues(flat, k=3, generator=draw())
    assert (found.values, found.residuals, found.n) == (pytest.approx((2.0,)), (0.0,), 1)
    hessian = landscape_hessian(Quadratic(spectrum=SPECTRUM, dtype="float64"))
    values = hessian_eigenvalues(hessian, k=9, relative_error=1e-9, generator=draw()).values
    assert all(min(abs(value - true) for true in SPECTRUM) < 1e-6 for value in values)
    assert {round(value, 6) for value in values} >= {9.0, 4.0, 1.0, -2.0}


@pytest.mark.full
def test_density_has_the_moments_of_the_spectrum() -> None:
    model, x, y = network()
    matrix = explicit(model, x, y)
    hessian = classifier_hessian(model, x, y, F.cross_entropy)
    found = hessian_density(hessian, steps=30, relative_error=0, max_samples=60, generator=draw())
    assert torch.trapezoid(found.density, found.grid).item() == pytest.approx(1, abs=1e-3)
    assert found.stderr.max() > 0
    power = matrix
    for moment in (1, 2, 3):
        per_probe = (found.weights * found.nodes**moment).sum(1)
        error = per_probe.std().item() / math.sqrt(found.n)
        assert per_probe.mean().item() == pytest.approx(power.trace().item() / len(matrix), abs=4 * error)
        power = power @ matrix
    truth = torch.linalg.eigvalsh(matrix)
    share = (truth < 0.02 * truth.max()).double().mean().item()  # the bulk near zero
    below = (found.weights * (found.nodes < 0.02 * truth.max())).sum(1)
    assert below.mean().item() == pytest.approx(share, abs=0.05)


def test_sharpness_is_the_rise_at_the_point_that_sam_climbs_to() -> None:
    model, x, y = network()
    found = sharpness(model, x, y, F.cross_entropy, rho=0.3)
    loss = F.cross_entropy(model(x), y)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    norm = math.sqrt(sum(g.square().sum().item() for g in gradients))
    with torch.no_grad():
        for p, g in zip(model.parameters(), gradients, strict=True):
            p += 0.3 * g / norm
        rise = F.cross_entropy(model(x), y) - loss
    assert found.value == pytest.approx(rise.item(), rel=1e-9)
    assert 0 < found.stderr < found.value


def test_searching_the_ball_finds_no_lower_point_and_stays_inside_it() -> None:
    """On a quadratic the highest rise in a ball around the minimum is lambda_max rho^2 / 2."""
    model = nn.Linear(4, 1, bias=False).double()
    x = torch.diag(torch.tensor([3.0, 2.0, 1.0, 0.5], dtype=torch.float64)) * 2
    y = torch.zeros(4, 1, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(1e-3 * torch.tensor([[1.0, 1.0, 1.0, 1.0]]))

    def squared(out: Tensor, target: Tensor, reduction: str) -> Tensor:
        rows = 0.5 * (out - target).square()[:, 0]
        return rows if reduction == "none" else rows.sum()

    once = sharpness(model, x, y, squared, rho=0.1).value
    often = sharpness(model, x, y, squared, rho=0.1, steps=30).value
    best = 0.5 * 36 / 4 * 0.1**2  # lambda_max = 6^2 / 4 items
    assert once <= often <= 1.05 * best
    assert often > 0.97 * best


@pytest.mark.parametrize(("rho", "steps", "at"), [(1.6, 2, 1.6), (2.0, 4, 1.25), (4.0, 1, 4.0)])
def test_the_highest_point_of_a_search_counts_and_of_one_step_its_end(
    rho: float, steps: int, at: float
) -> None:
    """Items of sin w and -sin w / 2: beyond pi / 2 the gradient leads back, to below 0, and forth again."""
    model, factors = nn.Linear(1, 1, bias=False).double(), torch.tensor([[1.0], [-0.5]]).double()
    with torch.no_grad():
        model.weight.zero_()

    def waves(out: Tensor, factor: Tensor, reduction: str) -> Tensor:
        rows = (factor * out.sin())[:, 0]
        return rows if reduction == "none" else rows.sum()

    found = sharpness(model, torch.ones(2, 1).double(), factors, waves, rho=rho, steps=steps)
    assert found.value == pytest.approx(0.25 * math.sin(at), rel=1e-9)
    assert found.stderr == pytest.approx(1.5 * abs(math.sin(at)) / 2, rel=1e-9)  # over items, at that point


def test_gradient_noise_is_the_trace_of_the_covariance() -> None:
    model, x, y = network()
    rows = []
    for a, b in zip(x, y, strict=True):
        gradients = torch.autograd.grad(F.cross_entropy(model(a[None]), b[None]), list(model.parameters()))
        rows.append(torch.cat([g.flatten() for g in gradients]))
    truth = torch.cov(torch.stack(rows).T).trace().item()
    for memory in (1e9, 3e4):
        found = gradient_noise(model, x, y, F.cross_entropy, memory=memory)
        assert found.value == pytest.approx(truth, rel=1e-6)  # a mean in float32 of double rows
        assert found.n == len(x)


MEASURES: dict[str, Callable[..., Any]] = {
    "trace": partial(HessianTrace, splits=["labeled"], max_samples=8),
    "hutch++": partial(HessianTrace, splits=["labeled"], max_samples=8, method="hutch++", sketch=2),
    "eigenvalue": partial(HessianEigenvalue, splits=["labeled"]),
    "density": partial(HessianNegativeShare, splits=["labeled"], steps=5, max_samples=2),
    "sharpness": partial(Sharpness, splits=["labeled"], steps=2),
    "gradient_noise": partial(GradientNoise, splits=["labeled"]),
}


@pytest.mark.parametrize("name", MEASURES)
def test_measures_leave_the_model_as_it_was_also_when_they_raise(name: str) -> None:
    task = small_task(measure={name: MEASURES[name]()})
    task.step(0)
    model, measure = task.model, task.measure[name]
    before = {k: v.clone() for k, v in model.state_dict().items()}
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    modes, random = [m.training for m in model.modules()], torch.get_rng_state()
    labeled = task.dataset.labeled
    first, second = (measure(model, labeled.x, labeled.y) for _ in range(2))
    assert first == second  # its own generator
    with pytest.raises((IndexError, RuntimeError, ValueError)):
        measure(model, labeled.x, labeled.y + 1000)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    after = [p.grad for p in model.parameters() if p.grad is not None]
    assert len(gradients) == len(after) > 0
    assert all(torch.equal(a, b) for a, b in zip(gradients, after, strict=True))
    assert modes == [m.training for m in model.modules()]
    assert torch.equal(random, torch.get_rng_state())
    row = task.evaluate()
    assert row[f"labeled/{name}"] == first.value
    assert f"test/{name}" not in row
