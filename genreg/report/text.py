"""A report as text to read: for the terminal, as Markdown or LaTeX."""

from collections.abc import Sequence
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from genreg.report.cells import Cell, caption, cells, headers, versus
from genreg.report.reference import Judged
from genreg.report.tables import PartResult

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
        names, rows = headers(result), [cells(result, arm) for arm in result.arms]
        title = Text(f"{result.part.name}: {caption(result)}")
        split = names.index(versus(result))
        whole = _table(title, names, rows, range(len(names)))
        if console.measure(whole).minimum <= console.width and console.width >= 120:
            console.print(whole)
        else:
            console.print(_table(title, names, rows, range(split)))
            console.print(_table(None, names, rows, [0, *range(split, len(names))]))
        for judged in result.claims:
            word = (judged.verdict, STYLES.get(judged.verdict, "yellow"))
            console.print(Text.assemble(word, f": {_claim(judged)}"))
        for note in result.notes:
            console.print(Text(f"note: {note}", style="dim"))
        console.print()


def _table(title: Text | None, names: list[str], rows: list[list[Cell]], columns: Sequence[int]) -> Table:
    """Some columns of a part's table."""
    table = Table(title=title, title_justify="left")
    for k in columns:
        side: Literal["left", "right"] = "left" if names[k] in ("arm", "verdict") else "right"
        table.add_column(Text(names[k]), justify=side, overflow="fold", no_wrap=k > 0)
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


def _claim(judged: Judged) -> str:
    published = f"; published: {'; '.join(judged.published)}" if judged.published else ""
    claim = judged.claim
    return f"{claim['claim']}: {judged.why} [{claim['source']}, {claim['status']}{published}]"


def _md(text: str) -> str:
    return text.translate(MARKDOWN)


def _tex(text: str) -> str:
    return text.translate(LATEX)
