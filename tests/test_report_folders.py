"""What a run folder is, and how it is read back."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, Result
from omegaconf import OmegaConf
from synthetic import write_run

from genreg.report.evaluate import evaluate
from genreg.report.read.find import read_parts
from genreg.run.find import find_runs
from genreg.run.folder import RunFolder

CONFIG: dict[str, Any] = {
    "name": None, "seed": 3, "quiet": False,
    "regularizer": {"vat": {"xi": 1e-6, "epsilon": 1.0, "scope": "all"}}, "measure": {},
    "words": ["1e-6", "yes", "007", "1:30", "2020-01-01", "~", "é\n", "${oc.env:HOME}"], "large": 1e22,
    "infinite": float("inf"),
}  # fmt: skip
TEXT = """name: null
seed: 3
quiet: false
regularizer:
  vat:
    xi: 1.0e-06
    epsilon: 1.0
    scope: all
measure: {}
"""


def test_a_configuration_is_written_as_hydra_does_and_read_back_as_it_was(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_config(CONFIG)
    text = (tmp_path / "config.yaml").read_text()
    assert text.startswith(TEXT)
    assert text == OmegaConf.to_yaml(OmegaConf.create(CONFIG))
    assert folder.config() == CONFIG
    assert [type(value) for value in folder.config()["words"]] == [str] * 8


@pytest.mark.parametrize("text", ["- 1\n", "a: [", "", None])
def test_no_configuration_is_an_empty_one(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "config.yaml").write_text(text)
    assert RunFolder(tmp_path).config() == {}


def test_runs_are_found_by_name_or_by_what_they_hold(tmp_path: Path) -> None:
    for name in ("arm/seed=10", "arm/seed=2", "arm/seed=2/inside/seed=1", "b/deep/seed=0", "none/seed=x"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("arm/copied/metrics.jsonl", "b/renamed/summary.json"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("{}\n")
    (tmp_path / "seed=7").write_text("a file")
    found = [path.relative_to(tmp_path).as_posix() for path in find_runs(tmp_path)]
    assert found == ["arm/copied", "arm/seed=2", "arm/seed=10", "b/renamed", "b/deep/seed=0"]
    for name in found:
        assert list(find_runs(tmp_path / name)) == [tmp_path / name]


def test_a_run_called_otherwise_is_an_arm_of_its_own(genreg: Callable[..., Result], tmp_path: Path) -> None:
    for name, value in {"vat": 0.9, "none": 0.8}.items():
        write_run(tmp_path / "study" / name, value, config="seed: 4\n")
    (part,) = json.loads(genreg("report", "study", "--format", "json").out)["parts"]
    assert [(arm["arm"], arm["runs"][0]["seed"], arm["mean"]) for arm in part["arms"]] == [
        ("none", 4, 0.8), ("vat", 4, 0.9)]  # fmt: skip
    assert genreg("show", "study/vat").code == 0


def test_a_report_inside_of_a_run_folder_is_of_that_run(
    genreg: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write_run(tmp_path / "digits/vat-0123abcd/seed=5", 0.9))
    (part,) = json.loads(genreg("report", ".", "--format", "json").out)["parts"]
    assert (part["name"], part["arms"][0]["arm"], part["arms"][0]["runs"][0]["seed"]) == ("digits", "vat", 5)


@pytest.mark.full
def test_a_page_is_made_from_the_results_in_docs(tmp_path: Path) -> None:
    """Its differences, seeds and verdicts are those that docs/findings.md has from the runs themselves."""
    script = [sys.executable, "scripts/page_of_results.py", "docs/findings.json", str(tmp_path)]
    subprocess.run(script, check=True, cwd=REPOSITORY)
    cells = r"(\+|-)(\d+\.\d+) \[.*?\], (\d+) \| (better|worse|not decided)"
    table = re.findall(cells, (REPOSITORY / "docs/findings.md").read_text())[:5]
    for part, (sign, size, seeds, verdict) in zip(read_parts([tmp_path]), table, strict=False):
        vat = evaluate(part).find("vat")
        assert vat
        assert vat.comparison
        assert vat.comparison.mean * 100 == pytest.approx(float(sign + size), abs=0.011), part.name
        assert (len(vat.values), vat.verdict) == (int(seeds), verdict), part.name
