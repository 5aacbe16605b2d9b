"""`genreg report`: read, judge, print and write."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from genreg.errors import GenregError, InputError, nearest, unwritable
from genreg.files import write_atomic
from genreg.report.evaluate import evaluate_with_claims
from genreg.report.judge.result import PartResult
from genreg.report.output.columns import chosen_keys
from genreg.report.output.numbers import WORDS, renamed
from genreg.report.output.summary import as_csv, as_json, summary
from genreg.report.output.tables import latex, markdown, show
from genreg.report.read.find import read_parts
from genreg.run.folder import printable
from genreg.study import archive
from genreg.study.check import check_chooses
from genreg.study.model import Part

FORMATS = ("html", "markdown", "csv", "json", "latex", "summary")
SUFFIXES = {".html": "html", ".md": "markdown", ".csv": "csv", ".json": "json", ".tex": "latex"}
TEXTS: dict[str, Callable[[Sequence[PartResult]], str]] = {"json": as_json, "summary": summary}
TABLES: dict[str, Callable[[Sequence[PartResult], Sequence[str]], str]] = {
    "markdown": markdown, "csv": as_csv, "latex": latex,
}  # fmt: skip
"""Formats of text: of everything, and of tables, of which columns can be chosen."""


def report(
    folders: Sequence[Path],
    form: str | None = None,
    output: Path | None = None,
    baseline: str | None = None,
    metric: str | None = None,
    select: str | None = None,
    columns: str | None = None,
    rename: str | None = None,
) -> None:
    """Report on the runs below `folders`: on the terminal and as report.html, or in one format.

    Raises InputError for a folder without runs, an unknown format, arm, column or metric, or a choice on test
    data.
    """
    form = _format(form, output)
    chosen = chosen_keys(columns) if columns is not None else []
    if chosen and form not in (None, *TABLES):
        raise InputError("--columns", f"--format {', '.join(TABLES)}, or none: {form} has all", columns)
    archives = list(map(archive.archive_of, folders))
    path = output or (archives[0] or folders[0] / "report").with_suffix(".html")
    with archive.opened(folders) as places:
        results = read_results(places, baseline, metric, select, rename)
        if form in TEXTS:
            text = TEXTS[form](results)
        elif form in TABLES:
            text = TABLES[form](results, chosen)
        else:
            from genreg.report.page import page

            if form is None:
                show(results, chosen=chosen)
            text = page(results, None if any(archives) else path.parent)
    if form in (None, "html"):
        _write_page(text, path, form is None and output is None)
    else:
        write(text, output)


def _write_page(text: str, path: Path, unasked: bool) -> None:
    """Write the page; where nobody asked for it, that it cannot be written is a remark."""
    try:
        write(text, path)
        print(f"page: {path}")
    except GenregError as error:
        if not unasked:
            raise
        print(f"no page: {error}", file=sys.stderr)  # the tables above are an answer


def read_results(
    folders: Sequence[Path],
    baseline: str | None = None,
    metric: str | None = None,
    select: str | None = None,
    rename: str | None = None,
    others: Mapping[str, str] = MappingProxyType({}),
) -> list[PartResult]:
    """The results of all parts below `folders`, as the options of the command line want them.

    others: names of arms, or of words in them, that `rename` does not give.
    """
    parts = read_parts(folders)
    _override(parts, baseline, metric, select)
    names = rename_arms(parts, rename, others)
    return evaluate_with_claims(parts, names)


def rename_arms(parts: Sequence[Part], text: str | None, others: Mapping[str, str]) -> dict[str, str]:
    """Give arms the names in `old=new,...`, of an arm or of a word of its name; return all pairs."""
    pairs = [piece.partition("=") for piece in text.split(",")] if text is not None else []
    names = {old.strip(): printable(new.strip()) for old, _, new in pairs}
    arms = [arm.name for part in parts for arm in part.arms]
    known = dict.fromkeys([*arms, *(word.partition("=")[0] for arm in arms for word in WORDS.split(arm))])
    for old, new in names.items():
        if not new:
            raise InputError("--rename", "old=new, separated by commas", text)
        if old not in known:
            raise InputError("--rename", "an arm, or a word of its name", old, nearest(old, known))
    names = {**others, **names}
    for part in parts:
        part.baseline = renamed(part.baseline, names)
        for arm in part.arms:
            arm.name = renamed(arm.name, names)
        if len({arm.name for arm in part.arms}) < len(part.arms):
            raise InputError("--rename", f"different names for the arms of {part.name}", text)
    return names


def _format(form: str | None, output: Path | None) -> str | None:
    if form is None:
        found = SUFFIXES.get(output.suffix) if output else None
        if output and not found:
            raise InputError(
                "--output", f"a name that ends in {', '.join(SUFFIXES)}, or --format", str(output)
            )
        return None if found == "html" else found
    if form not in FORMATS:
        raise InputError("--format", f"one of {', '.join(FORMATS)}", form, nearest(form, FORMATS))
    return form


def _override(parts: list[Part], baseline: str | None, metric: str | None, select: str | None) -> None:
    """Put the options of the command line in the place of what the parts say."""
    names = {arm.name for part in parts for arm in part.arms}
    if baseline and baseline not in names:
        raise InputError("--baseline", "the name of an arm", baseline, nearest(baseline, names))
    for part in parts:
        if baseline and baseline in [arm.name for arm in part.arms]:
            part.baseline = baseline
        if metric and metric != part.metric:
            part.metric, part.mode, part.margin = metric, None, None  # those are of the sweep's own metric
        if select:
            check_chooses(part.describe(select), select, "--select")
            part.select, part.reselect = select, True


def write(content: str | bytes, output: Path | None) -> None:
    """Write a file whole or not at all; a text without one to stdout. InputError where it cannot be."""
    if output is None:
        sys.stdout.write(str(content))
        return
    try:
        with write_atomic(output) as file:
            file.write(content if isinstance(content, bytes) else content.encode(errors="replace"))
    except OSError as error:
        raise unwritable("--output", error, "a file that can be written") from error
