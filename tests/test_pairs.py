"""The rules of the seam, of every pair of methods: draws, order, checkpoints, strength zero."""

from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from inspect import signature
from itertools import product
from typing import Any, NamedTuple

import pytest
import torch
from seam import (
    ALONE,
    METHODS,
    OPTIMIZERS,
    PAIRS,
    TASKS,
    Forgetful,
    buffers,
    build,
    changes_model,
    everything,
    fits,
    method,
    methods,
    player,
    resumed,
    same,
    together,
    trained,
    update,
)
from torch import Tensor

from genreg.errors import InputError
from genreg.forward.base import Draws
from genreg.regularizer.base import overrides
from genreg.task.classify import Classify

TOGETHER = [(task, a, b) for task, (a, b) in product(TASKS, PAIRS) if fits(task, a, b)]


# A method draws from a stream of its own name.


@pytest.mark.pairs
@pytest.mark.parametrize(("task", "a", "b"), TOGETHER)
def test_two_methods_leave_each_other_alone(task: str, a: str, b: str) -> None:
    """What the first starts from and draws does not depend on a second, nor anything on their order."""
    one, other = build(task, methods([a, b])), build(task, methods([b, a]))
    start, found = states(one), buffers(player(one))
    rows, drawn = watched(one)
    for name, second in ((a, b), (b, a)):
        alone = first_update(task, name)
        if not (method(name).judged and changes_model(second)):  # its copy has what the second attached
            assert same(start.get(name, {}), alone.state)
        assert same(alone.buffers, {key: found[key] for key in alone.buffers})
        assert drawn.get(name) == alone.drawn.get(name)
        if name in alone.terms and not changes_model(second) and not overrides(method(second), "batch"):
            assert torch.equal(alone.terms[name], rows[name])

    assert list(rows) == list(reversed_rows := update(other, 0))
    assert same(rows, reversed_rows)
    assert all(same(one.step(step), other.step(step)) for step in (1, 2))
    assert same(one.weights(), other.weights())


class First(NamedTuple):
    """A method by itself: its state, the buffers of what it acts on, its first terms, and its generator."""

    state: dict[str, Tensor]
    buffers: dict[str, Tensor]
    terms: dict[str, Tensor]
    drawn: dict[str, bytes]


@cache
def first_update(task: str, name: str) -> First:
    made = build(task, methods([name]))
    state, found = states(made).get(name, {}), buffers(player(made))
    return First(state, found, *watched(made))


def states(task: Any) -> dict[str, dict[str, Tensor]]:
    return {name: deepcopy(method.state_dict()) for name, method in task.methods.items()}


def watched(task: Any) -> tuple[dict[str, Tensor], dict[str, bytes]]:
    """The terms of the first update, and each method's generator after it: which it is, how far it went."""
    generators: dict[str, torch.Generator] = {}
    missing = Draws.__missing__

    def watch(draws: Draws, name: str) -> torch.Generator:
        generators[name] = missing(draws, name)
        return generators[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Draws, "__missing__", watch)
        terms = update(task, 0)
    return terms, {name: g.get_state().numpy().tobytes() for name, g in generators.items()}


@pytest.mark.full
@pytest.mark.parametrize("by", OPTIMIZERS)
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("first", ["spectral_normalization", "weight_clipping"])
def test_the_order_of_all_methods_means_nothing(task: str, by: str, first: str) -> None:
    names = together(task, first)
    runs = [build(task, methods(order), by=by) for order in (names, names[::-1], names[2:] + names[:2])]
    first, *others = [trained(run) for run in runs]
    assert all(all(map(same, first, terms)) for terms in others)
    assert all(same(runs[0].weights(), run.weights()) for run in runs[1:])


def test_the_draws_of_methods_are_watched() -> None:
    _, drawn = watched(build("classify", methods(["vat", "input_noise", "entropy", "noise_consistency"])))
    assert set(drawn) == {"vat", "input_noise", "noise_consistency"}
    assert len(set(drawn.values())) == 3


# A state goes through a checkpoint.


@pytest.mark.full
@pytest.mark.parametrize("by", OPTIMIZERS)
@pytest.mark.parametrize("task", TASKS)
def test_a_method_with_a_state_resumes_bit_for_bit(task: str, by: str) -> None:
    through, other = resumed(lambda: build(task, methods(together(task)), by=by))
    assert torch.equal(other.methods["steady"].mean, through.methods["steady"].mean)
    assert other.methods["steady"].mean != 0


@pytest.mark.pairs
@pytest.mark.parametrize(("task", "name"), ALONE)
def test_every_method_resumes_bit_for_bit(task: str, name: str) -> None:
    resumed(lambda: build(task, methods([name])))


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

ZERO = {"weight": 0.0, "epsilon": 0.0, "bound": 1e6, "sigma": 0.0, "gamma": 0.0, "p": 0.0, "pixels": 0,
        "level": 0.0}  # fmt: skip
"""Where a parameter of that name leaves a method without any effect."""
FLOW: dict[str, Any] = {"epsilon": 0.0, "target": "flow", "scope": "batch"}
SEVERAL: dict[str, list[dict[str, Any]]] = {
    "mixup": [{"alpha": 0.0}],
    "cutmix": [{"alpha": 0.0}],
    "weight_average": [{"decay": 0.0}],
    "random_affine": [{"translate": 0.0, "scale": 0.0}],
    "noise_consistency": [FLOW],
    "vat": [
        FLOW,
        {"epsilon": 0.0, "direction": "exact", "power_iterations": 3},
        {"epsilon": 0.0, "norm": "linf"},
    ],
}


def knobs(name: str) -> Iterator[dict[str, float]]:
    known = signature(type(method(name))).parameters
    yield from ({key: value} for key, value in ZERO.items() if key in known)
    yield from SEVERAL.get(name, [])


WITHOUT_EFFECT = [(task, name, values) for task, name in ALONE for values in knobs(name)]


def test_every_method_can_be_without_effect() -> None:
    setting = {name for name in METHODS if method(name).sets_norm == "parametrization"}
    assert {name for name in METHODS if not list(knobs(name))} == setting


@pytest.mark.pairs
@pytest.mark.parametrize("share", range(5))
@pytest.mark.parametrize(("task", "name", "zero"), WITHOUT_EFFECT)
def test_strength_zero_is_the_baseline_beside_any_method(
    task: str, name: str, zero: dict[str, float], share: int
) -> None:
    """share: of the other methods each fifth, from there."""
    for other in ["none", *everything(task)][share::5]:
        if other == name or (other != "none" and not fits(task, name, other)):
            continue
        beside = {} if other == "none" else {other: method(other)}
        made = build(task, {**beside, name: method(name, **zero)})
        if name not in made.methods:  # then it is the baseline, whose parts it has
            assert made.methods == beside
            assert reads(made) == reads(build(task, beside))
            if other != "none":
                continue
        expected, statistics = baseline(task, other)
        trained(made, 3)
        assert same(expected, dict(made.model.named_parameters())), other
        if reads(made) == reads(build(task, beside)):
            assert same(statistics, buffers(player(made))), other


@cache
def baseline(task: str, other: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    made = build(task, {} if other == "none" else {other: method(other)})
    trained(made, 3)
    return dict(made.model.named_parameters()), buffers(player(made))


def reads(task: Any) -> frozenset[str]:
    """What else of a step its methods read: an unlabeled batch moves running statistics."""
    methods = task.objective.together if isinstance(task, Classify) else {}
    return frozenset[str]().union(*(chosen.reads for chosen in methods.values()))
