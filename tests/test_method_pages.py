"""docs/methods: a short page for a method says what each of its parameters is."""

from pathlib import Path

import pytest
from conftest import REPOSITORY, yaml_options
from omegaconf import OmegaConf

from genreg import CONFIGS

PAGES = sorted((REPOSITORY / "docs" / "methods").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_short_and_names_every_parameter(page: Path) -> None:
    assert page.stem in yaml_options("regularizer")
    text = page.read_text()
    assert len(text.splitlines()) <= 40
    assert text.startswith(f"# {page.stem}\n")
    parameters = set(OmegaConf.load(CONFIGS / "regularizer" / f"{page.stem}.yaml")) - {"_target_"}
    assert {name for name in parameters if f"| `{name}` |" not in text} == set()
    for part in ("**Source**", "**Helps**", "**Logged**", "**Differences from the source**", "**Cost**"):
        assert part in text
    assert "\ngenreg train " in text
