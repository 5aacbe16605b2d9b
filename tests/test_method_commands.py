"""docs/methods: every command on a page runs as it is printed."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import REPOSITORY, Result

COMMANDS = [
    pytest.param(command, id=f"{page.stem}-{k}")
    for page in sorted((REPOSITORY / "docs" / "methods").glob("*.md"))
    for k, command in enumerate(re.findall(r"(?m)^genreg [^\n]+|(?<=`)genreg [^`]+(?=`)", page.read_text()))
]
SHORT = ["steps=2", "eval_every=2", "quiet=true", "output_dir=out", "logger=none", "device=cpu"]


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_it_runs(command: str, genreg: Callable[..., Result], data_dir: Path, tmp_path: Path) -> None:
    result = genreg(*shlex.split(command)[1:], *SHORT, f"data_dir={data_dir}")
    assert result.code == 0, result.err
    assert list(tmp_path.glob("out/**/summary.json"))
