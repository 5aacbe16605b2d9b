"""What stands around the code: the name of the distribution, the citation, the example for CI."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import REPOSITORY

from genreg.errors import extra
from genreg.groups import __version__

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
TEXTS = [
    path
    for folder in ("genreg", "configs", "docs", "scripts", "examples")
    for path in (REPOSITORY / folder).rglob("*")
    if path.suffix in (".py", ".md", ".yaml", ".yml")
]


def test_nothing_tells_pip_to_fetch_the_name_of_another_project() -> None:
    """`genreg` on the public index is not this one: what is printed names the checkout."""
    assert PROJECT["name"] != "genreg"
    assert PROJECT["scripts"] == {"genreg": "genreg.__main__:main"}
    for path in [REPOSITORY / "README.md", *TEXTS]:
        for command in re.findall(r"pip install [^`&\n]*", path.read_text()):
            assert not re.search(r"(^|[\s'\"])genreg\b", command), f"{path}: {command}"
    names = {name for path in TEXTS for name in re.findall(r"\bextra\(['\"](\w+)['\"]\)", path.read_text())}
    assert names == {"text", "notebook", "slurm", "optuna", "trackio", "mlflow"}
    assert names < PROJECT["optional-dependencies"].keys()
    assert extra("text") == "`pip install -e '.[text]'` in the checkout"


def test_citation_and_project_say_the_same() -> None:
    citation: dict[str, Any] = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "version", "license", "type"} <= citation.keys()
    assert citation["version"] == PROJECT["version"] == __version__
    assert citation["license"] == PROJECT["license"]
    assert citation["authors"] == PROJECT["authors"]
    assert citation["keywords"] == PROJECT["keywords"]


def test_the_image_runs_the_command_of_the_readme() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    ((install, start),) = re.findall(r"```\n(pip install .*?) && (genreg train .*?)\n", readme)
    about, *lines = (REPOSITORY / "Dockerfile").read_text().splitlines()
    said = dict(line.split(" ", 1) for line in lines)
    assert said["RUN"] == install.replace("pip install", "pip install --no-cache-dir")
    assert json.loads(said["ENTRYPOINT"]) == ["genreg"]
    assert about.endswith(f" {start}")
    python = re.fullmatch(r"python:(3\.\d+)-slim", said["FROM"])
    assert python
    assert f"Programming Language :: Python :: {python[1]}" in PROJECT["classifiers"]


@pytest.mark.full
def test_the_example_of_continuous_integration_runs(tmp_path: Path) -> None:
    workflow = yaml.safe_load((REPOSITORY / "examples" / "ci" / "workflow.yml").read_text())
    (tmp_path / "mine").symlink_to(REPOSITORY / "examples" / "my_method")
    (command := tmp_path / "genreg").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m genreg "$@"\n')
    command.chmod(0o755)
    path = os.pathsep.join((str(tmp_path), os.environ["PATH"]))
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PATH": path, "WANDB_MODE": "disabled"}
    for step in workflow["jobs"]["smoke"]["steps"]:
        if (script := step.get("run", "pip")) and not script.startswith("pip"):
            run = ["bash", "-eo", "pipefail", "-c", script]
            done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "compared").rglob("summary.json"))) == 4
