"""The method of docs/your_method.md, as it stands there: from a folder of one's own, and in the package."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

PAGE = (REPOSITORY / "docs/your_method.md").read_text()
CODE, YAML = (
    re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[1]  # type: ignore[index]
    for language in ("python", "yaml")
)
TRAIN = ["train", "regularizer=[vat,mine]", "steps=20", "eval_every=10", "logger=none", "device=cpu"]


def train(root: Path, folder: Path, *more: str) -> str:
    """Train with the package in `root` from an empty folder; what the run recorded."""
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-m", "genreg", *TRAIN, *more]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    (rows,) = folder.glob("outputs/digits/*/seed=0/metrics.jsonl")
    return rows.read_text()


@pytest.mark.full
def test_its_rows_are_the_same_from_a_folder_and_inside_the_package(tmp_path: Path) -> None:
    (own := tmp_path / "own" / "regularizer").mkdir(parents=True)
    (own.parent / "confidence_penalty.py").write_text(CODE)
    (own / "mine.yaml").write_text(YAML)
    outside = train(REPOSITORY, own.parent, "--config-dir", str(own.parent))

    inside = tmp_path / "inside"
    shutil.copytree(REPOSITORY / "genreg", inside / "genreg")
    shutil.copytree(REPOSITORY / "configs", inside / "configs")
    shutil.copytree(REPOSITORY / "hydra_plugins", inside / "hydra_plugins")
    (inside / "genreg" / "regularizer" / "confidence_penalty.py").write_text(CODE)
    target = YAML.replace("confidence_penalty.", "genreg.regularizer.")
    (inside / "configs" / "regularizer" / "mine.yaml").write_text(target)
    export = "from genreg.regularizer.confidence_penalty import ConfidencePenalty as ConfidencePenalty\n"
    with (inside / "genreg" / "regularizer" / "__init__.py").open("a") as file:
        file.write(export)
    assert train(inside, inside) == outside
    assert "train/mine" in outside


def test_the_example_is_what_readme_shows() -> None:
    example = (REPOSITORY / "examples" / "my_method" / "confidence_penalty.py").read_text()
    for line in CODE.splitlines():
        assert line.strip('"\n .') in example, line
    assert (REPOSITORY / "examples" / "my_method" / "regularizer" / "mine.yaml").read_text() == YAML


@pytest.mark.parametrize("language", ["python", "yaml"])
def test_it_is_short(language: str) -> None:
    assert len((CODE if language == "python" else YAML).splitlines()) <= 20
