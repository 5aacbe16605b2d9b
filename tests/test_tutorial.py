"""The commands of docs/tutorial.md, as they stand there, one after the other in one folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

PAGE = (REPOSITORY / "docs/tutorial.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"(?m)^```\n(.*?)^```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if not line.startswith("pip ")
]


@pytest.mark.slow
def test_every_command_does_what_the_page_says(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def run(command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        return done.stdout

    said = {command: run(command) for command in COMMANDS}
    first, *_ = said
    assert "recorded in outputs/digits/vat-" in said[first]
    assert "finished already" in run(first)
    (summary,) = (text for command, text in said.items() if "--format summary" in command)
    assert "vat" in summary
    (verdict,) = (text for command, text in said.items() if command.startswith("genreg compare"))
    assert "of the methods, as tuned" in verdict
    assert list(tmp_path.glob("outputs/*/report.html"))
