"""Every method and optimizer of configs/, toy methods for hooks that they leave alone, tasks of a few ms."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import combinations
from typing import Any

import torch
from conftest import yaml_options
from omegaconf import OmegaConf
from torch import Tensor, nn

from genreg import CONFIGS
from genreg.dataset import Dataset, gaussian_ring, two_moons
from genreg.errors import InputError
from genreg.forward import Forward
from genreg.forward.update import counts
from genreg.model import MLP, MLPGan
from genreg.model.gan import Critic, Gan, Generator
from genreg.regularizer import Regularizer
from genreg.run.factory import factory
from genreg.task.alternate import Alternate
from genreg.task.classify import Classify
from genreg.task.fit import check_methods
from genreg.task.trainer import attach
from genreg.task.wgan import WGAN

Methods = dict[str, Regularizer]
VALUES: dict[str, dict[str, Any]] = {"weight_clipping": {"bound": 0.3}}
"""Where a network of eight units dies of the values of a YAML."""


@dataclass
class Steady(Regularizer):
    """Squared distance of the mean score from its running mean, which starts at random and moves once in an
    update.
    """

    weight: float = 1.0
    keeps = ("mean",)

    def attach(self, model: nn.Module) -> None:
        self.mean = torch.randn(())

    def penalty(self, forward: Forward) -> Tensor:
        score = forward.score(forward.points).mean()
        distance = (score - self.mean).square()
        if counts():
            self.mean = self.mean.lerp(score.detach(), 0.1)
        return distance


class Forgetful(Steady):
    """The same, whose mean no checkpoint would hold."""

    keeps = ()


TOYS: dict[str, Callable[..., Regularizer]] = {"steady": Steady}
SHIPPED = [name for name in yaml_options("regularizer") if name != "none"]
METHODS = sorted([*SHIPPED, *TOYS])
PAIRS = list(combinations(METHODS, 2))
OPTIMIZERS = yaml_options("optimizer")
TASKS = ["classify", "wgan", "wgan_batch_norm"]


def method(name: str, **values: Any) -> Regularizer:
    """A fresh method as its YAML makes it, or a toy."""
    if name in TOYS:
        return TOYS[name](**values)
    values = {**VALUES.get(name, {}), **values}
    return factory({**_options("regularizer", name), **values}, f"regularizer.{name}")()


def methods(names: Sequence[str]) -> Methods:
    return {name: method(name) for name in names}


def optimizer(name: str, lr: float = 1e-2) -> Any:
    """A factory as the YAML makes it, but for the learning rate: 0.1 is too much for a critic of eight."""
    return factory({**_options("optimizer", name), "lr": lr}, "optimizer")


@cache
def _loaded(path: str) -> Any:
    return OmegaConf.to_container(OmegaConf.load(CONFIGS / f"{path}.yaml"))


def _options(group: str, name: str) -> dict[str, Any]:
    return dict(_loaded(f"{group}/{name}"))


@cache
def moons() -> Dataset:
    """Two moons as pictures of 1 x 2 pixels, for methods that take only those."""
    data = two_moons(labeled=16, items=64)
    splits = {name: getattr(data, name) for name in ("labeled", "validation", "test")}
    pictures = {name: replace(split, x=split.x.view(-1, 1, 1, 2)) for name, split in splits.items()}
    return replace(data, unlabeled=data.unlabeled.view(-1, 1, 1, 2), **pictures)


@cache
def ring() -> Dataset:
    return gaussian_ring(items=64, validation=64, test=64, labeled=16)


def normalized_gan(input_shape: list[int], classes: int = 0) -> Gan:
    """Players of eight units with batch normalization on both sides."""
    generator = nn.Sequential(nn.Linear(2, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    critic = nn.Sequential(
        nn.Linear(2, 8, bias=False),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Linear(8, 8),
        nn.ReLU(),
        nn.Linear(8, 1, bias=False),
    )
    return Gan(Generator(generator, 2), Critic(critic))


CLASSIFIER = partial(MLP, widths=[8], batch_norm=True, dropout=0.3)
MODELS: dict[str, Callable[..., Any]] = {
    "classify": CLASSIFIER,
    "alternate": CLASSIFIER,
    "wgan": partial(MLPGan, widths=[8], generator_widths=[8]),
    "wgan_batch_norm": normalized_gan,
}


def build(task: str, chosen: Methods | None = None, *, by: str = "adam", **options: Any) -> Any:
    """A task of the kind, trained `by` an optimizer of configs/; a WGAN has both players trained by it."""
    given: dict[str, Any] = {"model": MODELS[task], "optimizer": optimizer(by), "regularizer": chosen or {}}
    if not task.startswith("wgan"):
        given |= {"dataset": lambda seed: moons(), "batch_size": 8, "unlabeled_batch_size": 16}
        if task == "classify":
            return Classify(**{**given, **options})
        return Alternate(**{**given, "unlabeled_optimizer": given["optimizer"], **options})
    given |= {"dataset": lambda seed: ring(), "generator_optimizer": given["optimizer"]}
    return WGAN(**{**given, "batch_size": 16, "critic_steps": 2, **options})


def trained(task: Any, steps: int = 5) -> list[dict[str, Tensor]]:
    """The terms of the task's first updates."""
    return [task.step(step) for step in range(steps)]


def resumed(make: Callable[[], Any], steps: int = 6, at: int = 3) -> tuple[Any, Any]:
    """A task that was trained through, and one that went on from another's checkpoint and ended the same."""
    through, stopped, other = (make() for _ in range(3))
    rows = trained(through, steps)
    trained(stopped, at)
    torch.save(stopped.state_dict(), file := io.BytesIO())
    other.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    assert all(same(rows[step], other.step(step)) for step in range(at, steps))
    assert same(through.weights(), other.weights())
    return through, other


def fits(task: str, *names: str) -> bool:
    """Whether a task has what these methods need, a model that each takes, and they go together."""
    return all(_is_taken(task, name) for name in names) and _is_allowed(task, *names)


@cache
def _is_taken(task: str, name: str) -> bool:
    try:
        if task != "classify":
            attach(methods([name]), MODELS[task](input_shape=[2]).critic)
    except InputError:
        return False
    return _is_allowed(task, name)


def _is_allowed(task: str, *names: str) -> bool:
    offers = Classify.offers | {"classes", "pictures"} if task == "classify" else frozenset[str]()
    try:
        check_methods(methods(names), offers, task)
    except InputError:
        return False
    return True


def changes_model(name: str) -> bool:
    """Whether a method attaches anything: a parametrization, a layer, a hook."""
    model = MLP(input_shape=[2], outputs=2, widths=[8], batch_norm=True, dropout=0.3)
    before = _anatomy(model)
    method(name).attach(model)
    return _anatomy(model) != before


def _anatomy(model: nn.Module) -> list[Any]:
    hooks = ("_forward_hooks", "_forward_pre_hooks")
    return [(name, type(m), *(len(getattr(m, h)) for h in hooks)) for name, m in model.named_modules()]


def same(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Equal names, and tensors, lists or mappings of them equal bit for bit, all finite."""
    return a.keys() == b.keys() and all(alike(a[k], b[k]) for k in a)


def alike(a: Any, b: Any) -> bool:
    if isinstance(a, list):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, Mapping):
        return same(a, b)
    return torch.equal(a, b) and bool(a.isfinite().all())


def everything(task: str) -> list[str]:
    return [name for name in METHODS if fits(task, name)]


@cache
def together(task: str, first: str = "spectral_normalization") -> list[str]:
    """As many methods of a task at once as go together with `first`."""
    chosen = [first] if fits(task, first) else []
    for name in everything(task):
        if name not in chosen and fits(task, *chosen, name):
            chosen.append(name)
    return sorted(chosen)


ALONE = [(task, name) for task in TASKS for name in everything(task)]


def player(task: Any) -> nn.Module:
    """What methods act on."""
    return getattr(task, "critic", task.model)


def update(task: Any, number: int) -> dict[str, Tensor]:
    """One update of what methods act on: a WGAN's step makes several, and one of the generator."""
    return getattr(task, "critic_step", task.step)(number)


def buffers(model: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in model.named_buffers()}
