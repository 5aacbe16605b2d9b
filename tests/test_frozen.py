"""Nothing moves a frozen parameter, and an unused one stops nothing: every method, optimizer and measure."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest
import torch
from conftest import yaml_options
from omegaconf import OmegaConf
from seam import METHODS, MODELS, OPTIMIZERS, TASKS, build, fits, methods, moons, optimizer, trained
from torch import Tensor, nn

from genreg import CONFIGS
from genreg.measure import ClassifierMeasure
from genreg.model import MLP, Classifier
from genreg.model.gan import Critic, Gan, Generator
from genreg.model.landscape import WideningValley
from genreg.regularizer.matrices import linear_layers
from genreg.run.factory import factory, find_target
from genreg.task.landscape import Minimize

CASES = [(task, name) for task in TASKS for name in ["none", *METHODS] if name == "none" or fits(task, name)]
EVERY = [(task, name, by) for task, name in CASES for by in OPTIMIZERS]


def chosen(name: str) -> dict[str, Any]:
    return methods([] if name == "none" else [name])


@pytest.mark.pairs
@pytest.mark.parametrize(("task", "name", "by"), EVERY)
def test_a_frozen_layer_stays_bit_for_bit(task: str, name: str, by: str) -> None:
    made = build(task, chosen(name), by=by, model=partial(with_frozen_layer, task))
    alone = build(task, model=partial(with_frozen_layer, task))
    layers, before = first_layers(made.model), [state(layer) for layer in first_layers(alone.model)]
    others = free(made.model)
    trained(made, 3)
    assert all(equal(state(layer), found) for layer, found in zip(layers, before, strict=True))
    assert not any(p.requires_grad for layer in layers for p in layer.parameters())
    assert not any(torch.equal(a, b) for a, b in zip(others, free(made.model), strict=True))


def players(model: nn.Module) -> list[nn.Module]:
    return [model.generator, model.critic] if isinstance(model, Gan) else [model]


def first_layers(model: nn.Module) -> list[nn.Module]:
    return [linear_layers(player)[0] for player in players(model)]


def with_frozen_layer(task: str, **given: Any) -> nn.Module:
    model = MODELS[task](**given)
    for layer in first_layers(model):
        layer.requires_grad_(False)
    return model


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def free(model: nn.Module) -> list[Tensor]:
    """The weights that are trained; a bias may have no effect."""
    return [p.detach().clone() for p in model.parameters() if p.requires_grad and p.ndim > 1]


class WithUnused(MLP):
    """A network with a layer and a number that no pass reads."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.never = nn.Linear(2, 2)
        self.scale = nn.Parameter(torch.ones(()))


class CriticWithUnused(Critic):
    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__(layers)
        self.never = nn.Linear(2, 2)


class GeneratorWithUnused(Generator):
    def __init__(self, layers: nn.Module, latent: int) -> None:
        super().__init__(layers, latent)
        self.never = nn.Linear(2, 2)


def with_unused(task: str, **given: Any) -> nn.Module:
    if task == "classify":
        return WithUnused(widths=[8], batch_norm=True, dropout=0.3, **given)
    gan = MODELS[task](**given)
    return Gan(
        GeneratorWithUnused(gan.generator.layers, gan.generator.latent), CriticWithUnused(gan.critic.layers)
    )


@pytest.mark.pairs
@pytest.mark.parametrize(("task", "name", "by"), EVERY)
def test_an_unused_parameter_stops_nothing(task: str, name: str, by: str) -> None:
    made = build(task, chosen(name), by=by, model=partial(with_unused, task))
    before = [free(player.get_submodule("layers")) for player in players(made.model)]
    rows = trained(made, 3)
    assert all(value.isfinite() for row in rows for value in row.values())
    assert all(weight.isfinite().all() for weight in made.weights().values())
    after = [free(player.get_submodule("layers")) for player in players(made.model)]
    assert not any(
        torch.equal(*pair) for ours in zip(before, after, strict=True) for pair in zip(*ours, strict=True)
    )


@cache
def measures() -> dict[str, dict[str, Any]]:
    """The measures of a classifier, by name: their YAML."""
    nodes = {name: OmegaConf.to_container(OmegaConf.load(CONFIGS / "measure" / f"{name}.yaml"))
             for name in yaml_options("measure")}  # fmt: skip
    return {name: node for name, node in nodes.items() if node and of_classifier(node)}  # type: ignore[misc]


def of_classifier(node: Any) -> bool:
    return issubclass(find_target(node, "measure"), ClassifierMeasure)


KINDS: dict[str, Callable[..., Any]] = {
    "frozen": partial(with_frozen_layer, "classify"), "unused": partial(with_unused, "classify"),
}  # fmt: skip


@pytest.mark.pairs
@pytest.mark.parametrize("attached", ["none", "spectral_normalization", "weight_noise"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", measures())
def test_every_measure_takes_such_a_model_and_leaves_it(name: str, kind: str, attached: str) -> None:
    made = build("classify", chosen(attached), model=KINDS[kind])
    trained(made, 2)
    model: Classifier = made.model
    measure, split = factory(measures()[name], f"measure.{name}")(), moons().labeled
    gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    before, trains = state(model), [p.requires_grad for p in model.parameters()]
    found = measure(model, split.x, split.y)
    assert torch.tensor([found.value, found.stderr]).isfinite().all()
    assert equal(state(model), before)
    assert [p.requires_grad for p in model.parameters()] == trains
    assert all(module.training for module in model.modules())
    for p, gradient in zip(model.parameters(), gradients, strict=True):
        assert p.grad is None if gradient is None else torch.equal(p.grad, gradient)  # type: ignore[arg-type]


@pytest.mark.parametrize("by", OPTIMIZERS)
def test_a_frozen_coordinate_of_a_landscape_stays(by: str) -> None:
    def frozen(seed: int) -> WideningValley:
        valley = WideningValley(d=5, replicas=3, seed=seed)
        valley.v.requires_grad_(False)
        return valley

    task = Minimize(model=frozen, optimizer=optimizer(by))
    u = task.model.u.detach().clone()
    trained(task, 3)
    assert (task.model.v == 1).all()
    assert not task.model.v.requires_grad
    assert not torch.equal(task.model.u, u)
