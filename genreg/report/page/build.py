"""One HTML page of all parts, with its figures inside."""

import base64
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemBytecodeCache, PackageLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup

from genreg.download import default_data_dir
from genreg.groups import __version__
from genreg.report.draw.forest import NARROW, WIDE
from genreg.report.draw.lines import chip
from genreg.report.figures import figures
from genreg.report.figures.effects import effects
from genreg.report.figures.grids import grids
from genreg.report.figures.landscape import samples
from genreg.report.judge.result import Matrix, PartResult, matrices
from genreg.report.output.claims import told
from genreg.report.output.columns import caption
from genreg.report.output.numbers import sign, titled
from genreg.report.output.summary import answer, overview
from genreg.report.output.tables import matrix_caption, matrix_rows, matrix_titles
from genreg.report.page.rows import rows

HERE = Path(__file__).parent


class Compiled(FileSystemBytecodeCache):
    """Compiled templates in the user's cache: to compile them takes longer than to report on one run.

    jinja2 says by the template's text and its own version whether one still holds.
    """

    def load_bytecode(self, bucket: Bucket) -> None:
        with suppress(Exception):  # none is there, or one that is damaged: pickle may raise anything
            super().load_bytecode(bucket)

    def dump_bytecode(self, bucket: Bucket) -> None:
        with suppress(OSError):
            Path(self.directory).mkdir(parents=True, exist_ok=True)
            super().dump_bytecode(bucket)


def page(results: Sequence[PartResult], base: Path | None) -> str:
    """The page; links to run folders are relative to `base`, the folder that it will lie in, or left out."""
    loader = PackageLoader("genreg.report.page", "")
    compiled = Compiled(str(default_data_dir() / "templates"))
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True, bytecode_cache=compiled)  # fmt: skip
    environment.filters["sign"] = sign
    environment.globals["chip"] = chip
    style, script = ((HERE / name).read_text() for name in ("page.css", "page.js"))
    parts = [_part(number, result, base) for number, result in enumerate(results)]
    return environment.get_template("page.html.jinja").render(
        parts=parts, overview=overview(results), asked=_asked(parts), terms=_terms(results),
        effects=_effects(results), version=__version__,
        matrices=[_matrix(number, found) for number, found in enumerate(matrices(results))],
        style=Markup(style), script=Markup(script), style_hash=_hash(style), script_hash=_hash(script),
        claims=[(p["id"], p["result"].part.name, one) for p in parts for one in told(p["result"].claims)[0]],
        untold=told([one for result in results for one in result.claims])[1],
    )  # fmt: skip


@dataclass(frozen=True)
class Effects:
    """The forest for wide and for narrow screens."""

    caption: str
    wide: Markup
    narrow: Markup


def _effects(results: Sequence[PartResult]) -> Effects | None:
    found = effects(results)
    return Effects(found.title, found.svg(WIDE), found.svg(NARROW)) if found else None


def _asked(parts: Sequence[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The parts under the question that they answer."""
    found: dict[str, list[dict[str, Any]]] = {}
    for part in parts:
        found.setdefault(part["result"].part.question or "", []).append(part)
    return list(found.items())


def _terms(results: Sequence[PartResult]) -> set[str]:
    """The words to explain: of what a page has none, it says nothing."""
    arms = [arm for result in results for arm in result.arms]
    found = {
        "failed": any(arm.failed for arm in arms), "tuning": any(arm.tuning for arm in arms),
        "remark": any(arm.remark for arm in arms), "looks": any(r.part.looks for r in results),
        "times": any(r.part.threshold for r in results), "margin": any(r.part.margin for r in results),
    }  # fmt: skip
    return {word for word, there in found.items() if there}


def _hash(text: str) -> str:
    """The hash by which a content security policy allows a text to run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _matrix(number: int, found: Matrix) -> dict[str, Any]:
    return {
        "id": f"matrix-{number}", "group": found.group, "caption": matrix_caption(found),
        "titles": matrix_titles(found), "rows": matrix_rows(found),
    }  # fmt: skip


def _part(number: int, result: PartResult, base: Path | None) -> dict[str, Any]:
    varied = grids(result)  # the answer of a grid, which stands before its list
    return {
        "id": f"part-{number}", "result": result, "caption": caption(result), "answer": answer(result),
        "metric": titled(result.part.metric, result.metric), "rows": rows(number, result, base),
        "varied": varied, "figures": figures(result)[len(varied) :], "samples": samples(result),
    }  # fmt: skip
