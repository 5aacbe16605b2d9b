"""One HTML page of all parts, with its figures inside."""

import base64
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from genreg.groups import __version__
from genreg.report.draw.forest import NARROW, WIDE, Effect, Group, forest
from genreg.report.draw.lines import chip
from genreg.report.figures import figures
from genreg.report.figures.landscape import samples
from genreg.report.judge.result import ArmResult, Matrix, PartResult, matrices, plotted_arms
from genreg.report.output.columns import caption, difference
from genreg.report.output.numbers import sign, titled
from genreg.report.output.summary import overview
from genreg.report.output.tables import matrix_caption, matrix_rows, matrix_titles
from genreg.report.page.rows import rows

HERE = Path(__file__).parent


def page(results: Sequence[PartResult], base: Path | None) -> str:
    """The page; links to run folders are relative to `base`, the folder that it will lie in, or left out."""
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


ROWS = 60  # beyond which only the best arms of each part are shown


@dataclass(frozen=True)
class Forest:
    """The same picture for wide and for narrow screens."""

    caption: str
    wide: Markup
    narrow: Markup


def effects(results: Sequence[PartResult]) -> Forest | None:
    """All effects of all parts in one picture; None where nothing is compared."""
    most = max(1, ROWS // max(1, len(results)))
    many = sum(len(result.arms) for result in results) > ROWS
    found = [(n, r, _arms(r, most if many else None)) for n, r in enumerate(results)]
    groups = [_group(n, result, arms) for n, result, arms in found if arms]
    if not groups:
        return None
    one = "one run (or study)" if any(result.part.fresh for result in results) else "one run"
    caption = (
        f"Each arm minus its baseline, in standard deviations of {one} of its part (pooled over its arms), "
        "with its interval; right is better. An arrow: beyond the scale."
    )
    left = sum(bool(a.comparison) for r in results for a in r.arms) - sum(len(g.effects) for g in groups)
    caption += f" {left} more arms are in the tables below." if left else ""
    title = "All effects. " + caption
    return Forest(caption, forest(title, groups, WIDE), forest(title, groups, NARROW))


def _arms(result: PartResult, most: int | None) -> list[tuple[int, ArmResult]]:
    """The compared arms with their place in the table; of many, the best."""
    best = [id(arm) for _, arm in plotted_arms(result)]
    found = [(k, arm) for k, arm in enumerate(result.arms) if arm.comparison]
    return found if most is None else [(k, arm) for k, arm in found if id(arm) in best][:most]


def _group(number: int, result: PartResult, arms: Sequence[tuple[int, ArmResult]]) -> Group:
    name = f"{result.part.name}: {titled(result.part.metric, result.metric)} minus {result.part.baseline}"
    name += "" if result.metric.better else " (right is larger)"
    unit = pooled(result)
    return Group(
        f"#part-{number}", name, [_effect(f"#arm-{number}-{k}", result, arm, unit) for k, arm in arms]
    )


def pooled(result: PartResult) -> float:
    """The standard deviation of one run, over seeds, pooled over the arms; NaN where there is none."""
    both = [(len(arm.values) - 1, arm.sd) for arm in result.arms if math.isfinite(arm.sd) and not arm.apart]
    freedom = sum(n for n, _ in both)
    found = math.sqrt(sum(n * sd**2 for n, sd in both) / freedom) if freedom else math.nan
    return found or math.nan


def _effect(link: str, result: PartResult, arm: ArmResult, unit: float) -> Effect:
    found, way = arm.comparison, -1 if result.metric.better == "min" else 1
    assert found
    mean, *ends = (way * v / unit for v in (found.mean, found.low, found.high))
    low, high = sorted(ends) if all(map(math.isfinite, ends)) else (math.nan, math.nan)
    return Effect(link, arm.arm.name, arm.verdict, mean, low, high, difference(found, result.metric))


def _hash(text: str) -> str:
    """The hash by which a content security policy allows a text to run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _matrix(number: int, found: Matrix) -> dict[str, Any]:
    return {
        "id": f"matrix-{number}", "group": found.group, "caption": matrix_caption(found),
        "titles": matrix_titles(found), "rows": matrix_rows(found),
    }  # fmt: skip


def _part(number: int, result: PartResult, base: Path | None) -> dict[str, Any]:
    return {
        "id": f"part-{number}", "result": result, "caption": caption(result),
        "metric": titled(result.part.metric, result.metric), "rows": rows(number, result, base),
        "figures": figures(result), "samples": samples(result),
    }  # fmt: skip
