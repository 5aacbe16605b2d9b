"""docs/methods: every method has a line in the index and a short page that names each of its parameters."""

import re

import pytest
from conftest import REPOSITORY, yaml_options
from omegaconf import OmegaConf

from genreg import CONFIGS

FOLDER = REPOSITORY / "docs" / "methods"
METHODS = [name for name in yaml_options("regularizer") if name != "none"]


@pytest.mark.parametrize("method", METHODS)
def test_a_page_is_short_and_names_every_parameter(method: str) -> None:
    text = (FOLDER / f"{method}.md").read_text()
    assert len(text.splitlines()) <= 46
    assert text.startswith(f"# {method}\n")
    parameters = set(OmegaConf.load(CONFIGS / "regularizer" / f"{method}.yaml")) - {"_target_"}
    assert {name for name in parameters if f"| `{name}` |" not in text} == set()
    parts = (
        "Source",
        "Helps",
        "Logged",
        "Differences from the source",
        "In the paper, in common code",
        "Cost",
    )
    for part in parts:
        assert f"**{part}**" in text
    assert "\ngenreg train " in text


def test_the_index_has_every_method_once() -> None:
    links = re.findall(r"(?m)^\| \[(\w+)\]\((\w+)\.md\) \|", (FOLDER / "README.md").read_text())
    assert sorted(links) == [(method, method) for method in METHODS]


def test_no_page_is_of_a_method_that_is_gone() -> None:
    assert {page.stem for page in FOLDER.glob("*.md")} - {"README"} == set(METHODS)
