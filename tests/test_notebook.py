"""`genreg.runs`, `genreg.rows` and `genreg.load`, and the examples that the documentation shows."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import pytest
import torch
import yaml
from conftest import REPOSITORY, Result
from synthetic import STEPS, write_run

import genreg as package
from genreg.errors import InputError
from genreg.run.trained import log

Genreg = Callable[..., Result]
SHORT = ["steps=20", "eval_every=10", "log_every=10", "logger=none", "device=cpu", "quiet=true"]
DOCUMENT = (REPOSITORY / "docs" / "notebook.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
TASKS = {
    "classify": ["regularizer=[spectral_normalization,vat]", "model.batch_norm=true", "model.widths=[16]"],
    "wgan": ["experiment=wgan_sn_toy/sn", "measure.lipschitz.samples=50", "dataset.items=2000"],
    "landscape": ["experiment=anti_pgd_matrix_sensing/gd", "model.replicas=3"],
    "regression": ["dataset=diabetes", "loss=mse", "optimizer=anti_pgd"],
}


def trained(genreg: Genreg, *overrides: str) -> Path:
    """The folder of one short run."""
    answer = genreg("train", *SHORT, *overrides)
    assert answer.code == 0, answer.err
    (summary,) = Path("outputs").rglob("summary.json")
    return summary.parent


@pytest.mark.full
def test_the_documents_examples_run(genreg: Genreg, capfd: pytest.CaptureFixture[str]) -> None:
    matplotlib.use("agg")
    (command,) = re.findall(r"```\ngenreg (train .*)\n```", DOCUMENT)
    assert "'regularizer=[none],[vat]' optimizer.lr=1e-3,3e-3" in command
    grid = ["-m", "regularizer=[none],[vat]", "optimizer.lr=1e-3,3e-3", "seed=range(2)"]
    assert genreg("train", *grid, *SHORT).code == 0
    space: dict[str, Any] = {}
    for block in BLOCKS:
        exec(block, space)
    assert len(space["table"]) == 8
    assert len(space["pairs"]) == 4
    recorded = json.loads((Path(space["folder"]) / "summary.json").read_text())["best"]
    assert capfd.readouterr().out.splitlines()[-1] == str(recorded["test/accuracy"])
    assert Path("curves.pdf").stat().st_size > 0


@pytest.mark.parametrize("block", BLOCKS)
def test_the_examples_are_short(block: str) -> None:
    assert len(block.splitlines()) <= 11


def test_import_is_light() -> None:
    code = (
        "import sys, genreg; assert {'load', 'rows', 'runs'} <= set(dir(genreg))\n"
        "assert not {'torch', 'pandas', 'yaml', 'numpy'} & set(sys.modules)\n"
        "genreg.runs; assert not {'torch', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY)
    with pytest.raises(AttributeError, match="no attribute 'run_all'"):
        _ = package.run_all


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A run of vat that finished, and one without methods that failed."""
    config = {"name": None, "seed": 0, "device": "auto", "dataset": {"_target_": "genreg.dataset.digits"},
              "model": {"_target_": "genreg.model.MLP", "widths": [8]},
              "regularizer": {"vat": {"_target_": "genreg.regularizer.VAT", "epsilon": 0.5}}}  # fmt: skip
    write_run(tmp_path / "digits/vat-0000000a/seed=3", 0.9, config=yaml.safe_dump(config))
    none = yaml.safe_dump(config | {"regularizer": {}})
    failed: dict[str, Any] = {"status": "failed", "reason": "diverged", "best": None}
    write_run(tmp_path / "digits/none-0000000b/seed=4", 0.1, config=none, **failed)
    return tmp_path


def test_runs_has_a_row_for_each_run(recorded: Path) -> None:
    none, vat = package.runs(recorded).to_dict("records")
    assert (vat["folder"], vat["name"], vat["seed"]) == (
        str(recorded / "digits/vat-0000000a/seed=3"), "digits/vat", 3)  # fmt: skip
    assert (vat["status"], vat["step"], vat["seconds"], vat["best/step"]) == ("done", STEPS, 3.0, 20)
    assert (vat["best/test/accuracy"], vat["last/test/accuracy"]) == (0.9, 0.1)
    assert (vat["regularizer"], vat["regularizer.vat.epsilon"], vat["model"]) == ("vat", 0.5, "mlp")
    assert vat["model.widths"] == (8,)
    assert (none["status"], none["reason"], none["regularizer"]) == ("failed", "diverged", "none")
    assert none["best/test/accuracy"] != none["best/test/accuracy"]  # NaN
    assert len(none["arm"]) == 8
    assert none["arm"] != vat["arm"]


def test_rows_are_what_was_recorded(recorded: Path) -> None:
    table = package.rows(recorded / "digits/vat-0000000a")
    assert table["validation/accuracy"].tolist() == [0.2, 0.9, 0.1]
    assert table["step"].tolist() == [10, 20, 30]
    assert table["seconds"].tolist() == [1.0, 2.0, 3.0]
    assert set(table.name) == {"digits/vat"}
    (recorded / "digits/vat-0000000a/seed=3/metrics.jsonl").write_text("{\n")
    with pytest.raises(InputError, match=r"metrics\.jsonl: expected a row on every line"):
        package.rows(recorded)


def test_tables_without_runs_or_pandas(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="a folder with runs at or below it"):
        package.runs(recorded / "nowhere")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match=re.escape("pip install -e '.[notebook]'")):
        package.runs(recorded)


@pytest.mark.every(8)
@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("weights", ["best", "last"])
def test_what_is_loaded_gives_the_recorded_numbers(genreg: Genreg, name: str, weights: Any) -> None:
    folder = trained(genreg, *TASKS[name])
    before = torch.get_rng_state()
    found = package.load(folder, weights)
    assert torch.equal(torch.get_rng_state(), before)
    summary = json.loads((folder / "summary.json").read_text())
    row = summary[weights] or summary["last"]
    assert {"step": row["step"], **found.task.evaluate(), **found.task.conditions} == row
    assert not any(module.training for module in found.model.modules())
    assert (found.dataset is None) == (name == "landscape")
    assert found.config["steps"] == 20


@pytest.mark.full
def test_best_and_last_are_other_weights(genreg: Genreg) -> None:
    folder = trained(genreg, "optimizer.lr=0.3", "steps=30")
    best, last = (package.load(folder, w).model.state_dict() for w in ("best", "last"))  # type: ignore[arg-type]
    saved = torch.load(folder / "weights.pt", weights_only=True)
    assert all(torch.equal(best[key], saved[key]) for key in saved)
    assert not all(torch.equal(best[key], last[key]) for key in best)


@pytest.mark.full
def test_a_generator_is_the_average_that_was_judged(genreg: Genreg) -> None:
    found = package.load(trained(genreg, *TASKS["wgan"]))
    assert found.config["task"]["ema_decay"] > 0
    task: Any = found.task
    for ours, average in zip(found.model.generator.parameters(), task.average.parameters(), strict=True):  # type: ignore[union-attr]
        assert torch.equal(ours, average)


@pytest.mark.full
@pytest.mark.parametrize("way", ["argument", "environment"])
def test_data_may_lie_elsewhere(
    genreg: Genreg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    (tmp_path / "here").mkdir()
    folder = trained(genreg, f"data_dir={tmp_path / 'here'}")
    (tmp_path / "here").rename(tmp_path / "there")
    package.load(folder)  # digits need no folder, and that of the run is gone
    for place, error in ((tmp_path / "there", None), (tmp_path / "here", "data_dir: expected an existing")):
        if way == "environment":
            monkeypatch.setenv("GENREG_DATA", str(place))
        given = {"data_dir": place} if way == "argument" else {}
        if error is None:
            package.load(folder, **given)
        else:
            with pytest.raises(InputError, match=error):
                package.load(folder, **given)


@pytest.mark.full
def test_other_code_and_other_data_are_told(genreg: Genreg, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(log, "warning", lambda text, *values: said.append(text % values))
    items = [f"{k % 7},{k % 5},{k % 2}" for k in range(60)]
    Path("mine.csv").write_text("\n".join(["a,b,y", *items]))
    folder = trained(genreg, "dataset=table", "dataset.path=mine.csv", "dataset.target=y", "data_dir=.")
    package.load(folder)
    assert said == []
    Path("mine.csv").write_text("\n".join(["a,b,y", *reversed(items)]))
    (start,) = json.loads((folder / "environment.json").read_text())
    start["code"]["model"]["digest"] = "0" * 64
    (folder / "environment.json").write_text(json.dumps([start]))
    package.load(folder)
    assert [line.partition(": ")[0] for line in said] == [
        "trained with other code of model (genreg/model/mlp.py)", "trained on other data"]  # fmt: skip
    assert "mine.csv is not what it was" in said[1]


@pytest.mark.full
def test_what_cannot_be_loaded_is_said_in_a_line(genreg: Genreg, tmp_path: Path) -> None:
    folder = trained(genreg)

    def said(path: Path, **options: Any) -> str:
        with pytest.raises(InputError) as caught:
            package.load(path, **options)
        return str(caught.value)

    assert str(folder) in said(Path("outputs")).splitlines()[1]  # the nearest
    assert said(tmp_path / "nowhere").startswith("run_folder: expected a run's folder")
    assert "weights: expected best or last, got 'first'" in said(folder, weights="first")
    assert "device: expected one of auto, cpu" in said(folder, device="cuda:9")

    def copy(name: str) -> Path:
        return Path(shutil.copytree(folder, tmp_path / name / "seed=0"))

    (other := copy("other")).joinpath("config.yaml").write_text(
        (folder / "config.yaml").read_text().replace("- 256", "- 128")
    )
    assert "weights of the model that config.yaml and the code of today make" in said(other)
    (bare := copy("bare")).joinpath("config.yaml").unlink()
    assert "config.yaml: expected a configuration with task" in said(bare)
    (damaged := copy("damaged")).joinpath("weights.pt").write_bytes(b"no tensors")
    assert "weights.pt: expected tensors that torch.save wrote" in said(damaged)
    (unfinished := copy("unfinished")).joinpath("weights.pt").unlink()
    summary = json.loads((folder / "summary.json").read_text())
    (unfinished / "summary.json").write_text(json.dumps(summary | {"status": "interrupted"}))
    assert "a finished run, which has a weights.pt" in said(unfinished)
    assert "(interrupted)" in said(unfinished)
