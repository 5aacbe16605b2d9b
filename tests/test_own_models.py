"""Modules of a user's own: wrapped, trained like genreg's, told the data, refused in one line."""

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import Result, small_task
from torch import Tensor, nn

from genreg.dataset import digits
from genreg.errors import InputError
from genreg.measure import JacobianNorm, LipschitzLower, LipschitzUpper, Margin
from genreg.model import MLP, Classifier, Wrapped
from genreg.regularizer import VAT, HiddenNoise, RDrop, SpectralNormalization
from genreg.run.trained import load
from genreg.task.classify import Classify

Genreg = Callable[..., Result]


class Plain(nn.Module):
    """The layers of genreg's MLP, as anyone would write them."""

    def __init__(self, in_features: int, num_classes: int, width: int = 16) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(in_features, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.3),
            nn.Linear(width, num_classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.flatten(1))


METHODS: dict[str, Callable[[], dict[str, Any]]] = {
    "none": dict,
    "vat": lambda: {"vat": VAT(epsilon=0.5)},
    "r_drop": lambda: {"r_drop": RDrop()},
    "spectral": lambda: {"spectral": SpectralNormalization()},
}


@pytest.mark.parametrize("methods", METHODS)
def test_a_module_is_trained_as_the_same_layers_of_genreg_are(methods: str) -> None:
    tasks = [small_task(METHODS[methods](), model=model) for model in (Plain, _mlp)]
    for step in range(4):
        ours, genregs = (task.step(step) for task in tasks)
        assert {name: float(v) for name, v in ours.items()} == {name: float(v) for name, v in genregs.items()}
    assert tasks[0].evaluate() == tasks[1].evaluate()
    ours, genregs = (task.weights() for task in tasks)
    assert all(torch.equal(ours[f"module.{name}"], weight) for name, weight in genregs.items())
    assert tasks[0].model.output is tasks[0].model.module.layers[-1]


def test_measures_see_through_to_its_layers() -> None:
    """The bound follows the layers, by name; curvature and slopes follow the outputs."""
    found = []
    for model in (Plain, _mlp):
        options: dict[str, Any] = {"splits": ["test"], "items": 20}
        measures = {
            "upper": LipschitzUpper(splits=["test"]), "lower": LipschitzLower(**options),
            "jacobian": JacobianNorm(**options), "margin": Margin(**options),
        }  # fmt: skip
        task = small_task(model=model, measure=measures)
        task.step(0)
        found.append({name: task.evaluate()[f"test/{name}"] for name in measures})
    assert found[0] == found[1]


_mlp = partial(MLP, widths=[16], batch_norm=True, dropout=0.3)


def test_a_factory_is_given_what_its_signature_names() -> None:
    def net(outputs: int, input_shape: list[int], in_channels: int, *, num_labels: int, **more: Any) -> Any:
        assert (outputs, input_shape, in_channels, num_labels) == (10, [1, 8, 8], 1, 10)
        assert not more
        return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.LazyLinear(outputs))

    task = small_task(model=net)
    assert task.step(0)["loss"].isfinite()
    assert {p.numel() for p in task.parameters} == {18, 2, 2 * 36 * 10, 10}
    again = small_task(model=net)
    again.step(0)
    assert all(map(torch.equal, task.weights().values(), again.weights().values()))
    small_task(model=lambda outputs: nn.Sequential(nn.Flatten(), nn.Linear(64, outputs))).step(0)


OWN = """
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes, hidden=8):
        super().__init__()
        self.first, self.last = nn.Linear(64, hidden), nn.Linear(hidden, num_classes)

    def forward(self, x):
        return self.last(F.relu(self.first(x.flatten(1))))


class Output:
    def __init__(self, logits):
        self.logits = logits


class Library(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.last = nn.Linear(64, options["num_labels"])

    def forward(self, x):
        return Output(self.last(x.flatten(1)))


short = lambda outputs: nn.Sequential(nn.Flatten(), nn.Linear(64, outputs))
wide = lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
flat = lambda outputs: nn.Linear(64, outputs)
bare = lambda: 3
deep = lambda depth: 3
made = nn.Linear(64, 10)


class Nothing:
    pass


def pair(latent, in_features):
    generator = nn.Sequential(nn.Linear(latent, 8), nn.ReLU(), nn.Linear(8, in_features))
    return generator, nn.Sequential(nn.Linear(in_features, 8), nn.ReLU(), nn.Linear(8, 1))


def banana(w, b=100.0):
    return b * (w[1] - w[0] ** 2) ** 2 + (1 - w[0]) ** 2
"""


@pytest.fixture
def mine(tmp_path: Path) -> Callable[..., list[str]]:
    """Write a folder of options, and return the arguments that choose the model `mine` of it."""
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "models_of_ours.py").write_text(OWN)

    def write(yaml: str) -> list[str]:
        (tmp_path / "mine" / "model" / "mine.yaml").write_text(yaml)
        common = ["logger=none", "steps=2", "device=cpu", "quiet=true"]
        return ["train", "--config-dir", str(tmp_path / "mine"), "model=mine", *common]

    return write


@pytest.mark.parametrize(
    "yaml",
    [
        "_target_: models_of_ours.Net\nhidden: 5",
        "_target_: models_of_ours.Net\nnum_classes: 10",
        "_target_: models_of_ours.short",
        "_target_: models_of_ours.Library\nnum_labels: null",
    ],
)
def test_a_module_in_a_file_of_ones_own_trains(genreg: Genreg, mine: Any, yaml: str) -> None:
    answer = genreg(*mine(yaml), "regularizer=vat")
    assert answer.code == 0, answer.err
    (summary,) = Path("outputs").rglob("summary.json")
    found = load(summary.parent, "last")
    assert isinstance(found.model, Wrapped)
    assert type(found.model.module).__module__ in ("models_of_ours", "torch.nn.modules.container")
    assert found.task.evaluate().items() <= json.loads(summary.read_text())["last"].items()


PAGE = r"\(docs/bring_your_own.md\)"
CONTRACT = r"model: expected a module that maps \(B, 1, 8, 8\) to \(B, 10\), as the data have them " + PAGE


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        ("_target_: models_of_ours.wide", CONTRACT + r", got '\(B, 3\)'"),
        ("_target_: models_of_ours.flat", CONTRACT + ", got 'RuntimeError: mat1 and mat2"),
        ("_target_: models_of_ours.bare", CONTRACT + ", got 3"),
        (
            "_target_: models_of_ours.made",
            r"model\._target_: expected a class or function that makes .*" + PAGE,
        ),
        (
            "_target_: models_of_ours.Nothing",
            r"model\._target_: expected a class or function that makes .*" + PAGE,
        ),
        (
            "_target_: models_of_ours.Net\nhiden: 5",
            r"model\.hiden: expected no such key, got 5\n  nearest: .*hidden",
        ),
        ("_target_: models_of_ours.deep", "model.depth: expected a value, since the data"),
        (
            "_target_: models_of_ours.short\nembedding: 0",
            r"model\.embedding: expected the name of the nn\.Emb",
        ),
        ("_target_: models_of_ours.Net\nnum_classes: 4", CONTRACT),
    ],
)
def test_a_wrong_module_is_told_the_contract(genreg: Genreg, mine: Any, yaml: str, said: str) -> None:
    answer = genreg(*mine(yaml))
    assert answer.code == 2
    assert re.match(f"genreg: {said}", answer.err), answer.err
    assert len(answer.err.splitlines()) <= 2


def test_methods_say_what_cannot_be_done() -> None:
    class Functional(nn.Module):
        def __init__(self, num_classes: int) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(64, 8), nn.Linear(8, num_classes)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(F.relu(self.first(x.flatten(1))))

    with pytest.raises(
        InputError, match=r"noise\.layers: expected a pattern .*: no activation is one by itself"
    ):
        small_task({"noise": HiddenNoise()}, model=Functional)
    named = small_task({"noise": HiddenNoise(layers="*.first")}, model=Functional)
    assert named.step(0)["loss"].isfinite()


def test_a_classifier_of_ones_own_is_tried_too() -> None:
    class Mine(Classifier):
        def __init__(self, **_: Any) -> None:
            super().__init__()
            self.output = nn.Linear(64, 7)

        def classify(self, embedding: Tensor, mask: Tensor | None = None) -> Tensor:
            return self.output(embedding.flatten(1))

    with pytest.raises(InputError, match=r"\(B, 10\), as the data have them .*, got '\(B, 7\)'"):
        Classify(dataset=digits, model=Mine, optimizer=torch.optim.SGD, regularizer={})
