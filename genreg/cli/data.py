"""`genreg data`: list, fetch and verify data sets."""

from pathlib import Path
from typing import Annotated

import typer

from genreg.errors import GenregError, report

app = typer.Typer(no_args_is_help=True, help="List, fetch and verify data sets.")

DataDir = Annotated[
    Path | None, typer.Option(envvar="GENREG_DATA", help="where data sets lie; default: the user's cache")
]


@app.command("list")
def list_data(data_dir: DataDir = None) -> None:
    """Show every data set: size, licence, state (present, missing, damaged), source."""
    from rich.console import Console
    from rich.table import Table

    from genreg.download import SOURCES, default_data_dir, state

    folder = data_dir or default_data_dir()
    table = Table(title=f"data sets in {folder}", title_justify="left")
    for column in ("name", "MB", "licence", "state", "source"):
        table.add_column(column, overflow="fold", justify="right" if column == "MB" else "left")
    for source in SOURCES.values():
        size = f"{source.megabytes:.1f}"
        table.add_row(source.name, size, source.licence, state(source, folder), source.url)
    Console().print(table)


@app.command()
def fetch(names: list[str], data_dir: DataDir = None, url: str | None = None) -> None:
    """Download data sets and check their checksums; files in place are not fetched again."""
    from genreg.download import default_data_dir
    from genreg.download import fetch as fetch_source
    from genreg.download import source as find

    for source in [find(name) for name in names]:
        for path in fetch_source(source, data_dir or default_data_dir(), url):
            print(f"{source.name}: {path}")
        if not source.files:
            print(f"{source.name}: {source.url}, nothing to fetch")


@app.command()
def verify(data_dir: DataDir = None) -> None:
    """Check the checksum of every file in place; exit 2 if one is damaged."""
    from genreg.download import SOURCES, default_data_dir
    from genreg.download import verify as verify_file

    folder = data_dir or default_data_dir()
    files = {folder / s.name / name: digest for s in SOURCES.values() for name, digest in s.files.items()}
    damaged = 0
    for path, digest in files.items():
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
