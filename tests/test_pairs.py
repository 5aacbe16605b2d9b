"""The rules of the seam, of every pair of methods: draws, order, checkpoints, strength zero."""

import io
from collections.abc import Iterator
from functools import cache
from inspect import signature
from itertools import product
from typing import Any

import pytest
import torch
from seam import (
    ALONE,
    METHODS,
    OPTIMIZERS,
    PAIRS,
    TASKS,
    Forgetful,
    alike,
    buffers,
    build,
    changes_model,
    everything,
    fits,
    method,
    methods,
    player,
    same,
    together,
    trained,
    update,
)
from torch import Tensor

from genreg.errors import InputError
from genreg.forward.base import Draws
from genreg.regularizer.base import overrides

TOGETHER = [(task, a, b) for task, (a, b) in product(TASKS, PAIRS) if fits(task, a, b)]


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
@pytest.mark.parametrize("first", ["spectral_normalization", "weight_clipping"])
def test_the_order_of_all_methods_means_nothing(task: str, by: str, first: str) -> None:
    names = together(task, first)
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
    both = build(task, methods([a, b]))
    for name in (a, b):
        alone = build(task, methods([name]))
        for key, value in alone.methods[name].state_dict().items():
            assert alike(both.methods[name].state_dict()[key], value)
        own, found = buffers(player(alone)), buffers(player(both))
        assert same(own, {key: found[key] for key in own})


def test_the_draws_of_methods_are_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    _, drawn = first_update("classify", ["vat", "jitter", "entropy", "noise_consistency"], monkeypatch)
    assert set(drawn) == {"vat", "jitter", "noise_consistency"}
    assert len(set(drawn.values())) == 3


# A state goes through a checkpoint.


@pytest.mark.parametrize("by", OPTIMIZERS)
@pytest.mark.parametrize("task", TASKS)
def test_a_method_with_a_state_resumes_bit_for_bit(task: str, by: str) -> None:
    through, first, second = (build(task, methods(together(task)), by=by) for _ in range(3))
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
    setting = {name for name in METHODS if method(name).sets_norm == "parametrization"}
    assert {name for name in METHODS if not list(knobs(name))} == setting


@pytest.mark.parametrize(("task", "name", "knob"), WITHOUT_EFFECT)
def test_strength_zero_is_the_baseline_beside_any_method(task: str, name: str, knob: str) -> None:
    by = "gd" if changes_model(name) else "adam"
    for other in ["none", *everything(task)]:
        if other == "none" or (other != name and fits(task, name, other)):
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
