"""A run again from its folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Result
from omegaconf import OmegaConf
from test_sweep import TINY

from genreg.cli.like import config_of
from genreg.errors import InputError

Genreg = Callable[..., Result]


@pytest.mark.full
def test_like_repeats_a_run(genreg: Genreg, tmp_path: Path) -> None:
    genreg("train", *TINY, "quiet=true")
    (first,) = (path.parent for path in tmp_path.rglob("summary.json"))
    assert genreg("train", "--like", str(first), "quiet=true").err == ""
    (again,) = (path.parent for path in (tmp_path / "outputs" / "again").rglob("summary.json"))
    assert (again / "metrics.jsonl").read_bytes() == (first / "metrics.jsonl").read_bytes()
    refused = genreg("train", "--like", str(again))
    assert (refused.code, "output_dir: expected another folder" in refused.err) == (2, True)
    known = json.loads((first / "environment.json").read_text())
    known[-1]["code"]["model"]["digest"] = "aa"
    known[-1]["packages"]["torch"], known[-1]["data"] = "1.0", {"file": "aa"}
    (first / "environment.json").write_text(json.dumps(known))
    other = genreg("train", "--like", str(first), "seed=5", "optimizer=gd", "optimizer.lr=0.003")
    assert other.code == 0
    assert "packages torch was 1.0, is " in other.out + other.err
    assert "data file was aa, is None" in other.out + other.err
    assert "code of model is not what it was" in other.out + other.err
    (third,) = (tmp_path / "outputs" / "again").rglob("seed=5/config.yaml")
    config: Any = OmegaConf.load(third)
    assert (config.optimizer.lr, "sigma" in config.optimizer, config.steps) == (0.003, False, 4)
    wrong = genreg("train", "--like", str(first), "stepz=3")
    assert (wrong.code, "nearest: steps" in wrong.err) == (2, True)


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("stepz=3", "stepz: expected one value for a key of that run, got 'stepz=3'\n  nearest: steps"),
        ("optimizer.lrr=3", "nearest: optimizer.lr"),
        ("stepz", "key=value"),
        ("steps=1,2", "steps: expected one value"),
        ("~optimizer.lr", "optimizer.lr: expected one value"),
    ],
)
def test_only_keys_of_that_run_are_changed(tmp_path: Path, typed: str, says: str) -> None:
    (tmp_path / "config.yaml").write_text("steps: 4\noptimizer: {lr: 0.1}\n")
    with pytest.raises(InputError) as error:
        config_of(tmp_path, [typed], [])
    assert says in str(error.value)
    changed = config_of(tmp_path, ["optimizer.lr=0.2"], [])
    assert (changed.optimizer.lr, changed.steps) == (0.2, 4)


@pytest.mark.full
def test_like_takes_options_that_only_some_tasks_have(genreg: Genreg, tmp_path: Path) -> None:
    genreg("train", "task=wgan", "steps=1", "logger=none", "quiet=true", "device=cpu")
    (first,) = (path.parent for path in tmp_path.rglob("summary.json"))
    other = ["optimizer@generator_optimizer=rmsprop", "features=random", "quiet=true"]
    answer = genreg("train", "--like", str(first), *other)
    assert answer.code == 0, answer
    (again,) = (tmp_path / "outputs" / "again").rglob("config.yaml")
    config: Any = OmegaConf.load(again)
    assert config.generator_optimizer._target_ == "torch.optim.RMSprop"
    assert config.features._target_ == "genreg.features.Random"
