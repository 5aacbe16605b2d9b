"""`genreg report`: read, judge, print and write."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from genreg.errors import GenregError, InputError, nearest, unwritable
from genreg.files import write_atomic
from genreg.report.evaluate import evaluate_with_claims
from genreg.report.judge.result import PartResult
from genreg.report.output.summary import as_csv, as_json, summary
from genreg.report.output.tables import latex, markdown, show
from genreg.report.read.find import read_parts
from genreg.study import archive
from genreg.study.check import check_chooses
from genreg.study.model import Part

FORMATS = ("html", "markdown", "csv", "json", "latex", "summary")
SUFFIXES = {".html": "html", ".md": "markdown", ".csv": "csv", ".json": "json", ".tex": "latex"}
TEXTS: dict[str, Callable[[Sequence[PartResult]], str]] = {
    "markdown": markdown, "csv": as_csv, "json": as_json, "latex": latex, "summary": summary,
}  # fmt: skip


def report(
    folders: Sequence[Path],
    form: str | None = None,
    output: Path | None = None,
    baseline: str | None = None,
    metric: str | None = None,
    select: str | None = None,
) -> None:
    """Report on the runs below `folders`: on the terminal and as report.html, or in one format.

    Raises InputError for a folder without runs, an unknown format, arm or metric, or a choice on test data.
    """
    form = _format(form, output)
    archives = list(map(archive.archive_of, folders))
    with archive.opened(folders) as places:
        parts = read_parts(places)
        _override(parts, baseline, metric, select)
        results = evaluate_with_claims(parts)
        if form in TEXTS:
            text, path = TEXTS[form](results), output
        else:
            from genreg.report.page import page

            path = output or (archives[0] or folders[0] / "report").with_suffix(".html")
            if form is None:
                show(results)
            text = page(results, None if any(archives) else path.parent)
    try:
        _write(text, path)
    except GenregError as error:
        if form or output:
            raise
        print(f"no page: {error}", file=sys.stderr)  # the tables above are an answer
        return
    if form not in TEXTS:
        print(f"page: {path}")


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


def _write(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    try:
        with write_atomic(output) as file:
            file.write(text.encode(errors="replace"))
    except OSError as error:
        raise unwritable("--output", error, "a file that can be written") from error
