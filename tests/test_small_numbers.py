"""Numbers whose squares leave float32, weights of zeros, inputs of one number."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import classifier, draw, forward_of, normal
from torch import Tensor, nn
from torch.nn.utils import parametrize

from genreg.measure import hessian_eigenvalues, sharpness
from genreg.measure.hessian import Hessian
from genreg.measure.lipschitz import convolution_norm
from genreg.model.passes import norm, power_of_two
from genreg.optimizer import gradient_norm, sam
from genreg.regularizer import Frobenius, FrobeniusProjection, SpectralNormalization


@pytest.mark.parametrize("size", [0.0, 1e-40, 1e-23, 1e-3, 1.0, 1e25])
def test_a_norm_is_that_of_float64(size: float) -> None:
    x = normal(1000, dtype=torch.float32) * size
    assert norm(x).item() == pytest.approx(x.double().norm().item(), rel=1e-5, abs=0)
    if 1e-3 <= size <= 1:
        assert torch.equal(norm(x), x.norm())


def test_powers_of_two_are_exact() -> None:
    x = torch.tensor([0.0, 1e-45, 1e-30, 0.75, 1.0, 3.0, 3e38])
    assert power_of_two(x).tolist() == [1.0] + [2.0 ** math.floor(math.log2(v)) for v in x[1:].tolist()]


def climb_of(make: Callable[..., Any], gradient: Tensor, weights: Tensor, **options: Any) -> Tensor:
    """w + e(w) - w where the loss is gradient . w, whose second gradient is asked for there."""
    w = weights.clone().requires_grad_()
    seen = []

    def closure() -> Tensor:
        seen.append(w.detach().clone())
        w.grad = gradient.clone()
        return (gradient * w).sum().detach()

    make([w], lr=0.0, **options).step(closure)
    return seen[1] - seen[0]


@pytest.mark.parametrize("size", [1e-40, 1e-30, 1e-23, 1e-20, 1.0, 1e25])
@pytest.mark.parametrize("replicas", [None, range(3)])
@pytest.mark.parametrize(
    ("make", "options"),
    [(sam, {"rho": 0.5}), (sam, {"rho": 0.5, "adaptive": True}), (gradient_norm, {"r": 0.5})],
)
def test_a_climb_has_length_rho_however_small_the_gradient(
    make: Callable[..., Any], options: dict[str, Any], replicas: range | None, size: float
) -> None:
    g = normal(3, 40, dtype=torch.float32) * size
    if replicas:
        g *= torch.tensor([[1.0], [1e-3], [1e-6]]) if size > 1e-30 else 1.0
    w = normal(3, 40, seed=1, dtype=torch.float32)
    found = climb_of(
        make, g, torch.zeros_like(w) if not options.get("adaptive") else w, replicas=replicas, **options
    )
    g, w = g.double(), w.double()
    scaled = w * g if options.get("adaptive") else g
    length = scaled.norm(dim=1, keepdim=True) if replicas else scaled.norm()
    expected = 0.5 * (w * w * g if options.get("adaptive") else g) / length
    torch.testing.assert_close(found.double(), expected, rtol=1e-3 if size < 1e-38 else 1e-4, atol=1e-6)


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("replicas", [None, range(3)])
def test_a_gradient_of_zero_is_no_climb(adaptive: bool, replicas: range | None) -> None:
    g = normal(3, 4, dtype=torch.float32)
    g[1] = 0
    found = climb_of(sam, g, torch.ones(3, 4), replicas=replicas, rho=0.5, adaptive=adaptive)
    assert (found[1] == 0).all()
    assert found.isfinite().all()
    assert (climb_of(sam, 0 * g, torch.ones(3, 4), replicas=replicas, rho=0.5, adaptive=adaptive) == 0).all()


def test_an_ordinary_climb_has_the_bits_of_the_plain_formula() -> None:
    for seed in range(20):
        g, w = (normal(64, 65, seed=s, dtype=torch.float32) * 10.0 ** (seed - 14) for s in (seed, seed + 99))
        for adaptive in (False, True):
            length = ((w * g) if adaptive else g).square().flatten().sum(-1)[None].sum(0).sqrt()
            if length < 1e-15:
                continue
            e = g / length
            moved = w.clone().add_(e * w * w if adaptive else e, alpha=0.05)
            assert torch.equal(climb_of(sam, g, w, rho=0.05, adaptive=adaptive), moved - w)


@pytest.mark.parametrize("rho", [0.05, 20.0])
@pytest.mark.parametrize("size", [0.0, 1e-40, 1e-23, 1.0])
def test_sharpness_climbs_its_radius_however_flat_the_loss(size: float, rho: float) -> None:
    """Of a linear loss: rho |gradient|, for the whole step."""
    model = nn.Linear(6, 1, bias=False)
    x = normal(6, dtype=torch.float32).expand(9, 6) * size

    def loss(out: Tensor, _: Tensor, reduction: str) -> Tensor:
        return out[:, 0] if reduction == "none" else out.sum()

    with torch.no_grad():
        model.weight.zero_()
    found = sharpness(model, x, torch.zeros(9), loss, rho=rho)
    expected = rho * x[0].double().norm().item()
    assert found.value == pytest.approx(expected, rel=1e-3 if size < 1e-38 else 1e-5, abs=1e-44)


def test_lanczos_finds_the_largest_eigenvalue_of_a_tiny_hessian() -> None:
    values = torch.linspace(1, 30, 30) * 1e-24
    w = torch.zeros(30, requires_grad=True)
    hessian = Hessian([w], [lambda: 0.5 * (values * w * w).sum()])
    found = hessian_eigenvalues(hessian, generator=draw())
    assert found.values[0] == pytest.approx(30e-24, rel=1e-3, abs=0)


def test_spectral_normalization_leaves_a_weight_of_zeros_and_its_gradient_finite() -> None:
    layer = nn.Linear(4, 3, bias=False).double()
    with torch.no_grad():
        layer.weight.zero_()
    SpectralNormalization().attach(nn.Sequential(layer))
    original: Any = layer.parametrizations.weight.original  # type: ignore[union-attr,operator]
    direction = normal(3, 4)
    for _ in range(2):
        (gradient,) = torch.autograd.grad((layer.weight * direction).sum(), original)
        assert (layer.weight == 0).all()
        assert torch.equal(gradient, direction)
    with torch.no_grad():
        original.copy_(normal(3, 4, seed=1))
    for _ in range(200):
        found = layer.weight
    assert torch.linalg.matrix_norm(found, 2).item() == pytest.approx(1, abs=1e-6)


def test_a_weight_that_was_zero_for_a_while_is_normalized_again() -> None:
    layer = nn.Linear(4, 3, bias=False).double()
    SpectralNormalization().attach(nn.Sequential(layer))
    original: Any = layer.parametrizations.weight.original  # type: ignore[union-attr,operator]
    kept = original.detach().clone()
    for weight in (0 * kept, kept * 1e-14):
        with torch.no_grad():
            original.copy_(weight)
        for _ in range(100):
            found = layer.weight
    assert torch.linalg.matrix_norm(found, 2).item() == pytest.approx(1, abs=1e-6)


def test_a_gamma_of_zeros_stays_zero_with_a_finite_gradient() -> None:
    layer = nn.BatchNorm1d(3).double()
    SpectralNormalization().attach(nn.Sequential(layer))
    original: Any = layer.parametrizations.weight.original  # type: ignore[union-attr,operator]
    with torch.no_grad():
        original.zero_()
    (gradient,) = torch.autograd.grad(layer(normal(5, 3)).square().sum() + layer.weight.sum(), original)
    assert parametrize.is_parametrized(layer)
    assert (layer.weight == 0).all()
    assert gradient.tolist() == [1.0, 1.0, 1.0]


def test_frobenius_norms_of_a_weight_of_zeros_and_of_a_huge_one() -> None:
    model = classifier(widths=[])
    with torch.no_grad():
        model.output.weight.zero_()
    forward = forward_of(model, normal(4, 5), torch.arange(4) % 3)
    for bound in (0.0, 1.0):
        (gradient,) = torch.autograd.grad(Frobenius(bound=bound).penalty(forward), model.output.weight)
        assert (gradient == 0).all()
    FrobeniusProjection(bound=1.0).project(model)
    assert (model.output.weight == 0).all()
    model.float()
    with torch.no_grad():
        model.output.weight.fill_(1e25)
    FrobeniusProjection(bound=1.0).project(model)
    assert model.output.weight.double().norm().item() == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 1), (1, 1, 2), (1, 2, 1), (3, 1, 1), (2, 3, 3)])
@pytest.mark.parametrize("zero", [False, True])
def test_the_norm_of_a_convolution_of_any_size(shape: tuple[int, int, int], zero: bool) -> None:
    layer = nn.Conv2d(shape[0], 3, 3, padding=1, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(normal(*layer.weight.shape) * (0 if zero else 1))
    rows = torch.eye(math.prod(shape), dtype=torch.float64).reshape(-1, *shape)
    matrix = F.conv2d(rows, layer.weight, padding=1).flatten(1)
    expected = torch.linalg.matrix_norm(matrix, 2).item()
    assert convolution_norm(layer, shape, draw()) == pytest.approx(expected, rel=1e-5)
