"""The studies that stand in the repository: every verdict that docs print of them is what their rows give."""

from collections.abc import Callable

import pytest
from conftest import REPOSITORY, Result

STUDIES = sorted((REPOSITORY / "docs/studies").glob("*.zip"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_an_archive_holds(genreg: Callable[..., Result], path: object) -> None:
    answer = genreg("check", str(path))
    assert answer.code == 0, answer.out + answer.err
    assert "all of it holds" in answer.out
    assert " 0 of " not in answer.out


def test_there_are_some() -> None:
    assert STUDIES
