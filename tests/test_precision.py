"""precision=bf16 trains with every method, near to what float32 makes of it."""

import re

import pytest
import torch
from conftest import yaml_options
from test_contract import composed
from torch import Tensor

from genreg.build import build_task, choose_device
from genreg.errors import InputError

CLASSIFIER = ["model.widths=[16]", "model.dropout=0.2", "model.batch_norm=true"]
PLAYERS = ["task=wgan", "dataset=gaussian_grid", "model=mlp_gan", "model.widths=[16]",
           "model.generator_widths=[16]"]  # fmt: skip
SETTLED = re.compile(r"parametrizations\.weight\.0\.[uv]$|critic\.layers\.3\.bias")
"""Of a matrix of one row, u is 1 from the start; the Wasserstein loss is flat in the critic's last bias."""


@pytest.mark.parametrize("option", yaml_options("regularizer"))
@pytest.mark.parametrize("overrides", [CLASSIFIER, PLAYERS], ids=["classifier", "players"])
def test_bf16_trains_near_to_float32(option: str, overrides: list[str]) -> None:
    try:
        first, terms = (
            trained(f"regularizer={option}", f"precision={p}", *overrides) for p in ("fp32", "bf16")
        )
    except InputError as refused:
        pytest.skip(str(refused))
    assert set(first) == set(terms)
    assert any(not torch.equal(value, first[name]) for name, value in terms.items())
    for name, value in terms.items():
        torch.testing.assert_close(value, first[name], rtol=0.03, atol=3e-3)


def trained(*overrides: str) -> dict[str, Tensor]:
    """The terms of the first of two updates, all finite, which move every weight."""
    task = build_task(composed(*overrides, "logger=none"), choose_device("cpu"))
    before = {name: weight.clone() for name, weight in task.weights().items()}
    terms, later = task.step(0), task.step(1)
    assert all(value.isfinite() for value in (*terms.values(), *later.values()))
    after = {name: weight for name, weight in task.weights().items() if not SETTLED.search(name)}
    assert {weight.dtype for weight in after.values()} <= {torch.float32, torch.int64}  # int64: a count
    assert not any(torch.equal(before[name], weight) for name, weight in after.items())
    return terms
