"""`genreg data`: list, fetch and verify data sets, which are the options of the group `dataset`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genreg.errors import GenregError, report
from genreg.groups import find_modules_in, nodes

if TYPE_CHECKING:
    from genreg.download import Source

app = typer.Typer(no_args_is_help=True, help="List, fetch and verify data sets.")

DataDir = Annotated[
    Path | None, typer.Option(envvar="GENREG_DATA", help="where data sets lie; default: the user's cache")
]
ConfigDir = Annotated[
    Path | None, typer.Option("--config-dir", "-cd", help="a folder with more options, and their modules")
]


@app.command("list")
def list_data(data_dir: DataDir = None, config_dir: ConfigDir = None) -> None:
    """Show every data set: size, licence, state (present, missing, damaged, nothing to fetch), source."""
    from rich.console import Console
    from rich.table import Table

    from genreg.download import default_data_dir, state

    folder = data_dir or default_data_dir()
    table = Table(title=f"data sets in {folder}", title_justify="left")
    for column in ("name", "MB", "licence", "state", "source"):
        table.add_column(column, overflow="fold", justify="right" if column == "MB" else "left")
    for name, source in _sources(config_dir).items():
        size = f"{source.megabytes:.1f}" if source.megabytes else ""
        table.add_row(name, size, source.licence, state(source, folder), source.url)
    Console().print(table)


@app.command()
def fetch(
    names: list[str], data_dir: DataDir = None, url: str | None = None, config_dir: ConfigDir = None
) -> None:
    """Download data sets and check their checksums; files in place are not fetched again."""
    from genreg.download import NOTHING, by_name, called, default_data_dir
    from genreg.download import fetch as fetch_files

    known = _sources(config_dir)
    known = by_name(known.values()) | known  # a damaged file is told by its folder
    for name, source in [(name, called(name, known)) for name in names]:
        for path in fetch_files(source, data_dir or default_data_dir(), url):
            print(f"{name}: {path}")
        if not source.files:
            print(f"{name}: {source.url}, {NOTHING}")


@app.command()
def verify(data_dir: DataDir = None, config_dir: ConfigDir = None) -> None:
    """Check the checksum of every file in place; exit 2 if one is damaged."""
    from genreg.download import default_data_dir
    from genreg.download import verify as verify_file

    folder = data_dir or default_data_dir()
    digests = {
        folder / source.name / name: digest
        for source in _sources(config_dir).values()
        for name, digest in source.files.items()
    }
    damaged = 0
    for path, digest in digests.items():
        if not path.exists():
            print(f"missing {path}")
            continue
        try:
            verify_file(path, digest)
            print(f"ok      {path}")
        except GenregError as error:
            damaged += 1
            report(error)
    if damaged:
        raise typer.Exit(2)


def _sources(extra: Path | None) -> "dict[str, Source]":
    """The source of each data set, by its option. extra: a folder of more options and their modules."""
    from genreg.download import Source
    from genreg.run.sources import source_of

    find_modules_in(extra)
    return {
        name: source_of(node) or Source(name, 0.0, "", "no files declared")
        for name, node in nodes("dataset", extra).items()
    }
