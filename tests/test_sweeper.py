"""Sweepers of Hydra that look at what a run has come to: optuna."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import SMOKE, Result
from omegaconf import OmegaConf

from genreg.cli.by_hydra import value
from genreg.errors import InputError
from genreg.run.folder import RunFolder

Genreg = Callable[..., Result]

SUMMARY = {"selection": ["validation/accuracy", "max"], "best": {"validation/accuracy": 0.5}}
LANDSCAPE = {"selection": None, "best": None, "last": {"step": 3, "w_stderr/loss": 1.0, "w/loss": 2.0},
             "metrics": {"loss": {"better": "min"}}}  # fmt: skip


@pytest.mark.parametrize(
    ("summary", "sweeper", "expected"),
    [
        (SUMMARY, {}, 0.5),
        (SUMMARY, {"direction": "maximize"}, 0.5),
        (SUMMARY, {"direction": ["maximize"]}, 0.5),
        (
            SUMMARY,
            {"direction": "minimize"},
            "direction: expected maximize: of validation/accuracy",
        ),
        (SUMMARY, {"direction": ["maximize", "minimize"]}, "hydra.sweeper.direction: expected one direction"),
        (SUMMARY, {"optim": {"maximize": False}}, "hydra.sweeper.optim.maximize: expected True"),
        (SUMMARY, {"ax_config": {"experiment": {"minimize": False}}}, 0.5),
        (LANDSCAPE, {"direction": "minimize"}, 2.0),
        (LANDSCAPE, {"direction": "maximize"}, "the smaller is better, got 'maximize'"),
        ({}, {"direction": "maximize"}, None),
    ],
)
def test_the_value_of_a_run(summary: dict[str, Any], sweeper: dict[str, Any], expected: Any) -> None:
    if not isinstance(expected, str):
        assert value(summary, OmegaConf.create(sweeper)) == expected
        return
    with pytest.raises(InputError) as refused:
        value(summary, OmegaConf.create(sweeper))
    assert expected in str(refused.value)


OPTUNA = [
    "train",
    "-m",
    *SMOKE,
    "logger=none",
    "optimizer.lr=interval(1e-5, 1e-2)",
    "hydra.sweeper.n_trials=3",
]


@pytest.mark.full
@pytest.mark.parametrize("launcher", ["local", "basic"])
def test_optuna_finds_the_best_run(genreg: Genreg, tmp_path: Path, launcher: str) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    given = ["hydra/sweeper=optuna", f"hydra/launcher={launcher}", "hydra.sweeper.n_jobs=2"]
    answer = genreg(*OPTUNA, *given, "hydra.sweeper.direction=maximize", "hydra.sweeper.sampler.seed=1")
    assert answer.code == 0, answer
    runs = [RunFolder(path.parent) for path in tmp_path.rglob("summary.json")]
    values = {run.config()["optimizer"]["lr"]: run.summary()["best"]["validation/accuracy"] for run in runs}
    assert len(values) == 3
    found: Any = OmegaConf.load(tmp_path / "outputs" / "optimization_results.yaml")
    assert found.best_value == max(values.values())
    assert values[found.best_params["optimizer.lr"]] == found.best_value


@pytest.mark.full
def test_optuna_that_is_not_there_is_named_with_what_brings_it(
    genreg: Genreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genreg.cli.compose.OPTUNA", "hydra/sweeper/optunaa")  # which no plugin has
    answer = genreg("train", "-m", "hydra/sweeper=optunaa", "seed=0,1")
    assert answer.code == 2
    assert answer.err.startswith(
        "genreg: hydra/sweeper: expected `pip install -e '.[optuna]'` in the checkout"
    )
    answer = genreg("train", "-m", "hydra/sweeper=optunab", "seed=0,1")
    assert answer.err.startswith("genreg: configuration: expected a file on the search path")


def test_optuna_is_told_which_way_is_better(genreg: Genreg) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    answer = genreg(*OPTUNA, "hydra/sweeper=optuna", "hydra.sweeper.n_jobs=1")
    assert answer.code == 2
    line = "genreg: hydra.sweeper.direction: expected maximize: of validation/accuracy the larger is better"
    assert line in answer.err
    beside = genreg("train", "-m", "sweep=smoke", "hydra/sweeper=optuna")
    assert (beside.code, "hydra/sweeper: expected a grid" in beside.err) == (2, True)


@pytest.mark.full
def test_a_sweeper_that_a_file_chooses(genreg: Genreg, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    path = tmp_path / "mine" / "experiment" / "search.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("""# @package _global_
defaults: [override /dataset: two_moons, override /hydra/sweeper: optuna, _self_]
steps: 2
hydra:
  sweeper: {n_trials: 2, n_jobs: 2, direction: maximize, params: {optimizer.lr: 'interval(1e-3, 1e-2)'}}
""")
    given = ["train", "--config-dir", "mine", "-m", "experiment=search", "logger=none", "device=cpu"]
    refused = genreg(*given, "--dry-run")
    assert (refused.code, "hydra/sweeper: expected none beside" in refused.err) == (2, True), refused
    assert genreg(*given).code == 0
    assert len(list(tmp_path.rglob("weights.pt"))) == 2
