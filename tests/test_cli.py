"""The command line as a person uses it."""

import hashlib
import json
import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
import torch
from conftest import REPOSITORY, SMOKE, Result, yaml_options
from omegaconf import OmegaConf
from own_files import write_table

from genreg.groups import nodes, option_of
from genreg.run.folder import RunFolder
from genreg.run.identity import PLUMBING, experiment_hash, run_path, same_run
from genreg.run.sources import attribute_of

Genreg = Callable[..., Result]


def runs(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.rglob("summary.json"))


@pytest.mark.full
@pytest.mark.parametrize("option", [o for o in yaml_options("experiment") if o.startswith("smoke/")])
def test_smoke(genreg: Genreg, tmp_path: Path, option: str) -> None:
    answer = genreg("train", f"experiment={option}", "device=cpu")
    assert answer.code == 0, answer.err
    assert "validation/accuracy" in answer.out
    assert f"next: genreg train -m experiment={option}" in answer.out
    (path,) = runs(tmp_path)
    assert path.relative_to(tmp_path / "outputs").as_posix().startswith(f"{option}-")
    names = {file.name for file in path.iterdir()} - {".lock"}
    assert len([name for name in names if name.startswith("state-000000030-")]) == 1
    assert {name for name in names if not name.startswith("state-")} == {
        "config.yaml", "metrics.jsonl", "timing.jsonl", "summary.json", "environment.json",
        "weights.pt", "last_weights.pt", "curves.png"}  # fmt: skip
    summary = RunFolder(path).summary()
    assert (summary["status"], summary["step"]) == ("done", 30)
    assert summary["best"]["test/accuracy"] > 0.75
    rows = RunFolder(path).rows()
    assert [row["step"] for row in rows] == [5, 10, 15, 20, 25, 30]
    best = max(
        (row for row in rows if "validation/accuracy" in row), key=lambda row: row["validation/accuracy"]
    )
    assert summary["best"]["step"] == best["step"]
    assert summary["best"]["test/accuracy"] == best["test/accuracy"]
    environment = json.loads((path / "environment.json").read_text())[0]
    assert environment["packages"]["torch"] == torch.__version__.split("+")[0] or torch.__version__


def test_a_finished_run_returns_at_once(genreg: Genreg, tmp_path: Path) -> None:
    first = genreg("train", *SMOKE)
    (path,) = runs(tmp_path)
    before = {file: file.stat().st_mtime_ns for file in path.iterdir()}
    again = genreg("train", *SMOKE)
    assert again.code == 0
    assert again.out.endswith(first.out)
    assert "finished already" in again.out
    assert {file: file.stat().st_mtime_ns for file in path.iterdir()} == before
    (path / "curves.png").unlink()  # a kill after the last step
    for left in ("checkpoint-000000025-0.pt", "checkpoint-000000030-0.pt.unfinished"):
        (path / left).touch()
    genreg("train", *SMOKE)
    assert (path / "curves.png").exists()
    assert not list(path.glob("checkpoint-*"))
    (path / "checkpoint-000000025-0.pt").touch()
    genreg("train", "-m", *SMOKE)
    assert not list(path.glob("checkpoint-*"))


@pytest.mark.full
def test_more_steps_are_a_run_of_their_own_and_say_so(genreg: Genreg, tmp_path: Path) -> None:
    genreg("train", *SMOKE)
    (path,) = runs(tmp_path)
    said = f"starts from the beginning: {path.relative_to(tmp_path)} has 30 steps"
    assert said in genreg("train", *SMOKE, "steps=31").out
    for other in (["steps=32", "optimizer.lr=0.5"], ["steps=33", "seed=1"], ["steps=31"]):
        assert "starts from the beginning" not in genreg("train", *SMOKE, *other).out, other


@pytest.mark.full
def test_a_finished_run_needs_no_torch(genreg: Genreg, tmp_path: Path) -> None:
    """Nor does a look at its data."""
    given = [*SMOKE, "dataset=table", "dataset.labeled=20", f"data_dir={write_table(tmp_path)}"]
    assert genreg("train", *given).code == 0
    code = f"import sys; sys.argv = ['genreg', 'train', *{given}]; from genreg.__main__ import main; main()"
    command = [sys.executable, "-c", code + "; assert 'torch' not in sys.modules"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0


@pytest.mark.full
def test_a_dry_run_of_finished_jobs_needs_no_torch(tmp_path: Path) -> None:
    """Of jobs that are left the values are checked, by the classes that they are for."""
    small = ["train", "-m", "experiment=smoke/none", "steps=2", "seed=0,1", "logger=none", "quiet=true"]
    subprocess.run([sys.executable, "-m", "genreg", *small], cwd=tmp_path, check=True)
    code = "import sys; from genreg.__main__ import main; main(); assert 'torch' not in sys.modules"
    command = [sys.executable, "-c", code, *small, "--dry-run"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.full
def test_what_names_the_folder(genreg: Genreg, tmp_path: Path) -> None:
    """Seed and plumbing do not make another experiment; anything else does."""
    same = [[], ["quiet=true"], ["checkpoint_every=7"], ["logger=tensorboard"], ["seed=1"], ["data_dir=."]]
    other = [["steps=29"], ["regularizer.vat.epsilon=0.4"], ["log_every=6"], ["precision=tf32"], ["name=a/b"]]
    for extra in same:
        assert genreg("train", *SMOKE, *extra).code == 0
    assert [path.name for path in runs(tmp_path)] == ["seed=0", "seed=1"]
    for extra in other:
        assert genreg("train", *SMOKE, *extra).code == 0
    assert len({path.parent for path in runs(tmp_path)}) == 1 + len(other)


def test_one_configuration_however_it_was_typed(genreg: Genreg, tmp_path: Path) -> None:
    typed = ["dataset=two_moons", "regularizer=vat", "model.widths=[16]", "steps=30", "eval_every=10",
             "log_every=5", "optimizer.lr=0.03", "name=smoke/vat", "logger=none"]  # fmt: skip
    genreg("train", *SMOKE)
    assert "finished already" in genreg("train", *typed).out


@pytest.mark.full
def test_a_number_is_a_number(genreg: Genreg, tmp_path: Path) -> None:
    """1, 1.0 and 1e0 are one run and one arm, for a count, a weight, a list and the seed; true is not 1."""
    same = ["experiment=smoke/vat", "device=cpu", "steps=2", "quiet=false"]
    genreg("train", *same)
    for typed in ("steps=2e0", "steps=2.0", "model.widths=[16.0]", "seed=0.0"):
        assert "finished already" in genreg("train", *same, typed).out, typed
    assert len(runs(tmp_path)) == 1
    for twice in ("seed=1,1.0", "optimizer.lr=1,2,1e0"):
        refused = genreg("train", "-m", *same, twice)
        assert (refused.code, len(refused.err.splitlines())) == (2, 1)
        assert "sweep: expected no run twice" in refused.err
    assert experiment_hash({"a": True}) != experiment_hash({"a": 1})


def test_an_arm_begun_when_numbers_were_hashed_as_typed_goes_on_there(tmp_path: Path) -> None:
    def config(weight: float) -> dict[str, Any]:
        return {"name": "a", "steps": 3, "weight": weight, "output_dir": str(tmp_path), "seed": 1,
                "regularizer": {}, "dataset": {}}  # fmt: skip

    text = json.dumps({k: v for k, v in config(1.0).items() if k not in PLUMBING}, sort_keys=True)
    before = tmp_path / f"a-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    assert run_path(config(1.0)) == run_path(config(1)) != before / "seed=1"
    before.mkdir()
    assert run_path(config(1.0)) == before / "seed=1"
    assert same_run(config(1.0)) == same_run(config(1))


@pytest.mark.full
def test_multirun_shares_nothing_but_the_command(genreg: Genreg, tmp_path: Path) -> None:
    answer = genreg("train", "-m", "experiment=smoke/none,smoke/vat", "seed=range(2)", "device=cpu")
    assert answer.code == 0
    assert answer.out.count("test/accuracy") == 4
    assert len(runs(tmp_path)) == 4
    alone = genreg("train", *SMOKE, "seed=1", "output_dir=alone")
    assert alone.code == 0
    (single,) = runs(tmp_path / "alone")
    swept = next(path for path in runs(tmp_path / "outputs") if "vat-" in str(path) and path.name == "seed=1")
    assert (single / "metrics.jsonl").read_bytes() == (swept / "metrics.jsonl").read_bytes()


@pytest.mark.full
def test_several_methods_at_once(genreg: Genreg, tmp_path: Path) -> None:
    answer = genreg("train", *SMOKE, "regularizer=[vat,entropy]", "regularizer.vat.epsilon=0.5", "name=null")
    assert answer.code == 0
    (path,) = runs(tmp_path)
    assert path.parent.name.startswith("entropy+vat-")
    assert {"train/vat", "train/entropy"} <= set(RunFolder(path).rows()[0])


@pytest.mark.full
def test_the_order_in_which_methods_are_typed_names_nothing(genreg: Genreg, tmp_path: Path) -> None:
    for methods in ("[vat,noise_consistency]", "[noise_consistency,vat]"):
        assert genreg("train", *SMOKE, "name=null", f"regularizer={methods}").code == 0
    assert len(runs(tmp_path)) == 1


@pytest.mark.full
def test_what_an_unchosen_option_leaves_behind_is_dropped_and_said(genreg: Genreg, tmp_path: Path) -> None:
    same = ["regularizer=entropy", "dataset=two_moons", "steps=2", "optimizer.lr=0.01", "model.dropout=0.0",
            "name=null", "logger=none"]  # fmt: skip
    answer = genreg("train", "experiment=vat_200/vat", *same)
    assert answer.code == 0, answer.err
    assert "regularizer.vat is set but not chosen: left out" in answer.out
    (path,) = runs(tmp_path)
    assert list(OmegaConf.load(path / "config.yaml").regularizer) == ["entropy"]
    assert "finished already" in genreg("train", "experiment=vat_200/supervised", *same).out


@pytest.mark.full
def test_hydra_flags(genreg: Genreg) -> None:
    shown = genreg("train", "--cfg", "job", *SMOKE)
    assert OmegaConf.create(shown.out).regularizer.vat._target_ == "genreg.regularizer.VAT"
    assert "provider" in genreg("train", "--info", "searchpath").out.lower()
    assert "Hydra" in genreg("train", "--hydra-help").out


@pytest.mark.full
def test_more_options_from_a_folder(genreg: Genreg, tmp_path: Path) -> None:
    extra = tmp_path / "mine" / "model" / "tiny.yaml"
    extra.parent.mkdir(parents=True)
    extra.write_text("# my own tiny network\n_target_: genreg.model.MLP\nwidths: [2]\n")
    assert genreg("train", "--config-dir", "mine", *SMOKE, "model=tiny").code == 0
    assert "my own tiny network" in genreg("train", "--config-dir", "mine", "--help").out


@pytest.mark.full
def test_overrides_may_stand_behind_a_flag(genreg: Genreg, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert genreg("train", "steps=7", "--config-dir", "mine", *SMOKE).code == 0
    (path,) = runs(tmp_path)
    assert RunFolder(path).summary()["step"] == 7
    shown = genreg("train", "steps=7", "--cfg", "job", *SMOKE)
    assert (OmegaConf.create(shown.out).name, OmegaConf.create(shown.out).steps) == ("smoke/vat", 7)


@pytest.mark.full
@pytest.mark.parametrize("many", [[], ["-m"]])
def test_what_the_hydra_node_asks_of_a_run(
    genreg: Genreg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: list[str]
) -> None:
    """Variables of the environment, the log's form and the talkative loggers hold in a run and in a sweep."""

    def told(_config: Any, **_options: Any) -> dict[str, Any]:
        logging.getLogger("genreg.told").debug("%s", os.environ.get("MINE"))
        return {"status": "done"}

    for place in ("genreg.cli.one.train", "genreg.study.job.train"):  # workers are forked from here
        monkeypatch.setattr(place, told)
    asked = ["+hydra.job.env_set.MINE=hello", "hydra.verbose=[genreg.told]",
             "hydra.job_logging.formatters.simple.format='said: %(message)s'"]  # fmt: skip
    answer = genreg("train", *many, *SMOKE, "quiet=true", *asked)
    assert answer.code == 0, answer
    logs = [path.read_text() for path in tmp_path.rglob("job.log")]
    assert "said: hello" in (logs[0] if many else answer.out)
    assert "MINE" not in os.environ
    logging.getLogger("genreg.told").setLevel(logging.NOTSET)


@pytest.mark.full
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["regularizer=vat", "seed=3"], "-m 'regularizer=[none],[vat]' 'seed=range(5)'"),
        (
            ["regularizer=vat", "regularizer.vat.epsilon=0.3", "output_dir=a b", "steps=2"],
            "-m ++regularizer.vat.epsilon=0.3 'output_dir=a b' steps=2 'regularizer=[none],[vat]' "
            "'seed=range(5)'",
        ),
        (["steps=2", "seed=3"], "steps=2 regularizer=vat"),
        (["task=wgan", "steps=2"], "-m task=wgan steps=2 'seed=range(5)'"),
        (
            ["task=wgan", "steps=2", "regularizer=[gradient_penalty]"],
            "-m task=wgan steps=2 'regularizer=[none],[gradient_penalty]' 'seed=range(5)'",
        ),
        (
            ["experiment=smoke/vat", "regularizer.vat.epsilon=0.3", "seed=3"],
            "-m experiment=smoke/vat regularizer.vat.epsilon=0.3 'seed=range(10)'",
        ),
        (
            ["--config-dir", ".", "experiment=smoke/vat", "name=null"],
            "--config-dir . -m experiment=smoke/vat name=null 'regularizer=[none],[vat]' 'seed=range(5)'",
        ),
    ],
)
def test_what_to_type_next(
    genreg: Genreg, monkeypatch: pytest.MonkeyPatch, typed: list[str], expected: str
) -> None:
    """It keeps what was typed, and composes."""
    monkeypatch.setattr("genreg.cli.one.train", lambda config, **_: {})
    answer = genreg("train", *typed)
    assert answer.out == f"next: genreg train {expected}\n"
    many = ["--dry-run"] if "-m" in expected else []
    again = genreg(*shlex.split(answer.out)[2:], *many)
    assert again.code == 0, again


@pytest.mark.full
def test_what_to_type_after_a_repeated_run(genreg: Genreg, tmp_path: Path) -> None:
    """Its task is known by its class, whatever its module is called."""
    assert option_of("task", "genreg.task.landscape.Minimi") is None
    genreg("train", "task=landscape", "model.replicas=2", "model.d=3", "steps=2", "logger=none")
    (first,) = runs(tmp_path)
    answer = genreg("train", "--like", str(first), "steps=3")
    assert "next: genreg train -m task=landscape steps=3 'seed=range(5)'" in answer.out


@pytest.mark.parametrize("option", yaml_options("task"))
def test_the_suggestion_of_a_task_is_read_from_its_text(option: str) -> None:
    target = nodes("task")[option]["_target_"]
    assert (attribute_of(target, "suggests") or ()) == vars(resolve_name(target)).get("suggests", ())


def test_debug_shows_the_traceback(genreg: Genreg, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Traceback" not in genreg("train", "steps=0").err
    monkeypatch.setenv("GENREG_DEBUG", "1")
    assert "Traceback" in genreg("train", "steps=0").err


def test_a_diverged_run_is_recorded_as_failed(genreg: Genreg, tmp_path: Path) -> None:
    answer = genreg("train", "experiment=smoke/l2", "optimizer=sgd", "optimizer.lr=1e30", "device=cpu")
    assert answer.code == 1
    assert "diverged: " in answer.err
    (path,) = runs(tmp_path)
    assert RunFolder(path).summary()["status"] == "failed"
    assert "at step" in RunFolder(path).summary()["reason"]


@pytest.mark.full
def test_quiet(genreg: Genreg) -> None:
    for _ in range(2):  # trained, then found finished
        assert genreg("train", *SMOKE, "quiet=true") == Result(0, "", "")
