"""A hook of mkdocs: the pages that are made from the package itself, so that nothing is typed twice.

pip install -e '.[docs]' && mkdocs build      # outputs/site
"""

import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer
import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from typer.testing import CliRunner

from genreg.cli.help import GROUPS
from genreg.cli.help import text as train_help
from genreg.cli.verbs import app
from genreg.groups import CONFIGS, files
from genreg.report.command import read_results
from genreg.report.output.summary import summary
from genreg.report.page import page as report_page
from genreg.run.factory import find_target
from genreg.study import archive

EXAMPLES = CONFIGS.parent / "examples"
STUDIES = sorted((CONFIGS.parent / "docs" / "studies").glob("*.zip"))
SHOWN = (".py", ".yaml", ".yml")


def on_files(found: Files, config: MkDocsConfig) -> Files:
    pages = {
        "reference/options.md": options(),
        "reference/commands.md": commands(),
        "examples.md": examples(),
        "studies/index.md": ["# Studies\n", *listed("")],
    }
    for path in STUDIES:
        text, html = study(path)
        pages |= {f"studies/{path.stem}.md": [text], f"studies/{path.stem}.html": [html]}
    for name, lines in pages.items():
        found.append(File.generated(config, name, content="\n".join(lines)))
    return found


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Links to examples lead to the page that shows them; findings, to the studies that can be checked."""
    if page.file.src_uri == "findings.md":
        markdown += "\n\n## Studies\n\n" + "\n".join(listed("studies/"))
    return re.sub(r"\]\(\.\./examples/(\w+)[^)]*\)", r"](examples.md#\1)", markdown)


def options() -> Iterator[str]:
    """Every option of every group: what its target says of itself, and its keys with their defaults."""
    yield "# Options\n\nEvery key may be typed after its group: `regularizer.vat.epsilon=0.5`.\n"
    for group, meaning in GROUPS.items():
        yield f"## {group}\n\n{meaning[0].upper()}{meaning[1:]}.\n"
        for name, path in files(group).items():
            content = path.read_text().strip()
            yield f"### {group}={name}\n"
            yield from documentation(yaml.safe_load(content))
            yield from block(content, "yaml")


def documentation(node: Any) -> Iterator[str]:
    if (
        isinstance(node, dict)
        and "_target_" in node
        and (text := inspect.getdoc(find_target(node, "target")))
    ):
        yield text.split("\n\n")[0].replace("\n", " ") + "\n"


def commands() -> Iterator[str]:
    """The help of every verb, as the terminal has it."""
    yield "# Commands\n"
    yield "## genreg train\n"
    yield from block(train_help())
    for name in sorted({*typer.main.get_command(app).commands} - {"train"}):  # type: ignore[attr-defined]
        yield f"## genreg {name}\n"
        yield from block(CliRunner().invoke(app, [name, "--help"], prog_name="genreg").output)


def examples() -> Iterator[str]:
    yield "# Examples\n\nEach folder is what `--config-dir` names; tests run each as it stands.\n"
    for folder in sorted(path for path in EXAMPLES.iterdir() if path.is_dir() and path.name[0] not in "._"):
        yield f"## {folder.name}\n"
        for path in shown(folder):
            yield f"`{path.relative_to(EXAMPLES)}`\n"
            yield from block(path.read_text(), "python" if path.suffix == ".py" else "yaml")


def listed(folder: str) -> Iterator[str]:
    """A line for each packed study."""
    yield "The runs of each are packed here: its report is made of them, and anyone can check it.\n"
    yield from (f"- [{path.stem}]({folder}{path.stem}.md)" for path in STUDIES)


def study(path: Path) -> tuple[str, str]:
    """The page of a packed study: its summary, and what checks it; and its report as a page of its own."""
    with archive.opened([path]) as places:
        results = read_results(places)
        text, html = summary(results), report_page(results, None)
    file, stem = f"docs/studies/{path.name}", path.stem
    links = f"[The whole report, with figures]({stem}.html), [the runs]({path.name}). In a checkout:\n"
    commands = f"genreg report {file}\ngenreg check {file} --rerun 5"
    return "\n".join([text.rstrip(), "\n## Check it\n", links, *block(commands)]), html


def shown(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in SHOWN)


def block(content: str, language: str = "text") -> Iterator[str]:
    yield f"```{language}\n{content.strip()}\n```\n"
