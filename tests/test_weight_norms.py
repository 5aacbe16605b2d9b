"""Methods that act on the sizes of weights: against SVD and by hand, in float64; what goes with what."""

from dataclasses import fields
from functools import partial
from typing import Any

import pytest
import torch
from conftest import classifier, forward_of, normal
from seam import build, method, methods, trained
from torch import Tensor, nn

from genreg.errors import InputError
from genreg.forward.base import Draws
from genreg.forward.classifier import ClassifierForward
from genreg.forward.perturbation import interpolated, noised
from genreg.forward.update import uncounted
from genreg.regularizer import (
    L1,
    FrobeniusNormalization,
    GradientPenalty,
    Orthogonal,
    SpectralNormalization,
    SpectralPenalty,
    SpectralProjection,
)
from genreg.regularizer.matrices import as_matrix, linear_layers, power_iteration, rows
from genreg.run.identity import experiment_hash


def network() -> nn.Module:
    """Every kind of linear layer, in float64."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ConvTranspose2d(6, 4, 3), nn.Flatten(), nn.Linear(64, 3)
    ).double()  # fmt: skip


def forward() -> ClassifierForward:
    return forward_of(classifier(), normal(4, 5), torch.arange(4) % 3)


def spectral_norms(model: nn.Module) -> list[float]:
    """The largest singular value of every linear layer's weight, by SVD."""
    weights = ((layer.weight.detach(), rows(layer)) for layer in linear_layers(model))
    return [torch.linalg.svdvals(as_matrix(weight, r))[0].item() for weight, r in weights]  # type: ignore[arg-type]


def weights_of(model: nn.Module) -> list[Tensor]:
    return [layer.weight for layer in linear_layers(model)]  # type: ignore[misc]


def test_power_iteration_finds_the_singular_vectors_of_svd() -> None:
    matrix = normal(7, 4)
    left, values, right = torch.linalg.svd(matrix)
    u, v = power_iteration(matrix, normal(7, seed=1), matrix.new_zeros(4), 500)
    assert (u @ matrix @ v).item() == pytest.approx(values[0].item(), rel=1e-12)
    assert abs(u @ left[:, 0]).item() == pytest.approx(1, abs=1e-9)
    assert abs(v @ right[0]).item() == pytest.approx(1, abs=1e-9)


def test_l1_and_its_gradient_by_hand() -> None:
    seen = forward()
    weights = weights_of(seen.model)
    with torch.no_grad():
        weights[0][0, 0] = 0.0
    penalty = L1().penalty(seen)
    assert penalty.item() == pytest.approx(sum(w.abs().sum().item() for w in weights), rel=1e-12)
    for weight, found in zip(weights, torch.autograd.grad(penalty, weights), strict=True):
        assert torch.equal(found, weight.detach().sign())


def test_the_spectral_penalty_and_its_gradient_are_those_of_svd() -> None:
    seen = forward()
    chosen = SpectralPenalty(power_iterations=500)
    chosen.attach(seen.model)
    weights = weights_of(seen.model)
    squares = torch.stack([torch.linalg.matrix_norm(w, 2).square() for w in weights]).sum()
    penalty = chosen.penalty(seen)
    assert penalty.item() == pytest.approx(squares.item(), rel=1e-12)
    for ours, theirs in zip(
        *(torch.autograd.grad(term, weights) for term in (penalty, squares)), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)


def test_only_what_counts_moves_the_vectors_of_the_penalty() -> None:
    seen, chosen = forward(), SpectralPenalty()
    chosen.attach(seen.model)
    before = chosen.u
    with uncounted():
        chosen.penalty(seen)
    assert chosen.u is before
    chosen.penalty(seen)
    assert not any(map(torch.equal, chosen.u[:2], before[:2]))


@pytest.mark.parametrize("bound", [0.3, 0.7])
def test_the_spectral_projection_against_svd(bound: float) -> None:
    model = network()
    before, norms = [w.detach().clone() for w in weights_of(model)], spectral_norms(model)
    assert min(norms) < 0.7 < max(norms)
    chosen = SpectralProjection(bound=bound, power_iterations=2000)
    chosen.attach(model)
    chosen.project(model)
    for old, norm, new in zip(before, norms, weights_of(model), strict=True):
        expected = old if norm <= bound else old * bound / norm
        torch.testing.assert_close(new.detach(), expected, rtol=1e-10, atol=0)
        assert norm > bound or torch.equal(new, old)
    assert spectral_norms(model) == pytest.approx([min(norm, bound) for norm in norms], rel=1e-10)


@pytest.mark.parametrize("bound", [0.3, 0.7])
def test_always_sets_every_norm_to_the_bound(bound: float) -> None:
    model = network()
    before, norms = [w.detach().clone() for w in weights_of(model)], spectral_norms(model)
    chosen = SpectralProjection(bound=bound, power_iterations=2000, always=True)
    chosen.attach(model)
    chosen.project(model)
    for old, norm, new in zip(before, norms, weights_of(model), strict=True):
        torch.testing.assert_close(new.detach(), old * bound / norm, rtol=1e-10, atol=0)
    assert spectral_norms(model) == pytest.approx([bound] * len(norms), rel=1e-10)


def test_one_iteration_an_update_reaches_the_bound_and_stays() -> None:
    model, chosen = network(), SpectralProjection(bound=0.2)
    chosen.attach(model)
    for _ in range(200):
        chosen.project(model)
    assert max(spectral_norms(model)) == pytest.approx(0.2, rel=1e-6)


@pytest.mark.parametrize("always", [False, True])
def test_a_weight_of_zeros_stays_and_is_no_nan(always: bool) -> None:
    model = nn.Sequential(nn.Linear(3, 2)).double()
    nn.init.zeros_(model[0].weight)
    projection, normalization = SpectralProjection(always=always), FrobeniusNormalization()
    projection.attach(model)
    projection.project(model)
    normalization.attach(model)
    assert not model[0].weight.any()
    model(normal(4, 3)).sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_frobenius_normalization_by_hand_and_its_gradient() -> None:
    model = network()
    before = [w.detach().clone() for w in weights_of(model)]
    FrobeniusNormalization(norm=2.5).attach(model)
    for old, new in zip(before, weights_of(model), strict=True):
        torch.testing.assert_close(
            new.detach(), 2.5 * old / old.square().sum().sqrt(), rtol=1e-12, atol=1e-14
        )
    original = model[4].parametrizations.weight.original  # type: ignore[index,union-attr]
    (slope,) = torch.autograd.grad(model[4].weight.sin().sum(), original)  # type: ignore[index,union-attr,operator]
    assert (slope * original).sum().item() == pytest.approx(0, abs=1e-12)  # the length has no effect


@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (5, 5)])
def test_soft_orthogonality_is_zero_for_orthogonal_rows_or_columns(shape: tuple[int, int]) -> None:
    model = nn.Sequential(nn.Linear(shape[1], shape[0])).double()
    seen = forward()
    seen.model = model
    nn.init.orthogonal_(model[0].weight)
    assert Orthogonal().penalty(seen).item() == pytest.approx(0, abs=1e-26)
    nn.init.normal_(model[0].weight)
    values = torch.linalg.svdvals(model[0].weight.detach())
    assert Orthogonal().penalty(seen).item() == pytest.approx(((values**2 - 1) ** 2).sum().item(), rel=1e-12)


def test_spectral_normalization_from_ones_is_that_of_the_source() -> None:
    layer = nn.Linear(5, 4, bias=False).double()
    w, u = layer.weight.detach().clone(), torch.ones(4, dtype=torch.float64)
    for _ in range(3):
        v = w.T @ u / (w.T @ u).norm()
        u = w @ v / (w @ v).norm()
    with uncounted():
        SpectralNormalization(init="ones", warm_up=2).attach(nn.Sequential(layer))
    layer.eval()
    torch.testing.assert_close(layer.weight.detach(), w / (u @ w @ v), rtol=1e-12, atol=1e-14)


def test_what_is_frozen_is_neither_projected_nor_penalized() -> None:
    model = classifier()
    model.layers[0].requires_grad_(False)  # type: ignore[union-attr]
    seen = forward_of(model, normal(4, 5), torch.arange(4) % 3)
    free = [w for w in weights_of(model) if w.requires_grad]
    assert L1().penalty(seen).item() == pytest.approx(sum(w.abs().sum().item() for w in free))
    chosen = SpectralPenalty(power_iterations=500)
    chosen.attach(model)
    assert len(chosen.u) == 2
    assert chosen.penalty(seen).item() == pytest.approx(sum(n**2 for n in spectral_norms(model)[1:]))


PARAMETRIZATIONS = ["frobenius_normalization", "spectral_normalization"]
PROJECTIONS = ["frobenius_projection", "spectral_projection", "weight_clipping"]


@pytest.mark.parametrize("task", ["classify", "wgan"])
@pytest.mark.parametrize(("a", "b"), [
    tuple(PARAMETRIZATIONS), *((a, b) for a in PARAMETRIZATIONS for b in PROJECTIONS),
])  # fmt: skip
def test_what_would_undo_another_is_refused(task: str, a: str, b: str) -> None:
    with pytest.raises(InputError, match=rf"regularizer: expected one method that sets .*{a} and {b}"):
        build(task, methods([a, b]))


def test_projections_go_together_and_strength_zero_is_no_method() -> None:
    trained(build("classify", methods(PROJECTIONS)), 2)
    chosen = {"l1": method("l1", weight=0.0), **methods(["orthogonal", "spectral_normalization"])}
    assert "l1" not in build("classify", chosen).methods


# The points of a classifier's gradient penalty.


def slope_at(points: Tensor, seen: ClassifierForward) -> Tensor:
    """|grad of each item's loss| by central differences of the model alone."""
    squares = torch.zeros(len(points), dtype=torch.float64)
    with torch.no_grad():
        for unit in torch.eye(points.shape[1], dtype=torch.float64) * 1e-6:
            up, down = (seen.loss(seen.model(points + s * unit), seen.batch) for s in (1, -1))
            squares += ((up - down) / 2e-6) ** 2
    return squares.sqrt()


def seen_by_penalty() -> ClassifierForward:
    made = forward_of(classifier(), normal(6, 5), torch.arange(6) % 3)
    made.draws = Draws(0, 3, torch.device("cpu"))
    return made.of("gradient_penalty")


@pytest.mark.parametrize(("points", "where"), [("noised", partial(noised, sigma=0.3)),
                                               ("interpolated", interpolated)])  # fmt: skip
def test_a_slope_is_penalized_where_it_is_said(points: Any, where: Any) -> None:
    seen, again = seen_by_penalty(), seen_by_penalty()
    at = where(again, draw=again.draw)
    penalty = GradientPenalty(points=points, noise=0.3).penalty(seen)
    assert penalty.item() == pytest.approx(slope_at(at, seen).square().mean().item(), rel=1e-7)
    assert penalty.item() != pytest.approx(GradientPenalty().penalty(seen_by_penalty()).item(), rel=1e-3)


def test_noise_of_no_size_is_the_data_bit_for_bit() -> None:
    plain, still = GradientPenalty(), GradientPenalty(points="noised", noise=0.0)
    assert torch.equal(plain.penalty(seen_by_penalty()), still.penalty(seen_by_penalty()))


def test_interpolates_lie_between_two_items_of_the_batch() -> None:
    seen = seen_by_penalty()
    at, again = interpolated(seen, seen.draw), seen_by_penalty().draw
    t = torch.rand(6, 1, dtype=torch.float64, generator=again)
    other = torch.randperm(6, generator=again)
    torch.testing.assert_close(at, t * seen.embedding + (1 - t) * seen.embedding[other], rtol=1e-12, atol=0)
    assert (other != torch.arange(6)).any()


def test_a_critics_points_are_not_to_be_chosen() -> None:
    with pytest.raises(InputError, match="points: expected data for a critic"):
        build("wgan", {"gradient_penalty": method("gradient_penalty", points="noised")})


@pytest.mark.parametrize(("name", "keys"), [("spectral_normalization", ["init"]),
                                            ("gradient_penalty", ["points", "noise"])])  # fmt: skip
def test_what_was_added_leaves_the_folder_where_it_was(name: str, keys: list[str]) -> None:
    now = {f.name: getattr(method(name), f.name) for f in fields(method(name))}  # type: ignore[arg-type]
    now["_target_"] = f"genreg.regularizer.{type(method(name)).__name__}"
    before = {key: value for key, value in now.items() if key not in keys}
    assert len(before) == len(now) - len(keys)
    assert experiment_hash({"regularizer": {name: now}}) == experiment_hash({"regularizer": {name: before}})
    other = {**now, keys[0]: "ones" if name.startswith("spectral") else "noised"}
    assert experiment_hash({"regularizer": {name: other}}) != experiment_hash({"regularizer": {name: now}})
