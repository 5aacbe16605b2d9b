"""Every measure draws the items that it reads: seen by what each row is worth to its value."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from conftest import draw, normal, yaml_options
from omegaconf import OmegaConf
from torch import Tensor

from genreg import CONFIGS
from genreg.measure import ClassifierMeasure, GanMeasure, Generated, LipschitzUpper, ModesCovered
from genreg.model import MLP
from genreg.run.factory import factory

CLASSES, EACH, ITEMS = 3, 8, 9
N = CLASSES * EACH
Y = torch.arange(1, CLASSES + 1).repeat_interleave(EACH)
"""Class by class, as balanced labels stand."""


def option(name: str) -> Any:
    node: Any = OmegaConf.to_container(OmegaConf.load(CONFIGS / "measure" / f"{name}.yaml"))
    few = {"items": ITEMS, "samples": ITEMS, "threshold": 1e-6}  # the last: small negative curvature counts
    return factory({**node, **{key: few[key] for key in few if key in node}}, f"measure.{name}")()


MEASURES = {name: option(name) for name in yaml_options("measure") if name != "none"}
READ_NONE = (LipschitzUpper, ModesCovered)
CLASSIFIER = [name for name, m in MEASURES.items()
              if isinstance(m, ClassifierMeasure) and not isinstance(m, READ_NONE)]  # fmt: skip
GAN = [name for name, m in MEASURES.items() if isinstance(m, GanMeasure) and not isinstance(m, READ_NONE)]


def rows_read(values: Callable[[Tensor], list[float]], x: Tensor, other: Tensor) -> list[int]:
    """The rows of x that change the values where `other` stands in their place."""
    clean = values(x)
    return [
        row for row in range(len(x)) if values(x.where(torch.arange(len(x))[:, None] != row, other)) != clean
    ]


def sure() -> MLP:
    """A classifier of 1 at the class and -1 elsewhere: right and flat there, wrong and steep at zero."""
    model = MLP(input_shape=[CLASSES], outputs=CLASSES + 1, widths=[CLASSES], activation="tanh").double()
    hidden, last = model.layers[0], model.layers[2]
    with torch.no_grad():
        hidden.weight.copy_(2 * torch.eye(CLASSES))
        hidden.bias.zero_()
        last.weight.copy_(torch.cat((torch.zeros(1, CLASSES), 4 * torch.eye(CLASSES))))
        last.bias.copy_(torch.tensor([1.0, 0, 0, 0]))
    return model


@pytest.mark.full
@pytest.mark.parametrize("name", CLASSIFIER)
def test_a_measure_of_a_classifier_reads_all_classes_of_sorted_items(name: str) -> None:
    model, measure = sure(), MEASURES[name]
    x = 2 * torch.nn.functional.one_hot(Y - 1, CLASSES).double() - 1
    found = rows_read(lambda x: [measure(model, x, Y).value], x, torch.zeros(CLASSES).double())
    assert len(found) == ITEMS
    assert Y[found].bincount(minlength=CLASSES + 1)[1:].min() >= 1
    assert found == drawn_rows()


def drawn_rows() -> list[int]:
    """The rows of the stream of all measures, as measures of single items have always read them."""
    from genreg import streams

    order = torch.randperm(N, generator=streams.generator(0, "measure/items"))
    return sorted(order[:ITEMS].tolist())


@pytest.mark.parametrize("name", GAN)
def test_a_measure_of_a_generator_reads_all_classes_of_sorted_items(name: str) -> None:
    """Of real items, of which one far away is near no sample, and makes a critic steeper."""
    measure = MEASURES[name]

    def values(real: Tensor) -> list[float]:
        seen = Generated(
            fake=normal(ITEMS, 2) + 5, real=real, labels=(torch.arange(ITEMS) % CLASSES + 1, Y), modes=None,
            features=lambda x: x, critic=lambda x: x.square().sum(1), layers=[], draw=lambda _: draw(),
        )  # fmt: skip
        return [estimate.value for estimate in measure(seen).values()]

    found = rows_read(values, normal(N, 2, seed=1), torch.tensor([-100.0, 300.0]).double())
    assert Y[found].bincount(minlength=CLASSES + 1)[1:].min() >= 1
    assert len(found) >= ITEMS - CLASSES


def test_all_items_are_read_where_there_are_no_more() -> None:
    """In their own order, so that values of earlier versions stay to the last bit."""
    model, x = sure(), normal(ITEMS, CLASSES)
    measure = MEASURES["sharpness"]
    found = measure(model, x, Y[:ITEMS])
    assert found == type(measure)(splits=["labeled"], items=10**6)(model, x, Y[:ITEMS])
