"""A report as text to read: for the terminal, as Markdown or LaTeX."""

from collections.abc import Sequence
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from genreg.report.cells import Column, caption, columns
from genreg.report.reference import Judged
from genreg.report.result import ArmResult, PartResult

STYLES = {"better": "green", "reproduced": "green", "worse": "red", "not reproduced": "red"}
LATEX = {ord(c): "\\" + c for c in "&%$#_{}"} | {ord(c): f"${c}$" for c in "<>"}
LATEX |= {
    ord(c): rf"\text{name}{{}}"
    for c, name in zip("\\~^", ("backslash", "asciitilde", "asciicircum"), strict=True)
}
MARKDOWN = {ord(c): "\\" + c for c in "|`*["} | {ord("<"): "&lt;", ord(">"): "&gt;", ord("&"): "&amp;"}


def show(results: Sequence[PartResult], console: Console | None = None) -> None:
    """Print every part on the terminal."""
    console = console or Console()
    for result in results:
        found, arms = columns(result), result.arms
        title = Text(f"{result.part.name}: {caption(result)}")
        whole = _table(title, found, arms)
        if console.measure(whole).minimum <= console.width and console.width >= 120:
            console.print(whole)
        else:
            split = next(k for k, column in enumerate(found) if column.kind == "difference")
            console.print(_table(title, found[:split], arms))
            console.print(_table(None, [found[0], *found[split:]], arms))
        for judged in result.claims:
            word = (judged.verdict, STYLES.get(judged.verdict, "yellow"))
            console.print(Text.assemble(word, f": {_claim(judged)}"))
        for note in result.notes:
            console.print(Text(f"note: {note}", style="dim"))
        console.print()


def _table(title: Text | None, shown: Sequence[Column], arms: Sequence[ArmResult]) -> Table:
    """Some columns of a part's table."""
    table = Table(title=title, title_justify="left")
    for column in shown:
        side: Literal["left", "right"] = "right" if column.numeric else "left"
        table.add_column(Text(column.title), justify=side, overflow="fold", no_wrap=column.kind != "name")
    for arm in arms:
        cells = [column.cell(arm).text for column in shown]
        table.add_row(*(Text(text, style=STYLES.get(text, "")) for text in cells))
    return table


def markdown(results: Sequence[PartResult]) -> str:
    """Tables in Markdown."""
    lines = []
    for result in results:
        found = columns(result)
        lines += [f"## {_md(result.part.name)}", "", f"{_md(caption(result))}.", ""]
        lines += ["| " + " | ".join(_md(column.title) for column in found) + " |", "|" + "---|" * len(found)]
        for arm in result.arms:
            lines.append("| " + " | ".join(_md(column.cell(arm).text) for column in found) + " |")
        lines += ["", *(f"- **{j.verdict}**: {_md(_claim(j))}" for j in result.claims)]
        lines += [*(f"- note: {_md(note)}" for note in result.notes), ""]
    return "\n".join(lines)


def latex(results: Sequence[PartResult]) -> str:
    """One booktabs table a part."""
    lines = []
    for result in results:
        found = columns(result)
        sides = "".join("r" if column.numeric else "l" for column in found)
        lines += [r"\begin{table}", rf"\caption{{{_tex(f'{result.part.name}: {caption(result)}')}}}"]
        lines += [rf"\begin{{tabular}}{{{sides}}}", r"\toprule"]
        lines += [" & ".join(_tex(column.title) for column in found) + r" \\", r"\midrule"]
        for arm in result.arms:
            lines.append(" & ".join(_tex(column.cell(arm).text) for column in found) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
        lines += [*(f"% {_tex(note)}" for note in result.notes), ""]
    return "\n".join(lines)


def _claim(judged: Judged) -> str:
    published = f"; published: {'; '.join(judged.published)}" if judged.published else ""
    claim = judged.claim
    return f"{claim['claim']}: {judged.why} [{claim['source']}, {claim['status']}{published}]"


def _md(text: str) -> str:
    return text.translate(MARKDOWN)


def _tex(text: str) -> str:
    return text.translate(LATEX)
