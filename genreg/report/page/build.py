"""Puts the page together."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from genreg.installed import __version__
from genreg.report.draw.lines import chip
from genreg.report.figures import figures
from genreg.report.figures.samples import samples
from genreg.report.judge.datasets import Matrix, matrices
from genreg.report.judge.result import PartResult
from genreg.report.page.effects import effects
from genreg.report.page.rows import rows
from genreg.report.tell import matrix
from genreg.report.tell.columns import caption
from genreg.report.tell.numbers import sign, titled
from genreg.report.tell.summary import overview

HERE = Path(__file__).parent


def page(results: Sequence[PartResult], base: Path) -> str:
    """The page; links to run folders are relative to `base`, the folder that it will lie in."""
    loader = PackageLoader("genreg.report.page", "")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)  # fmt: skip
    environment.filters["sign"] = sign
    environment.globals["chip"] = chip
    style, script = ((HERE / name).read_text() for name in ("page.css", "page.js"))
    parts = [_part(number, result, base) for number, result in enumerate(results)]
    return environment.get_template("page.html.jinja").render(
        parts=parts, overview=overview(results), effects=effects(results), version=__version__,
        matrices=[_matrix(number, found) for number, found in enumerate(matrices(results))],
        style=Markup(style), script=Markup(script), style_hash=_hash(style), script_hash=_hash(script),
        claims=[(p["id"], p["result"].part.name, judged) for p in parts for judged in p["result"].claims],
    )  # fmt: skip


def _hash(text: str) -> str:
    """The hash by which a content security policy allows a text to run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _matrix(number: int, found: Matrix) -> dict[str, Any]:
    return {
        "id": f"matrix-{number}", "group": found.group, "caption": matrix.caption(found),
        "titles": matrix.titles(found), "rows": matrix.rows(found),
    }  # fmt: skip


def _part(number: int, result: PartResult, base: Path) -> dict[str, Any]:
    return {
        "id": f"part-{number}", "result": result, "caption": caption(result),
        "metric": titled(result.part.metric, result.metric), "rows": rows(number, result, base),
        "figures": figures(result), "samples": samples(result),
    }  # fmt: skip
