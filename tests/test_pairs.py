"""The rules of the seam: every method, every pair of methods, every optimizer, every task."""

import io
from collections.abc import Iterator
from functools import cache
from inspect import signature
from itertools import pairwise, product
from typing import Any

import pytest
import torch
from seam import (
    METHODS,
    OPTIMIZERS,
    PAIRS,
    TASKS,
    Forgetful,
    build,
    changes_model,
    fits,
    method,
    methods,
    same,
    trained,
)
from torch import Tensor, nn

from genreg.dataset.base import unlabeled
from genreg.errors import InputError
from genreg.forward.base import Draws
from genreg.model import DCGan
from genreg.model.statistics import _BatchNorm
from genreg.regularizer import Regularizer
from genreg.regularizer.base import overrides
from genreg.regularizer.matrices import linear_layers
from genreg.regularizer.spectral_normalization import UnitSpectralNorm

ALONE = [(task, name) for task, name in product(TASKS, METHODS) if fits(task, name)]
TOGETHER = [(task, a, b) for task, (a, b) in product(TASKS, PAIRS) if fits(task, a, b)]


def everything(task: str) -> list[str]:
    return [name for name in METHODS if fits(task, name)]


def player(task: Any) -> nn.Module:
    """What methods act on."""
    return getattr(task, "critic", task.model)


def update(task: Any, number: int) -> dict[str, Tensor]:
    """One update of what methods act on: a WGAN's step makes several, and one of the generator."""
    return getattr(task, "critic_step", task.step)(number)


# A method draws from a stream of its own name.


@pytest.mark.parametrize(("task", "a", "b"), TOGETHER)
def test_the_order_of_two_methods_means_nothing(task: str, a: str, b: str) -> None:
    one, other = build(task, methods([a, b])), build(task, methods([b, a]))
    terms = trained(one), trained(other)
    assert list(terms[0][0]) == list(terms[1][0])
    assert all(map(same, *terms))
    assert same(one.weights(), other.weights())


@pytest.mark.parametrize("by", OPTIMIZERS)
@pytest.mark.parametrize("task", TASKS)
def test_the_order_of_all_methods_means_nothing(task: str, by: str) -> None:
    names = everything(task)
    runs = [build(task, methods(order), by=by) for order in (names, names[::-1], names[2:] + names[:2])]
    first, *others = [trained(run) for run in runs]
    assert all(all(map(same, first, terms)) for terms in others)
    assert all(same(runs[0].weights(), run.weights()) for run in runs[1:])


@pytest.mark.parametrize(("task", "a", "b"), TOGETHER)
def test_a_second_method_changes_no_draw_of_the_first(
    task: str, a: str, b: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms, drawn = first_update(task, [a, b], monkeypatch)
    for name, other in ((a, b), (b, a)):
        terms_alone, drawn_alone = first_update(task, [name], monkeypatch)
        assert drawn_alone.get(name) == drawn.get(name)
        if name in terms_alone and not changes_model(other) and not overrides(method(other), "batch"):
            assert torch.equal(terms_alone[name], terms[name])


def first_update(
    task: str, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, Tensor], dict[str, bytes]]:
    """The terms of the first update, and each method's generator after it: which it is, how far it went."""
    made = build(task, methods(names))
    generators: dict[str, torch.Generator] = {}
    missing = Draws.__missing__

    def watched(draws: Draws, name: str) -> torch.Generator:
        generators[name] = missing(draws, name)
        return generators[name]

    with monkeypatch.context() as patch:
        patch.setattr(Draws, "__missing__", watched)
        terms = update(made, 0)
    return terms, {name: g.get_state().numpy().tobytes() for name, g in generators.items()}


@pytest.mark.parametrize(("task", "a", "b"), TOGETHER)
def test_a_second_method_changes_nothing_that_the_first_starts_from(task: str, a: str, b: str) -> None:
    together = build(task, methods([a, b]))
    for name in (a, b):
        alone = build(task, methods([name]))
        for key, value in alone.methods[name].state_dict().items():
            assert torch.equal(together.methods[name].state_dict()[key], value)
        own, found = buffers(player(alone)), buffers(player(together))
        assert same(own, {key: found[key] for key in own})


def test_the_draws_of_methods_are_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    _, drawn = first_update("classify", ["vat", "jitter", "entropy", "noise_consistency"], monkeypatch)
    assert set(drawn) == {"vat", "jitter", "noise_consistency"}
    assert len(set(drawn.values())) == 3


# One update sees one set of weights.

PERTURBATIONS = {
    "noise": ("noise_consistency", {}),
    "noise_flow": ("noise_consistency", {"target": "flow"}),
    "vat": ("vat", {}),
    "vat_exact": ("vat", {"direction": "exact", "power_iterations": 2}),
    "vat_flow": ("vat", {"target": "flow", "scope": "batch"}),
}


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


@pytest.mark.parametrize("by", ["gd", "sam"])
@pytest.mark.parametrize(("task", "name"), ALONE)
def test_all_passes_of_an_update_see_the_same_weights(task: str, name: str, by: str) -> None:
    made = build(task, methods({name, "spectral_normalization", "weight_noise"}), by=by)
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


@pytest.mark.parametrize("by", OPTIMIZERS)
@pytest.mark.parametrize("task", TASKS)
def test_power_iterations_advance_once_in_an_update(
    task: str, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = build(task, methods(everything(task)), by=by)
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


@pytest.mark.parametrize("by", OPTIMIZERS)
@pytest.mark.parametrize("chosen", ["none", "all"])
@pytest.mark.parametrize("task", TASKS)
def test_what_moves_once_moves_as_under_gradient_descent(task: str, chosen: str, by: str) -> None:
    """Running statistics, power iterations and states of methods, by the first update of all optimizers."""
    names = everything(task) if chosen == "all" else []
    found = [build(task, methods(names), by=name) for name in ("gd", by)]
    terms = [update(made, 0) for made in found]
    assert same(*terms)
    assert same(*(buffers(player(made)) for made in found))
    for ours, theirs in zip(*(made.state_dict()["methods"].values() for made in found), strict=True):
        assert same(ours, theirs)
    if task != "classify":
        assert torch.equal(
            *(made.generator_step(0)["generator_loss"] for made in map(fresh_gan, [task] * 2, ("gd", by)))
        )


def fresh_gan(task: str, by: str) -> Any:
    return build(task, by=by)


def buffers(model: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in model.named_buffers()}


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
    made = build("wgan", methods(everything("wgan")), by=by, dataset=lambda seed: data,
                 model=lambda **given: DCGan(latent=4, width=2, critic_norm="batch", **given))  # fmt: skip
    made.step(0)
    assert moves(made.critic) == {2}
    assert moves(made.generator) == {3}  # in training it also makes the critic's samples


def moves(model: nn.Module) -> set[int]:
    """How often running statistics have moved, over the layers that have any."""
    return {int(layer.num_batches_tracked) for layer in model.modules() if isinstance(layer, _BatchNorm)}  # type: ignore[arg-type]


# A state goes through a checkpoint.


@pytest.mark.parametrize("by", OPTIMIZERS)
@pytest.mark.parametrize("task", TASKS)
def test_a_method_with_a_state_resumes_bit_for_bit(task: str, by: str) -> None:
    through, first, second = (build(task, methods(everything(task)), by=by) for _ in range(3))
    trained(through, 6)
    trained(first, 3)
    resume(second, first)
    assert torch.equal(second.methods["steady"].mean, first.methods["steady"].mean)
    assert second.methods["steady"].mean != 0
    rows = [second.step(step) for step in range(3, 6)]
    assert all(row["steady"].isfinite() for row in rows)
    assert same(through.weights(), second.weights())


@pytest.mark.parametrize(("task", "name"), ALONE)
def test_every_method_resumes_bit_for_bit(task: str, name: str) -> None:
    through, first, second = (build(task, methods([name])) for _ in range(3))
    rows = trained(through, 6)
    trained(first, 3)
    resume(second, first)
    assert all(same(rows[step], second.step(step)) for step in range(3, 6))
    assert same(through.weights(), second.weights())


def resume(task: Any, other: Any) -> None:
    """Through the bytes of a checkpoint."""
    file = io.BytesIO()
    torch.save(other.state_dict(), file)
    file.seek(0)
    task.load_state_dict(torch.load(file, weights_only=True))


@pytest.mark.parametrize("task", TASKS)
def test_a_state_that_no_checkpoint_would_hold_is_refused(task: str) -> None:
    with pytest.raises(InputError, match=r"regularizer\.mine.*'mean' in `keeps`"):
        build(task, {"mine": Forgetful()})
    late = method("steady")
    made = build(task, {"mine": late})
    late.latest = torch.zeros(())  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=r"regularizer\.mine.*'latest' in `keeps`"):
        made.state_dict()


# Strength zero is the baseline, beside any other method.

ZERO = {"weight": 0.0, "epsilon": 0.0, "bound": 1e6, "sigma": 0.0, "gamma": 0.0}
"""Where a parameter of that name leaves a method without any effect."""


def knobs(name: str) -> Iterator[str]:
    yield from (key for key in ZERO if key in signature(type(method(name))).parameters)


WITHOUT_EFFECT = [(task, name, knob) for task, name in ALONE for knob in knobs(name)]


def test_every_method_can_be_without_effect() -> None:
    assert {name for name in METHODS if not list(knobs(name))} == {"spectral_normalization"}


@pytest.mark.parametrize(("task", "name", "knob"), WITHOUT_EFFECT)
def test_strength_zero_is_the_baseline_beside_any_method(task: str, name: str, knob: str) -> None:
    by = "gd" if changes_model(name) else "adam"
    for other in ["none", *everything(task)]:
        if other != name:
            expected, statistics = baseline(task, other, by)
            beside = {} if other == "none" else {other: method(other)}
            made = build(task, {**beside, name: method(name, **{knob: ZERO[knob]})}, by=by)
            trained(made, 3)
            if changes_model(name):  # gradients add up in another order, of which Adam makes much
                torch.testing.assert_close(weights(made), expected, rtol=1e-5, atol=1e-6)
            else:
                assert same(expected, weights(made)), other
            if reads(made) == reads(build(task, beside)) and not changes_model(name):
                assert same(statistics, buffers(player(made))), other


@cache
def baseline(task: str, other: str, by: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    made = build(task, {} if other == "none" else {other: method(other)}, by=by)
    trained(made, 3)
    return weights(made), buffers(player(made))


def reads(task: Any) -> frozenset[str]:
    """What else of a step its methods read: an unlabeled batch moves running statistics."""
    return getattr(task, "reads", frozenset())


def weights(task: Any) -> dict[str, Tensor]:
    """By the names that they have without parametrizations."""
    named = task.model.named_parameters()
    return {key.replace("parametrizations.weight.original", "weight"): value.detach() for key, value in named}
