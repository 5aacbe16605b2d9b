"""Sweep files: what they make, what they refuse, what is left to do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Result, yaml_options
from omegaconf import OmegaConf

from genreg import CONFIGS
from genreg.cli.compose import configs
from genreg.cli.jobs import Composer
from genreg.run.folder import RunFolder
from genreg.study import file as sweep_file
from genreg.study import job
from genreg.study.stages import Stages

Genreg = Callable[..., Result]

TINY = ["experiment=anti_pgd_valley/anti_pgd", "model.replicas=2", "model.d=3", "steps=4", "eval_every=2",
        "log_every=2", "logger=none", "device=cpu"]  # fmt: skip
FILE = """
# my own sweep
seeds: 2
parts:
  valley:
    experiments: [anti_pgd_valley/pgd, anti_pgd_valley/anti_pgd]
    overrides: [model.replicas=2, model.d=3, steps=4, eval_every=2, log_every=2, logger=none, device=cpu]
    grid: {optimizer.sigma: [0.1, 0.2]}
    metric: w/trace
    mode: min
"""


@pytest.fixture
def mine(tmp_path: Path) -> Callable[[str], None]:
    """Write a person's own sweep file, mine/sweep/own.yaml."""

    def write(text: str) -> None:
        path = tmp_path / "mine" / "sweep" / "own.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return write


OWN = ["train", "--config-dir", "mine", "sweep=own"]


def test_arms_are_experiments_times_grid() -> None:
    node: dict[str, Any] = {"seeds": [3, 5], "parts": {"p": {
        "experiments": ["a/x", "b/y"], "arms": {"z": ["model=mlp"]}, "overrides": ["steps=9"], "metric": "m",
        "grid": {"optimizer.lr": [0.1, 1e-6], "model.widths": [[4, 4]]}}}}  # fmt: skip
    arms = sweep_file.study_of("own", sweep_file.read(node)).parts[0].arms
    assert [arm.name for arm in arms] == [
        f"{root},lr={lr},widths=[4,4]" for root in "xyz" for lr in ("0.1", "1e-06")
    ]
    assert arms[1].overrides == ["experiment=a/x", "steps=9", "optimizer.lr=1e-06", "model.widths=[4,4]"]
    assert arms[1].values == {"optimizer.lr": 1e-6, "model.widths": [4, 4]}
    assert arms[4].overrides[0] == "model=mlp"
    lists: list[list[str]] = []

    def compose(given: list[list[str]]) -> list[Any]:
        lists.extend(given)
        raise KeyboardInterrupt

    stages = Stages("own", sweep_file.read(node), ["steps=2", "device=cpu"], compose, None, lambda part: part)
    with pytest.raises(KeyboardInterrupt):
        stages.jobs()
    assert len(lists) == 12
    assert [given[-1] for given in lists[:7]] == ["seed=3"] * 6 + ["seed=5"]  # all arms of a seed first
    assert lists[0][:2] == ["experiment=a/x", "steps=2"]  # the command line replaces the file


def test_more_wrong_commands(genreg: Genreg) -> None:
    for arguments, says in [
        (["sweep=smok"], "sweep: expected an option of the group sweep, got 'smok'\n  nearest: smoke"),
        (["-m", *TINY, "seed=0,1", "hydra.launcher.workers=0"], "hydra.launcher.workers: expected"),
        (["sweep=smoke", "hydra.launcher.workers=0"], "hydra.launcher.workers: expected"),
        (["--dry-run", *TINY], "--dry-run: expected a sweep"),
        (["-m", *TINY, "seed=1,1"], "sweep: expected no run twice"),
        (["--like", "nowhere"], "--like: expected a run folder with a config.yaml, got 'nowhere'"),
    ]:
        answer = genreg("train", *arguments)
        assert answer.code == 2
        assert says in answer.err
    assert not [*Path().iterdir()]  # nothing is written for a sweep that is refused


@pytest.mark.full
def test_run_skip_and_dry_run(genreg: Genreg, mine: Callable[[str], None], tmp_path: Path) -> None:
    mine(FILE)
    before = genreg(*OWN, "--dry-run")
    assert "8 jobs: 0 finished, 8 to run" in before.out
    assert before.out.count("  genreg train experiment=anti_pgd_valley/") == 5
    assert "... 3 more" in before.out
    assert not (tmp_path / "outputs").exists()
    assert genreg(*OWN, "sweep.seeds=1").code == 0
    after = genreg(*OWN, "sweep.dry_run=true")
    assert "8 jobs: 4 finished, 4 to run" in after.out
    assert "from 4 finished" in after.out
    assert genreg(*OWN).code == 0
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("metrics.jsonl")}
    assert len(stamps) == 8
    again = genreg(*OWN)
    assert (again.code, again.out) == (0, "8 jobs: 8 finished, 0 to run\nnext: genreg report outputs/own\n")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("metrics.jsonl")} == stamps


@pytest.mark.full
def test_sweep_json_says_where_every_run_is(
    genreg: Genreg, mine: Callable[[str], None], tmp_path: Path
) -> None:
    mine(FILE)
    assert genreg(*OWN, "steps=6").code == 0
    root = tmp_path / "outputs" / "own"
    written = json.loads((root / "sweep.json").read_text())
    assert (written["sweep"], written["command"]) == ("own", "genreg train sweep=own steps=6")
    (part,) = written["parts"]
    told = {key: part[key] for key in ("name", "baseline", "metric", "mode", "select", "threshold", "seeds")}
    assert told == {"name": "valley", "baseline": "pgd,sigma=0.1", "metric": "w/trace", "mode": "min",
                    "select": None, "threshold": None, "seeds": [0, 1]}  # fmt: skip
    assert [arm["name"] for arm in part["arms"]] == [
        f"{arm},sigma={sigma}" for arm in ("pgd", "anti_pgd") for sigma in (0.1, 0.2)
    ]
    for arm in part["arms"]:
        for seed in part["seeds"]:
            run = RunFolder(root / arm["folder"] / f"seed={seed}")
            assert run.summary()["step"] == 6
            config: Any = OmegaConf.load(run.path / "config.yaml")
            assert (config.seed, config.optimizer.sigma) == (seed, arm["values"]["optimizer.sigma"])
    command = part["arms"][3]["command"].replace("seed=N", "seed=1").split()
    assert "finished already" in genreg(*command[1:]).out


def test_a_copied_seed_is_a_composed_seed() -> None:
    with configs():
        lists = [[*TINY, f"seed={seed}"] for seed in (0, 7)]
        copied = Composer().jobs(lists)
        composed = [Composer().jobs([one])[0] for one in lists]
    assert copied == composed
    assert copied[1].config["seed"] == 7


WRONG: list[tuple[list[str], int, list[str]]] = [
    (["steps=-1,4"], 1, ["steps: expected greater than or equal to 1, got -1"]),
    (["quiet=3", "seed=0,1", "model.d=3,4"], 1, ["quiet: expected true or false, got 3"]),
    (["device=7,cpu"], 1, ["device: expected a word, got 7"]),
    (["+foo=1,2"], 3, ["foo: expected no such key, got 1  (experiment=", "got 2  (", "2 of 2 combinations"]),
    (["steps=4,0,-1", "seed=0,1"], 3, ["steps: expected greater", "got 0  (", "got -1  (", "2 of 3 comb"]),
    (["model=mlpp,widening_valley", "log_every=0,1"], 4, ["model: expected an", "log_every: ", "3 of 4"]),
]
"""A grid, how many lines are said of it, and parts of them."""


@pytest.mark.every(6)
@pytest.mark.parametrize(("grid", "lines", "says"), WRONG)
def test_a_wrong_combination_is_told_once_before_any_run(
    genreg: Genreg, tmp_path: Path, grid: list[str], lines: int, says: list[str]
) -> None:
    answer = genreg("train", "-m", *TINY, *grid)
    assert (answer.code, answer.out) == (2, "")
    assert list(tmp_path.iterdir()) == []
    assert answer.err.count("genreg: ") == lines
    assert all(part in answer.err for part in says)


@pytest.mark.full
def test_options_from_two_folders(genreg: Genreg, mine: Callable[[str], None], tmp_path: Path) -> None:
    """--config-dir and hydra.searchpath hold together, also in a sweep and with a comma in the name."""
    for folder in ("a, b", "other"):
        path = tmp_path / folder / "experiment" / f"{folder[0]}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text("# @package _global_\n# steps\n" + f"steps: {len(folder)}\n")
    two = ["--config-dir", "a, b", f"hydra.searchpath=[file://{tmp_path / 'other'}]"]
    for many in ([], ["-m"]):
        for name in ("a", "o"):
            arguments = [*TINY[1:3], "task=landscape", f"experiment={name}", *TINY[5:], "name=n"]
            answer = genreg("train", *many, *two, *arguments, f"output_dir=out{len(many)}", "quiet=true")
            assert answer.code == 0, answer
        steps = sorted(
            RunFolder(path.parent).summary()["step"]
            for path in (tmp_path / f"out{len(many)}").rglob("summary.json")
        )
        assert steps == [4, 5]


def test_the_key_of_an_override() -> None:
    for text, expected in {
        "a.b=3": "a.b", "+a=1": "a", "++a.b=x=y": "a.b", "~a.b": "a.b", "~a=3": "a",
        "optimizer@other=adam": "optimizer@other", "name='a=b'": "name",
    }.items():  # fmt: skip
        assert job.key(text) == expected
    assert job.group("+optimizer@other=adam") == "optimizer"
    assert job.value("name='a=b'") == "'a=b'"
    assert job.merged(["a=1", "o@x=1", "++b=2"], ["o=3", "b=4", "~a"]) == ["~a", "o@x=1", "b=4", "o=3"]
    assert [job.of_hydra(o) for o in ("hydra/launcher=x", "+hydra.job.x=1", "hydrant=1")] == [
        True,
        True,
        False,
    ]


def test_a_configuration_is_written_as_omegaconf_writes_it(tmp_path: Path) -> None:
    config = {"seed": 3, "optimizer": {"lr": 1e-8, "betas": [0.9, 0.999]}, "empty": {}, "none": [],
              "odd": ["1e-3", "0x10", "yes", "é: #", "two\nlines", None, True, float("inf")]}  # fmt: skip
    RunFolder(tmp_path).write_config(config)
    assert (tmp_path / "config.yaml").read_text() == OmegaConf.to_yaml(OmegaConf.create(config))


@pytest.mark.full
def test_one_value_of_a_key_that_only_experiments_bring(genreg: Genreg, tmp_path: Path) -> None:
    tiny = TINY[1:]
    answer = genreg("train", "-m", "experiment=anti_pgd_valley/pgd,anti_pgd_valley/anti_pgd", *tiny,
                    "optimizer.sigma=0.3")  # fmt: skip
    assert answer.code == 0, answer.err
    configs: list[Any] = [OmegaConf.load(path) for path in tmp_path.rglob("config.yaml")]
    assert [config.optimizer.sigma for config in configs] == [0.3, 0.3]


@pytest.mark.full
@pytest.mark.parametrize("name", yaml_options("sweep"))
def test_every_sweep_file_composes(genreg: Genreg, name: str) -> None:
    """Of trials that are drawn, the first: the others differ from it in numbers only."""
    parts = OmegaConf.load(CONFIGS / "sweep" / f"{name}.yaml").parts
    drawn = [part for part in parts if parts[part].get("tune", {}).get("sampler", "sobol") != "grid"]
    few = [f"sweep.parts.{part}.tune.trials=1" for part in drawn if "tune" in parts[part]]
    answer = genreg("train", f"sweep={name}", "--dry-run", "sweep.seeds=1", *few)
    assert answer.code == 0, answer.err
    assert " 0 finished" in answer.out
