"""precision=bf16 trains with every method, near to what float32 makes of it."""

import re
from typing import Any

import pytest
import torch
from conftest import draw, yaml_options
from every_option import composed
from torch import Tensor

from genreg.dataset import Batch
from genreg.errors import InputError
from genreg.forward.classifier import ClassifierForward
from genreg.forward.perturbation import divergence_along, random_direction
from genreg.run.build import build_task, choose_device

CLASSIFIER = ["model.widths=[16]", "model.dropout=0.2", "model.batch_norm=true"]
PLAYERS = ["task=wgan", "dataset=gaussian_grid", "model=mlp_gan", "model.widths=[16]",
           "model.generator_widths=[16]"]  # fmt: skip
SETTLED = re.compile(r"parametrizations\.weight\.0\.[uv]$|critic\.layers\.3\.bias")
"""Of a matrix of one row, u is 1 from the start; the Wasserstein loss is flat in the critic's last bias."""


@pytest.mark.every(12)
@pytest.mark.parametrize("option", yaml_options("regularizer"))
@pytest.mark.parametrize("overrides", [CLASSIFIER, PLAYERS], ids=["classifier", "players"])
def test_bf16_trains_near_to_float32(option: str, overrides: list[str]) -> None:
    config = composed(f"regularizer={option}", *overrides, "logger=none")
    try:
        first, terms = (trained({**config, "precision": precision}) for precision in ("fp32", "bf16"))
    except InputError as refused:
        pytest.skip(str(refused))
    assert set(first) == set(terms)
    assert any(not torch.equal(value, first[name]) for name, value in terms.items())
    for name, value in terms.items():
        torch.testing.assert_close(value, first[name], rtol=0.03, atol=3e-3)


def trained(config: dict[str, Any]) -> dict[str, Tensor]:
    """The terms of the first of two updates, all finite, which move every weight."""
    task = build_task(config, choose_device("cpu"))
    before = {name: weight.clone() for name, weight in task.weights().items()}
    terms, later = task.step(0), task.step(1)
    assert all(value.isfinite() for value in (*terms.values(), *later.values()))
    after = {name: weight for name, weight in task.weights().items() if not SETTLED.search(name)}
    assert {weight.dtype for weight in after.values()} <= {torch.float32, torch.int64}  # int64: a count
    assert not any(torch.equal(before[name], weight) for name, weight in after.items())
    return terms


@pytest.mark.full
@pytest.mark.parametrize(("epsilon", "low", "high"), [(0.05, 0.1, 0.6), (0.4, 0.0, 0.1), (2.0, 0.0, 0.05)])
def test_small_perturbations_are_mostly_rounding_under_bf16(epsilon: float, low: float, high: float) -> None:
    """As its page says: below a tenth of an item's length, 3.9. Against float64 along the same direction."""
    task = build_task(composed("model.widths=[256,256]", "logger=none"), choose_device("cpu"))
    for step in range(50):
        task.step(step)
    x = task.dataset.unlabeled[:64]

    def gradient(x: Tensor, dtype: torch.dtype | None) -> Tensor:
        clean = ClassifierForward(task.model, Batch(x, x.new_empty(0)), dtype=dtype)
        d = random_direction(clean, "example", draw()) if x.dtype == torch.float32 else along
        term = divergence_along(clean, d, epsilon, "l2", "stop")
        return torch.cat([g.double().flatten() for g in torch.autograd.grad(term, task.parameters)])

    clean = ClassifierForward(task.model, Batch(x, x.new_empty(0)))
    along = random_direction(clean, "example", draw()).double()
    found, single = gradient(x, torch.bfloat16), gradient(x, None)
    task.model.double()
    exact = gradient(x.double(), None)
    assert (single - exact).norm() < 1e-3 * exact.norm()
    assert low < (found - exact).norm() / exact.norm() < high
