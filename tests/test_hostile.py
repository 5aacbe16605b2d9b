"""Command lines that nobody should type: exit 1 or 2, one or two lines, nothing left behind."""

from collections.abc import Callable
from pathlib import Path

import hostile
import pytest
from conftest import Result
from synthetic import write_run

LINES = [pytest.param(line, marks=pytest.mark.slow if number % 11 and number % 3 else ())
         for number, line in enumerate(hostile.lines())]  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> list[Path]:
    """A folder with a file, an empty folder and finished runs; what lies in it."""
    for arm, value in (("none", 0.5), ("vat", 0.6)):
        for seed in range(2):
            write_run(tmp_path / "runs/digits" / f"{arm}-00000000/seed={seed}", value + seed**2 / 9)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    return sorted(tmp_path.rglob("*"))


@pytest.mark.every(11)
@pytest.mark.parametrize("line", LINES, ids=lambda line: " ".join(word[:40] for word in line))
def test_a_hostile_line(
    genreg: Callable[..., Result], tmp_path: Path, place: list[Path], line: hostile.Line
) -> None:
    answer = genreg(*line)
    assert answer.code in (1, 2), answer
    assert len(answer.err.strip().splitlines()) in (1, 2), answer.err
    assert answer.err.startswith("genreg: ")
    assert "GENREG_DEBUG" not in answer.err, answer.err  # foreseen: said with its key
    assert sorted(tmp_path.rglob("*")) == place
