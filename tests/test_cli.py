"""The command line as a person uses it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import REPOSITORY, SMOKE, Result, yaml_options
from omegaconf import OmegaConf

from genreg.run.folder import RunFolder

Genreg = Callable[..., Result]


def runs(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.rglob("summary.json"))


@pytest.mark.parametrize("option", [o for o in yaml_options("experiment") if o.startswith("smoke/")])
def test_smoke(genreg: Genreg, tmp_path: Path, option: str) -> None:
    answer = genreg("train", f"experiment={option}", "device=cpu")
    assert answer.code == 0, answer.err
    assert "validation/accuracy" in answer.out
    assert f"next: genreg train -m experiment={option}" in answer.out
    (path,) = runs(tmp_path)
    assert path.relative_to(tmp_path / "outputs").as_posix().startswith(f"{option}-")
    names = {file.name for file in path.iterdir()} - {".lock"}
    assert names == {"config.yaml", "metrics.jsonl", "timing.jsonl", "summary.json", "environment.json",
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
    genreg("train", *SMOKE)
    assert (path / "curves.png").exists()


def test_a_finished_run_needs_no_torch(genreg: Genreg, tmp_path: Path) -> None:
    genreg("train", *SMOKE)
    code = f"import sys; sys.argv = ['genreg', 'train', *{SMOKE}]; from genreg.__main__ import main; main()"
    command = [sys.executable, "-c", code + "; assert 'torch' not in sys.modules"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0


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


def test_several_methods_at_once(genreg: Genreg, tmp_path: Path) -> None:
    answer = genreg("train", *SMOKE, "regularizer=[vat,entropy]", "regularizer.vat.epsilon=0.5", "name=null")
    assert answer.code == 0
    (path,) = runs(tmp_path)
    assert path.parent.name.startswith("vat+entropy-")
    assert {"train/vat", "train/entropy"} <= set(RunFolder(path).rows()[0])


def test_what_an_unchosen_option_leaves_behind_is_dropped_and_said(genreg: Genreg, tmp_path: Path) -> None:
    same = ["regularizer=entropy", "dataset=two_moons", "steps=2", "optimizer.lr=0.01", "model.dropout=0.0",
            "name=null", "logger=none"]  # fmt: skip
    answer = genreg("train", "experiment=vat_200/vat", *same)
    assert answer.code == 0, answer.err
    assert "regularizer.vat is set but not chosen: left out" in answer.out
    (path,) = runs(tmp_path)
    assert list(OmegaConf.load(path / "config.yaml").regularizer) == ["entropy"]
    assert "finished already" in genreg("train", "experiment=vat_200/supervised", *same).out


def test_hydra_flags(genreg: Genreg) -> None:
    shown = genreg("train", "--cfg", "job", *SMOKE)
    assert OmegaConf.create(shown.out).regularizer.vat._target_ == "genreg.regularizer.VAT"
    assert "provider" in genreg("train", "--info", "searchpath").out.lower()
    assert "Hydra" in genreg("train", "--hydra-help").out


def test_more_options_from_a_folder(genreg: Genreg, tmp_path: Path) -> None:
    extra = tmp_path / "mine" / "model" / "tiny.yaml"
    extra.parent.mkdir(parents=True)
    extra.write_text("# my own tiny network\n_target_: genreg.model.MLP\nwidths: [2]\n")
    assert genreg("train", "--config-dir", "mine", *SMOKE, "model=tiny").code == 0
    assert "my own tiny network" in genreg("train", "--config-dir", "mine", "--help").out


def test_help_is_for_people(genreg: Genreg) -> None:
    page = genreg("train", "--help").out
    for part in ("regularizer=vat", "experiment=vat_200/vat", "-m", "steps=2000", "checkpoint_every=500"):
        assert part in page
    assert page.count("\n  genreg train ") == 5
    assert max(map(len, page.splitlines())) <= 140
    assert "train" in genreg("--help").out
    assert genreg("--version").out.strip() == "0.1.0"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("genreg tr", "train"),
        ("genreg train regularizer=v", "regularizer=vat"),
        ("genreg train optimizer.l", "optimizer.lr="),
    ],
)
def test_completion(genreg: Genreg, monkeypatch: pytest.MonkeyPatch, line: str, expected: str) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    assert expected in genreg("-sc", "query=bash").out.split()


@pytest.mark.parametrize("arguments", [["--help"], ["data", "list"], ["train", "--help"]])
def test_answers_without_torch_or_hydra(arguments: list[str], tmp_path: Path) -> None:
    code = """
import sys
from genreg.__main__ import main
try:
    main()
except SystemExit:
    pass
assert not {"torch", "hydra", "pooch", "numpy"} & set(sys.modules), sys.modules.keys()
"""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr.decode()


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


def test_quiet(genreg: Genreg) -> None:
    for _ in range(2):  # trained, then found finished
        answer = genreg("train", *SMOKE, "quiet=true")
        assert (answer.code, answer.out, answer.err) == (0, "", "")
