"""A report as one HTML page that needs nothing else: no network, no script but its own."""

import base64
import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from genreg.installed import __version__
from genreg.report.cells import caption, columns, number, titled
from genreg.report.charts import drawn, figures, samples
from genreg.report.pairs import is_judged
from genreg.report.result import ArmResult, PartResult
from genreg.report.runs import Run
from genreg.report.svg import interval

HERE = Path(__file__).parent
TESTS = {"t": "paired t test", "signs": "sign flips", "ranks": "sign flips of differences in rank"}


@dataclass(frozen=True)
class RunLine:
    """One run in the list that a number links to."""

    seed: int
    status: str
    value: str
    seconds: str
    link: str
    folder: str
    command: str


def page(results: Sequence[PartResult], base: Path) -> str:
    """The page; links to run folders are relative to `base`, the folder that it will lie in."""
    loader = PackageLoader("genreg.report", "")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    style, script = ((HERE / name).read_text() for name in ("page.css", "page.js"))
    parts = [_part(number, result, base) for number, result in enumerate(results)]
    return environment.get_template("page.html.jinja").render(
        parts=parts, version=__version__, style=Markup(style), script=Markup(script),
        style_hash=_hash(style), script_hash=_hash(script),
        claims=[(p["id"], p["result"].part.name, judged) for p in parts for judged in p["result"].claims],
        runs=sum(len(arm.arm.runs) for result in results for arm in result.arms),
    )  # fmt: skip


def _hash(text: str) -> str:
    """What a content security policy calls a text that is allowed to run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _part(number_of: int, result: PartResult, base: Path) -> dict[str, Any]:
    colors = {arm.arm.name: color for color, arm in drawn(result)}
    found = columns(result)
    reach = max((abs(v) for arm in result.arms for v in _ends(arm)), default=1.0) or 1.0
    return {
        "id": f"part-{number_of}", "result": result, "columns": found, "caption": caption(result),
        "metric": titled(result.part.metric, result.metric),
        "figures": figures(result), "samples": samples(result),
        "arms": [
            {"id": f"runs-{number_of}-{k}", "name": arm.arm.name, "color": colors.get(arm.arm.name),
             "cells": [(column, column.cell(arm)) for column in found], "interval": _interval(arm, reach),
             "tests": _tests(result, arm), "runs": _runs(result, arm, base)}
            for k, arm in enumerate(result.arms)
        ],
    }  # fmt: skip


def _ends(arm: ArmResult) -> list[float]:
    ends = [arm.comparison.low, arm.comparison.high] if arm.comparison else []
    return list(filter(math.isfinite, ends))


def _interval(arm: ArmResult, reach: float) -> Markup | None:
    found = arm.comparison
    if not found or not math.isfinite(found.low):
        return None
    word = "open" if found.by == "ranks" else arm.verdict.split()[0]  # the verdict is not of what is drawn
    return interval(found.low, found.mean, found.high, reach, word)


def _tests(result: PartResult, arm: ArmResult) -> str:
    """Every test of the arm against the baseline, in one line."""
    found = arm.comparison
    if not found:
        return ""
    words = [f"{arm.arm.name} minus {result.part.baseline}, {found.n} pairs that both finished"]
    if math.isfinite(found.sd):
        words.append(f"{number(found.mean, result.metric, '+')}, sd {number(found.sd, result.metric)}")
    if not is_judged(found):
        return "; ".join([*words, arm.verdict])
    words.append(
        f"{TESTS[found.by]}, {found.pairs} pairs: p = {found.p:.3g} ({found.adjusted:.3g} after Holm)"
    )
    if not math.isnan(found.wilcoxon):
        words.append(f"Wilcoxon p = {found.wilcoxon:.3g}")
    if found.permutation is not None:
        words.append(f"exact sign flips p = {found.permutation:.3g}")
    return "; ".join(words)


def _runs(result: PartResult, arm: ArmResult, base: Path) -> list[RunLine]:
    values: dict[int, list[float]] = {}
    for (seed, _), value in arm.values.items():
        values.setdefault(seed, []).append(value)
    return [
        _line(run, values.get(run.seed, []), result, arm.arm.command_of(run.seed), base)
        for run in arm.arm.runs.values()
    ]


def _line(run: Run, values: list[float], result: PartResult, command: str, base: Path) -> RunLine:
    mean = sum(values) / len(values) if values else math.nan
    status = run.status if run.status != "failed" else f"failed: {run.reason}"
    folder = os.path.relpath(run.path, base)
    value = number(mean, result.metric)
    seconds = run.summary.get("seconds")
    shown = f"{seconds:.1f}" if isinstance(seconds, int | float) else ""
    link = "./" + quote(folder)  # a relative path whatever the name: never another scheme
    return RunLine(run.seed, status, value, shown, link, folder.encode(errors="replace").decode(), command)
