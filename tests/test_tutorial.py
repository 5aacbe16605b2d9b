"""The commands and the code of docs/tutorial.md and docs/notebook.md, as they stand there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY


def blocks(page: str, language: str) -> str:
    """All code of a page in this language; that of a terminal has none."""
    found = re.findall(r"(?m)^```(\w*)\n(.*?)^```", (REPOSITORY / page).read_text(), re.DOTALL)
    return "".join(content for own, content in found if own == language)


def commands(page: str) -> list[str]:
    return [line for line in blocks(page, "").splitlines() if not line.startswith("pip ")]


def python(page: str, folder: Path) -> str:
    """The output of the page's Python there."""
    return run(shlex.join([sys.executable, "-c", blocks(page, "python")]), folder)


def run(command: str, folder: Path) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "MPLBACKEND": "agg"}
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_every_command_does_what_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(REPOSITORY / "examples")
    said = {command: run(command, tmp_path) for command in commands("docs/tutorial.md")}
    first, *_ = said
    assert "recorded in outputs/digits/vat-" in said[first]
    assert "finished already" in run(first, tmp_path)
    (summary,) = (text for command, text in said.items() if "--format summary" in command)
    assert "vat" in summary
    (verdict,) = (text for command, text in said.items() if command.startswith("genreg compare"))
    assert "of the methods, as tuned" in verdict
    assert list(tmp_path.glob("outputs/*/report.html"))
    assert "VAT,lr=0.001 & 5 & $" in (tmp_path / "table.tex").read_text()
    assert (tmp_path / "effects.pdf").read_bytes().startswith(b"%PDF")
    table = python("docs/tutorial.md", tmp_path)
    assert len(re.findall(r"(?m)0\.00[13] +5 +0\.\d+ +0\.\d+$", table)) == 4


@pytest.mark.slow
def test_the_notebook_says_what_was_recorded(tmp_path: Path) -> None:
    """After its command, of twenty whole runs: their curves, and a trained model's own number again."""
    (command,) = commands("docs/notebook.md")
    run(command, tmp_path)
    *_, seconds, wrong, accuracy = python("docs/notebook.md", tmp_path).splitlines()
    assert " s in 20 runs, " in seconds
    found = re.fullmatch(r"\{.*\}: (\d+) of 500 wrong", wrong)
    assert found
    assert float(accuracy) == pytest.approx(1 - int(found[1]) / 500, abs=1e-6)
    assert (tmp_path / "curves.pdf").read_bytes().startswith(b"%PDF")
