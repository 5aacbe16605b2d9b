"""docs/methods: every method has a line in the index and a short page that names each of its parameters."""

import re

import pytest
from conftest import REPOSITORY, yaml_options
from omegaconf import OmegaConf

from genreg import CONFIGS

FOLDER = REPOSITORY / "docs" / "methods"
METHODS = [name for name in yaml_options("regularizer") if name != "none"]


PARTS = ("Source", "Helps", "Logged", "Differences from the source", "In the paper, in common code", "Cost")


@pytest.mark.parametrize("method", METHODS)
def test_a_page_is_short_and_names_every_parameter(method: str) -> None:
    page, yaml = FOLDER / f"{method}.md", CONFIGS / "regularizer" / f"{method}.yaml"
    parameters = set(OmegaConf.load(yaml)) - {"_target_"}
    if not page.is_file():
        rows = " ".join(f"| `{name}` | unit, range | meaning |" for name in sorted(parameters))
        parts = ", ".join(f"**{part}**" for part in PARTS)
        message = f"is missing: write in at most 46 lines `# {method}`, a formula, {parts}, a table"
        pytest.fail(f"docs/methods/{method}.md {message} with {rows} and a command", pytrace=False)
    text = page.read_text()
    assert len(text.splitlines()) <= 46
    assert text.startswith(f"# {method}\n")
    assert {name for name in parameters if f"| `{name}` |" not in text} == set()
    for part in PARTS:
        assert f"**{part}**" in text
    assert "\ngenreg train " in text


def test_the_index_has_every_method_once() -> None:
    links = re.findall(r"(?m)^\| \[(\w+)\]\((\w+)\.md\) \|", (FOLDER / "README.md").read_text())
    if missing := set(METHODS) - {name for name, _ in links}:
        line = "| [NAME](NAME.md) | what it does | source | time | operations |"
        pytest.fail(f"docs/methods/README.md: write a line {line} for {', '.join(missing)}", pytrace=False)
    assert sorted(links) == [(method, method) for method in METHODS]


def test_no_page_is_of_a_method_that_is_gone() -> None:
    assert {page.stem for page in FOLDER.glob("*.md")} - {"README"} <= set(METHODS)
