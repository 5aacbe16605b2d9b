"""One update sees one set of weights and moves everything once, whatever optimizer asks for it."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from seam import (
    ALONE,
    OPTIMIZERS,
    TASKS,
    buffers,
    build,
    fits,
    method,
    methods,
    player,
    same,
    together,
    trained,
    update,
)
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from genreg.dataset.base import unlabeled
from genreg.model import DCGan
from genreg.regularizer import Regularizer
from genreg.regularizer.matrices import linear_layers
from genreg.regularizer.spectral_normalization import UnitSpectralNorm

PERTURBATIONS = {
    "noise": ("noise_consistency", {}),
    "noise_flow": ("noise_consistency", {"target": "flow"}),
    "vat": ("vat", {}),
    "vat_exact": ("vat", {"direction": "exact", "power_iterations": 2}),
    "vat_flow": ("vat", {"target": "flow", "scope": "batch"}),
}


@pytest.mark.pairs
@pytest.mark.parametrize("by", OPTIMIZERS)
@pytest.mark.parametrize("kind", PERTURBATIONS)
@pytest.mark.parametrize("attached", ["spectral_normalization", "weight_noise"])
def test_a_perturbation_of_length_zero_changes_no_prediction(attached: str, kind: str, by: str) -> None:
    name, options = PERTURBATIONS[kind]
    perturbing = method(name, epsilon=0.0, **options)
    task = build("classify", {name: perturbing, attached: method(attached)}, by=by)
    found = penalties_of(perturbing)
    trained(task, 3)
    assert len(found) == 3 * calls(by)
    assert all(penalty.item() == 0 for penalty in found)


def calls(by: str) -> int:
    """How often an optimizer asks for the gradients of one update."""
    return 2 if by in ("sam", "gradient_norm") else 1


def penalties_of(watched: Regularizer) -> list[Tensor]:
    """Every penalty that the method will return."""
    found: list[Tensor] = []
    original = watched.penalty

    def penalty(forward: Any) -> Tensor | None:
        found.append(original(forward))  # type: ignore[arg-type]
        return found[-1]

    object.__setattr__(watched, "penalty", penalty)
    return found


@pytest.mark.pairs
@pytest.mark.parametrize("by", ["gd", "sam"])
@pytest.mark.parametrize(("task", "name"), ALONE)
def test_all_passes_of_an_update_see_the_same_weights(task: str, name: str, by: str) -> None:
    normalized = {"spectral_normalization"} if fits(task, name, "spectral_normalization") else set()
    made = build(task, methods([*{name, "weight_noise"} | normalized]), by=by)
    seen: dict[nn.Module, list[Tensor]] = {layer: [] for layer in linear_layers(player(made))}
    for layer in seen:
        layer.register_forward_pre_hook(lambda at, _: seen[at].append(at.weight.detach().clone()))
    for number in range(3):
        update(made, number)
        for weights in seen.values():
            assert len(weights) >= calls(by)
            changes = sum(not torch.equal(a, b) for a, b in pairwise(weights))
            assert changes == calls(by) - 1  # of SAM's climb
            weights.clear()


@pytest.mark.pairs
@pytest.mark.parametrize("by", OPTIMIZERS)
@pytest.mark.parametrize("task", TASKS)
def test_power_iterations_advance_once_in_an_update(
    task: str, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = build(task, methods(together(task)), by=by)
    advanced: list[UnitSpectralNorm] = []
    advance = UnitSpectralNorm._advance

    def watched(norm: UnitSpectralNorm, matrix: Tensor, iterations: int) -> None:
        advanced.append(norm)
        advance(norm, matrix, iterations)

    monkeypatch.setattr(UnitSpectralNorm, "_advance", watched)
    norms = [m for m in player(made).modules() if isinstance(m, UnitSpectralNorm)]
    assert len(norms) >= 2
    for number in range(3):
        advanced.clear()
        update(made, number)
        assert sorted(map(id, advanced)) == sorted(map(id, norms))
    if task != "classify":
        advanced.clear()
        made.generator_step(0)
        assert not advanced


@pytest.mark.pairs
@pytest.mark.parametrize("by", OPTIMIZERS)
@pytest.mark.parametrize("chosen", ["none", "all"])
@pytest.mark.parametrize("task", TASKS)
def test_what_moves_once_moves_as_under_gradient_descent(task: str, chosen: str, by: str) -> None:
    """Running statistics, power iterations and states of methods, by the first update of all optimizers."""
    names = together(task) if chosen == "all" else []
    found = [build(task, methods(names), by=name) for name in ("gd", by)]
    terms = [update(made, 0) for made in found]
    assert same(*terms)
    assert same(*(buffers(player(made)) for made in found))
    for ours, theirs in zip(*(made.state_dict()["methods"].items() for made in found), strict=True):
        assert found[0].methods[ours[0]].judged or same(ours[1], theirs[1])  # a copy follows the weights


@pytest.mark.parametrize("by", OPTIMIZERS)
def test_statistics_of_a_generator_move_as_under_gradient_descent(by: str) -> None:
    found = [build("wgan_batch_norm", by=name) for name in ("gd", by)]
    assert same(*(made.generator_step(0) for made in found))
    assert same(*(buffers(made.generator) for made in found))


@pytest.mark.pairs
@pytest.mark.parametrize("by", OPTIMIZERS)
@pytest.mark.parametrize(("task", "name"), [
    *(case for case in ALONE if case[0] != "wgan"), ("classify", "none"), ("wgan_batch_norm", "none"),
])  # fmt: skip
def test_running_statistics_move_once_in_an_update(task: str, name: str, by: str) -> None:
    made = build(task, methods([] if name == "none" else [name]), by=by)
    for number in range(2):
        update(made, number)
        assert moves(player(made)) == {number + 1}
    if task != "classify":
        before = moves(made.generator)
        scored = buffers(made.critic)
        made.generator_step(0)
        assert moves(made.generator) == {n + 1 for n in before}
        assert same(scored, buffers(made.critic))


@pytest.mark.parametrize("by", ["gd", "sam"])
def test_running_statistics_of_a_convolutional_critic_move_once(by: str) -> None:
    pictures = torch.rand(32, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    data = unlabeled(pictures, pictures[:8], pictures[8:16])
    made = build("wgan", methods(together("wgan_batch_norm")), by=by, dataset=lambda seed: data,
                 model=lambda **given: DCGan(latent=4, width=2, critic_norm="batch", **given))  # fmt: skip
    made.step(0)
    assert moves(made.critic) == {2}
    assert moves(made.generator) == {3}  # in training it also makes the critic's samples


def moves(model: nn.Module) -> set[int]:
    """How often running statistics have moved, over the layers that have any."""
    return {int(layer.num_batches_tracked) for layer in model.modules() if isinstance(layer, _BatchNorm)}  # type: ignore[arg-type]
