"""Wrong sweep files and commands: each is refused in a line, with its key, before anything is written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Result
from omegaconf import OmegaConf

from genreg.cli.compose import compose, configs, plain
from genreg.errors import InputError
from genreg.run.build import reported
from genreg.run.metric import Family, Metric, described, metric_of
from genreg.study.check import check_reported, check_select
from genreg.study.model import Part

Genreg = Callable[..., Result]

TINY = ["dataset=two_moons", "steps=2", "eval_every=2", "log_every=2", "logger=none", "device=cpu"]
PART: dict[str, Any] = {
    "arms": {"none": ["regularizer=none"], "vat": ["regularizer=vat"]}, "overrides": TINY,
    "metric": "test/accuracy", "select": "validation/accuracy",
}  # fmt: skip
LR: dict[str, Any] = {"optimizer.lr": [1e-3, 3e-2]}
TUNE: dict[str, Any] = {"trials": 2, "seeds": [100], "space": {"*": LR}}
UNTIL: dict[str, Any] = {"first": 5, "most": 8}
LANDSCAPE: dict[str, Any] = {
    "arms": {"gd": ["task=landscape"]}, "overrides": ["model.replicas=2", *TINY[1:]], "select": None,
}  # fmt: skip
WGAN: dict[str, Any] = {
    "arms": {"gp": ["task=wgan"]}, "overrides": TINY[1:], "metric": "test/sliced_wasserstein", "select": None,
}  # fmt: skip


def part(**changes: Any) -> dict[str, Any]:
    return {"seeds": 2, "parts": {"p": {**PART, **changes}}}


def tune(**changes: Any) -> dict[str, Any]:
    return part(tune={**TUNE, **changes})


def until(**changes: Any) -> dict[str, Any]:
    return part(until={**UNTIL, **changes})


def arms(*overrides: str) -> dict[str, Any]:
    return part(arms={**PART["arms"], "own": list(overrides)})


HUGE = 10**9
FILES: list[tuple[Any, str, str]] = [
    # what a file is
    ("- a\n- b\n", "sweep", "a file with the key parts, got ['a', 'b']"),
    ("3\n", "configuration", "a valid one"),
    ("a: [", "configuration", "a valid one"),
    ("", "sweep.parts", "at least one part"),
    ("parts: {p: {metric: m, metric: m}}\n", "configuration", "found duplicate key metric in line 1"),
    ({"parts": [PART]}, "sweep.parts", "at least one part, got [{"),
    ({"parts": {"p": "q"}}, ".", "the keys of a part, got 'q'"),
    ({**part(), "sedes": 3}, "sweep.sedes", "nearest: seeds"),
    ({**part(), "dry_run": "maybe"}, "sweep.dry_run", "true or false, got 'maybe'"),
    (part(overides=[]), ".overides", "nearest: overrides"),
    ({"parts": {"p": {"arms": PART["arms"]}}}, ".metric", "a value"),
    (part(threshold={"metric": "validation/accuracy"}), ".threshold.value", "a value"),
    (part(arms={}), ".", "at least one arm"),
    (part(grid={"model.dropout": []}), ".", "at least one arm"),
    (part(grid={"optimizer.lrr": [1]}), "optimizer.lrr", "a key of the configuration"),
    (part(arms={"a": "regularizer=vat"}), ".arms.a", "a list"),
    (part(experiments="smoke/vat"), ".experiments", "a list"),
    (part(grid={"optimizer.lr": 3}), ".grid", "a list, got 3"),
    (part(baseline="supervised"), ".baseline", "one of its arms, got 'supervised'"),
    (part(experiments=["smoke/vatt"]), "experiment", "nearest: smoke/vat"),
    (arms("regularizer.vatt.epsilon=1"), "regularizer.vatt.epsilon", "a key of the configuration"),
    (arms("steps"), ".arms.own", "key=value, got 'steps'"),
    # the sweep's own keys
    (arms("seed=5"), ".arms.own", "no seed: a sweep has seeds of its own, got 'seed=5'"),
    (arms("++seed=5"), ".arms.own", "no seed"),
    (arms("output_dir=other"), ".arms.own", "no output_dir: type it for the whole sweep"),
    (arms("sweep=smoke"), ".arms.own", "no sweep"),
    (part(overrides=[*TINY, "seed=1"]), ".overrides", "no seed"),
    (part(grid={"seed": [1, 2]}), ".grid", "no seed"),
    (part(datasets={"d": ["seed=3"]}), ".datasets.d", "no seed"),
    (tune(space={"*": {"seed": [1, 2]}}), ".tune.space.*", "no seed"),
    # twice
    (part(datasets=["two_moons", "two_moons"]), "sweep.parts", "no part or data set twice, got 'p/two"),
    ({"parts": {"p": {**PART, "datasets": ["d"]}, "p/d": PART}}, "sweep.parts", "twice, got 'p/d'"),
    (part(datasets={"a": ["steps=3"], "b": ["steps=3"]}), "sweep.parts", "no run twice, got 'p/a: none"),
    (arms("regularizer=vat"), "sweep.parts", "no run twice, got 'p: vat seed=0 and p: own seed=0'"),
    (part(grid={"optimizer.lr": [0.1, 0.1]}), ".grid.optimizer.lr", "no value twice, got 0.1"),
    (part(grid={"model.dropout": [0, 0.0]}), ".grid.model.dropout", "no value twice"),
    (part(seeds=[3, 4, 3]), ".seeds", "no duplicates, got '3'"),
    (tune(space={"*": {"optimizer.lr": [0.1, 0.1]}}), ".tune.space.*.optimizer.lr", "no value twice"),
    (part(arms={}, experiments=["smoke/vat"] * 2), ".", "no duplicates, got 'smoke/vat'"),
    (part(datasets=["two_moons"], dataset="d"), ".datasets", "none beside group and dataset"),
    # how many
    ({**part(), "seeds": HUGE}, "sweep.seeds", "less than or equal to 10000, got 1000000000"),
    (part(seeds=HUGE), ".seeds", "less than or equal to 10000"),
    ({**part(), "seeds": -1}, "sweep.seeds", "a number, 0 or more, got -1"),
    ({**part(), "seeds": "three"}, "sweep.seeds", "got 'three'"),
    (part(seeds=0), ".seeds", "at least one seed"),
    (tune(trials=HUGE), ".tune.trials", "less than or equal to 1000, got 1000000000"),
    (tune(seeds=HUGE), ".tune.seeds", "less than or equal to 1000"),
    (part(grid={k: list(range(100)) for k in ("a.b", "c.d", "e.f")}), ".", "at most 100,000 runs"),
    (until(most=HUGE), ".until.most", "less than or equal to 1000"),
    (until(first=9), ".until.most", "at least as many as at the first look, 9, got 8"),
    (part(until={"first": 200, "minutes": 1}), ".until.most", "first look, 200, got 100"),
    (until(first=2), ".until.first", "greater than or equal to 5, got 2"),
    (until(looks=[5, 9]), ".until.looks", "a last look at most=8 seeds, got [9]"),
    (until(looks=[4, 8]), ".until.looks", "numbers of seeds from first=5 on, got 4"),
    ({**part(), "until": {}}, "sweep.until", "a limit: most (seeds) or minutes"),
    (part(until=UNTIL, seeds=3), ".seeds", "none beside until"),
    (part(until=UNTIL, seeds=[4, 5]), ".seeds", "as many as its last look takes, 8, got '2 seeds'"),
    (until(margin="1"), ".until.margin", "a number above 0 and its unit"),
    (part(margin="0 points"), ".margin", "a number above 0 and its unit"),
    (part(margin="1 points", until={**UNTIL, "margin": "2 points"}), ".until.margin", "the part's margin"),
    (until(mst=9), ".until.mst", "nearest: most"),
    # tuning
    (tune(trails=3), ".tune.trails", "nearest: trials"),
    (tune(space={"vatt": LR}), ".tune.space", "arms of the part, or *, got 'vatt'"),
    (tune(space={"*": {"optimizer.lr": {"low": 1, "hihg": 2}}}), ".tune.space.*.optimizer.lr.hihg", "high"),
    (tune(space={"*": {"optimizer.lr": {"low": 2, "high": 1}}}), ".tune.space.*.optimizer.lr", "low"),
    (tune(trials=0), ".tune.trials", "greater than or equal to 1"),
    (tune(space={"vat": LR}), ".tune.space.none", "a space for 2 trials, as every arm has"),
    (tune(space={"*": {"optimizer.lr": 3}}), ".tune.space.*.optimizer.lr", "a list of values, or low and"),
    (tune(space={"*": {"optimizer.lr": {"low": 0, "high": 1, "log": True}}}), ".tune.space.*.optimizer.lr",
     "above 0 if log"),
    (tune(seeds=[]), ".tune.seeds", "at least one seed"),
    (tune(seeds=[5, 5]), ".tune.seeds", "none twice"),
    (tune(sampler="grid", trials=3), ".tune.space.none", "3 trials, as every arm has"),
    (part(select=None, tune=TUNE), ".tune.metric", "a validation metric"),
    (tune(trials=3), ".tune.space.none", "3 trials, as every arm has, got '2 different points'"),
    (tune(seeds=[1, 100]), ".tune.seeds", "none of the comparison's seeds, got '1'"),
    (tune(sampler="soboll"), ".tune.sampler", "nearest: sobol"),
    (tune(sampler="GridSampler"), ".tune.sampler", "one of sobol, grid, TPESampler"),
    (tune(sampler="PartialFixedSampler"), ".tune.sampler", "one of sobol, grid"),
    (tune(sampler="NSGAIISampler"), ".tune.sampler", "one of sobol, grid"),
    (tune(sampler="intersection_search_space"), ".tune.sampler", "one of sobol, grid"),
    (tune(sampler="grid", space={"*": {"optimizer.lr": {"low": 1, "high": 2}}}),
     ".tune.space.none.optimizer.lr", "a grid has no ranges"),
    # metrics, of what the arms report
    (part(select="test/accuracy"), ".select", "a validation metric (test data are for reporting"),
    (tune(metric="test/accuracy"), ".tune.metric", "a validation metric"),
    (part(threshold={"metric": "test/accuracy", "value": 0.9}), ".threshold.metric", "validation"),
    (part(threshold={"metric": "validation/accuracy", "value": "high"}), ".threshold.value", "a number"),
    (part(threshold={"metric": "validation/accuracy", "value": 90}), ".threshold.value", "a share"),
    (part(threshold={"metric": "validation/acuracy", "value": 0.9}), ".threshold.metric",
     "a metric of arm none, got 'validation/acuracy'\n  nearest: validation/accuracy"),
    (part(select="validation/acuracy"), ".select", "nearest: validation/accuracy"),
    (tune(metric="validation/fid"), ".tune.metric", "a metric of arm none, got 'validation/fid'"),
    (part(metric="test/acuracy"), ".metric", "nearest: test/accuracy"),
    (part(metric="train/loss"), ".metric", "a metric of arm none, got 'train/loss'"),
    (part(metric="test_noise/accuracy"), ".metric", "a metric of arm none"),
    (part(metric="test/jacobian_norm", mode="min"), ".metric", "a metric of arm none"),
    (part(metric="steps_to_threshold", mode="min"), ".metric", "a metric of arm none"),
    (part(arms={"a": ["measure=margin"], "b": []}, metric="test/margin"), ".metric", "a metric of arm b"),
    (part(mode="larger"), ".mode", "'max' or 'min'"),
    (part(metric="test/cross_entropy", mode="min", margin="1 points"), ".margin", "no share"),
    (part(margin="1 percent"), ".margin", "a number above 0 and its unit"),
    (part(measure=["fid"]), ".measure", "no such key"),
    (part(overrides=[*TINY, "measure=fid"]), "measure.fid", "a measure of a classifier"),
    (part(**LANDSCAPE, metric="w/trance", mode="min"), ".metric", "nearest: w/trace"),
    (part(**WGAN, threshold={"metric": "validation/fid", "value": 3}), ".threshold.metric", "of arm gp"),
    (part(**{**WGAN, "overrides": [*TINY[1:], "measure=critic_wasserstein"], "mode": "min",
             "metric": "test/critic_wasserstein", "select": "validation/critic_wasserstein"}),
     ".select", "a metric of which arm gp say which way is better"),
]  # fmt: skip
"""A file, the key that is named (.key: of part p), and what is said."""

GRID = [*TINY, "model.widths=[4]"]
COMMANDS: list[tuple[list[str], str, str]] = [
    (["sweep=own", "seed=3"], "seed", "sweep.seeds=N"),
    (["sweep=own", "--until", "decided", "sweep.seeds=3"], "sweep.seeds", "none beside --until decided"),
    (["sweep=own", "sweep.parts.p.seeds=3", "--until", "decided"], "--until", "a part that does not say"),
    (["sweep=own", "name=${dataset}${seed}"], "seed", "no other key that refers to ${seed}"),
    (["sweep=own", "hydra.launcher.worker=1"], "hydra.launcher.worker", "a key of the configuration"),
    (["sweep=own", "output_dir=mine/sweep/own.yaml/x"], "output_dir", "a folder that can be written"),
    (["sweep=own", f"sweep.seeds={HUGE}"], "sweep.seeds", "less than or equal to 10000"),
    (["sweep=own", "sweep.sedes=3"], "sweep.sedes", "nearest: seeds"),
    (["sweep=own", "sweep.parts.p.grid={model.dropout:[0,0.5]}", "model.dropout=0"], "model.dropout", "vary"),
    (["sweep=own", "sweep.parts.p.metric=test/acc"], ".metric", "nearest: test/accuracy"),
    (["-m", *GRID, "optimizer.lr=0.1,0.1"], "sweep", "no run twice, got 'twice dataset=two_moons"),
    (["-m", *GRID, "optimizer.lr=0.1,1e-1"], "sweep", "no run twice"),
    (["-m", *GRID, "optimizer.lr=0.1,0.2", "seed=0,0"], "sweep", "no run twice"),
    (["-m", *GRID, f"seed=range({HUGE})"], "seed", "at most 100,000 runs of a grid"),
    (["-m", *GRID, "seed=range(1000)", "steps=range(1,1001)"], "seed", "at most 100,000 runs of a grid"),
]


def _is_refused(answer: Result, key: str, says: str, folder: Path) -> None:
    assert answer.code == 2, answer
    key = f"sweep.parts.p{key.rstrip('.')}" if key.startswith(".") else key
    assert answer.err.startswith(f"genreg: {key}: "), answer.err
    assert says in answer.err
    assert len(answer.err.strip().splitlines()) <= 2
    assert [path.name for path in folder.iterdir()] == ["mine"]


def _write(folder: Path, content: Any) -> None:
    path = folder / "mine/sweep/own.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(content if isinstance(content, str) else OmegaConf.to_yaml(OmegaConf.create(content)))


@pytest.mark.every(12)
@pytest.mark.parametrize(("content", "key", "says"), FILES)
def test_a_wrong_file(genreg: Genreg, tmp_path: Path, content: Any, key: str, says: str) -> None:
    _write(tmp_path, content)
    _is_refused(genreg("train", "--config-dir", "mine", "sweep=own"), key, says, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize(("typed", "key", "says"), COMMANDS)
def test_a_wrong_command(genreg: Genreg, tmp_path: Path, typed: list[str], key: str, says: str) -> None:
    _write(tmp_path, part())
    _is_refused(genreg("train", "--config-dir", "mine", *typed), key, says, tmp_path)


@pytest.mark.full
def test_a_typed_number_of_seeds_counts_more_than_the_file(genreg: Genreg, tmp_path: Path) -> None:
    _write(tmp_path, {**part(), "until": UNTIL})
    own = ["train", "--config-dir", "mine", "sweep=own", "--dry-run"]
    assert "10 jobs: " in genreg(*own).out  # two arms at the first look
    assert "6 jobs: " in genreg(*own, "sweep.seeds=3").out


TASKS = [
    ["experiment=smoke/vat", "measure=[jacobian_norm,margin]", "task.corruption.noise=0.1"],
    ["experiment=smoke/vat", "loss=mse"],
    ["dataset=diabetes", "loss=mse"],
    ["experiment=anti_pgd_valley/anti_pgd", "model.replicas=2"],
    ["experiment=anti_pgd_quadratic/gd", "model.replicas=2"],
    ["experiment=wgan_sn_toy/sn", "measure=[wasserstein,modes,lipschitz,gradient_norm]"],
]


@pytest.mark.every(3)
@pytest.mark.parametrize("typed", TASKS)
def test_a_task_reports_what_it_says(typed: list[str]) -> None:
    """Before any data are read it names all that an evaluation has, and of that the way which is better."""
    import torch

    from genreg.run.build import build_task

    with configs():
        config = plain(compose([*typed, "logger=none", "device=cpu"]))
    said = reported(config)
    task = build_task(config, torch.device("cpu"))
    task.step(0)
    row = task.evaluate()
    assert row.keys() <= said.keys()
    known = {metric.name: metric for metric in task.metrics}
    families = described(task.metrics, task.families)
    for key in row:
        assert said[key].family == metric_of(key, families).family
        found, stated = said[key], known[key.split("/")[1]]
        assert found.better == stated.better
        assert found.unit == stated.unit or key.endswith("/generalization_gap")  # of accuracy, or of mse
    of_data = ("_clean/", "stderr/", "/accuracy", "z/")
    assert [key for key in said.keys() - row.keys() if not any(word in key for word in of_data)] == []


def test_a_task_chooses_by_a_family_of_its_own() -> None:
    check_select("holdout/score", "select")
    chooses = Metric("score", "max", family=Family("holdout", reported="final"))
    of_task = {"holdout/score": chooses, "final/score": Metric("score", "max")}
    check_reported(Part("p", [], "a", "final/score", None, "holdout/score"), of_task, "runs")
    with pytest.raises(InputError, match="select: expected a validation metric"):
        check_reported(Part("p", [], "a", "final/score", None, "final/score"), of_task, "runs")


def test_what_is_not_known_is_not_refused() -> None:
    check_reported(Part("p", [], "a", "test/mine", None, "validation/mine"), {}, "runs")
    with pytest.raises(InputError, match="metric: expected a metric of runs, got 'test/mine'"):
        check_reported(Part("p", [], "a", "test/mine", None, None), {"test/accuracy": None}, "runs")  # type: ignore[dict-item]
