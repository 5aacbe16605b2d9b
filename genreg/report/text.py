"""A report as text: for the terminal, as Markdown, CSV, JSON or LaTeX."""

import csv
import dataclasses
import io
import json
import math
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from genreg.report.cells import Cell, caption, cells, headers
from genreg.report.reference import Judged
from genreg.report.tables import ArmResult, PartResult

STYLES = {"better": "green", "reproduced": "green", "worse": "red", "not reproduced": "red"}
LATEX = str.maketrans({"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
                       "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"})  # fmt: skip
MARKDOWN = str.maketrans({"|": r"\|", "<": "&lt;", ">": "&gt;", "&": "&amp;", "`": r"\`", "*": r"\*", "[": r"\["})


def show(results: Sequence[PartResult], console: Console | None = None) -> None:
    """Print every part on the terminal."""
    console = console or Console()
    for result in results:
        names, rows = headers(result), [cells(result, arm) for arm in result.arms]
        title = Text(f"{result.part.name}: {caption(result)}")
        split = names.index(f"minus {result.part.baseline}")
        whole = _table(title, names, rows, range(len(names)))
        if console.measure(whole).minimum <= console.width and console.width >= 120:
            console.print(whole)
        else:
            console.print(_table(title, names, rows, range(split)))
            console.print(_table(None, names, rows, [0, *range(split, len(names))]))
        for judged in result.claims:
            console.print(Text.assemble((judged.verdict, STYLES.get(judged.verdict, "yellow")), f": {_claim(judged)}"))
        for note in result.notes:
            console.print(Text(f"note: {note}", style="dim"))
        console.print()


def _table(title: Text | None, names: list[str], rows: list[list[Cell]], columns: Sequence[int]) -> Table:
    """Some columns of a part's table."""
    table = Table(title=title, title_justify="left")
    for k in columns:
        wrap = "fold" if k == 0 else "ellipsis"
        table.add_column(Text(names[k]), justify="left" if names[k] in ("arm", "verdict") else "right", overflow=wrap)
    for row in rows:
        table.add_row(*(Text(row[k].text, style=STYLES.get(row[k].text, "")) for k in columns))
    return table


def markdown(results: Sequence[PartResult]) -> str:
    """Tables in Markdown."""
    lines = []
    for result in results:
        names = headers(result)
        lines += [f"## {_md(result.part.name)}", "", f"{_md(caption(result))}.", ""]
        lines += ["| " + " | ".join(map(_md, names)) + " |", "|" + "---|" * len(names)]
        lines += ["| " + " | ".join(_md(c.text) for c in cells(result, arm)) + " |" for arm in result.arms]
        lines += ["", *(f"- **{j.verdict}**: {_md(_claim(j))}" for j in result.claims)]
        lines += [*(f"- note: {_md(note)}" for note in result.notes), ""]
    return "\n".join(lines)


def latex(results: Sequence[PartResult]) -> str:
    """One booktabs table a part."""
    lines = []
    for result in results:
        names = headers(result)
        rows = [[cell.text for cell in cells(result, arm)] for arm in result.arms]
        lines += [r"\begin{table}", rf"\caption{{{_tex(f'{result.part.name}: {caption(result)}')}}}"]
        lines += [rf"\begin{{tabular}}{{l{'r' * (len(names) - 2)}l}}", r"\toprule"]
        lines += [" & ".join(map(_tex, names)) + r" \\", r"\midrule"]
        lines += [" & ".join(map(_tex, row)) + r" \\" for row in rows]
        lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
        lines += [*(f"% {_tex(note)}" for note in result.notes), ""]
    return "\n".join(lines)


def as_csv(results: Sequence[PartResult]) -> str:
    """One line for each arm, with plain numbers."""
    buffer = io.StringIO()
    rows = [_plain(result, arm) for result in results for arm in result.arms]
    writer = csv.DictWriter(buffer, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def as_json(results: Sequence[PartResult]) -> str:
    """Everything, down to each run's value, folder and the command that makes it."""
    parts = [_part(result) for result in results]
    return json.dumps(_finite({"parts": parts}), indent=1, allow_nan=False) + "\n"


def _part(result: PartResult) -> dict[str, Any]:
    part = result.part
    return {
        "name": part.name, "metric": part.metric, "mode": part.mode, "select": part.select,
        "baseline": part.baseline, "threshold": part.threshold, "command": part.command,
        "arms": [{**_plain(result, arm), "varied": arm.arm.values, "runs": _runs(arm)} for arm in result.arms],
        "claims": [{**j.claim, "verdict": j.verdict, "why": j.why} for j in result.claims], "notes": result.notes,
    }  # fmt: skip


def _runs(arm: ArmResult) -> list[dict[str, Any]]:
    values: dict[int, Any] = {}
    for (seed, replica), value in arm.values.items():
        values[seed] = value if replica is None else [*values.get(seed, []), value]
    command = arm.arm.command
    return [
        {"seed": run.seed, "status": run.status, "reason": run.summary.get("reason"), "folder": str(run.path),
         "command": with_seed(command, run.seed), "value": values.get(run.seed)}
        for run in arm.arm.runs.values()
    ]  # fmt: skip


def with_seed(command: str, seed: int) -> str:
    """The command of one run of an arm."""
    return command.replace("seed=N", f"seed={seed}")


def _plain(result: PartResult, arm: ArmResult) -> dict[str, Any]:
    found = dataclasses.asdict(arm.comparison) if arm.comparison else {}
    names = ("n", "mean", "low", "high", "p", "adjusted", "wilcoxon", "permutation", "detectable")
    return {
        "part": result.part.name, "arm": arm.arm.name, "metric": result.part.metric, "n": len(arm.values),
        "failed": arm.failed, "unfinished": arm.unfinished, "mean": arm.mean, "sd": arm.sd, "median": arm.median,
        "selected_on": sum(arm.chosen) / len(arm.chosen) if arm.chosen else None,
        **{f"difference_{name}": found.get(name) for name in names}, "verdict": arm.verdict,
        "reached": arm.reached if arm.times else None,
        "median_steps": arm.median_time("steps") if arm.times else None,
        "median_seconds": arm.median_time("seconds") if arm.times else None, "time_p": arm.times_p,
    }  # fmt: skip


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: both become null."""
    if isinstance(value, dict):
        return {key: _finite(node) for key, node in value.items()}
    if isinstance(value, list):
        return [_finite(node) for node in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _claim(judged: Judged) -> str:
    published = f"; published: {judged.published}" if judged.published else ""
    return f"{judged.claim['claim']}: {judged.why} [{judged.claim['source']}, {judged.claim['status']}{published}]"


def _md(text: str) -> str:
    return text.translate(MARKDOWN)


def _tex(text: str) -> str:
    return text.translate(LATEX)
