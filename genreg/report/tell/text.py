"""A report as text to read: for the terminal, as Markdown or LaTeX."""

from collections.abc import Sequence
from typing import Literal

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from genreg.report.judge.datasets import Matrix, matrices
from genreg.report.judge.result import ArmResult, PartResult
from genreg.report.tell import matrix
from genreg.report.tell.cells import Column, caption, columns
from genreg.report.tell.reference import Judged
from genreg.report.tell.terminal import terminal

TABLES = 4  # of a part; names that leave room for fewer columns make a list for each arm better
REMARK = 24  # columns that a remark has at least
STYLES = {"better": "green", "reproduced": "green", "worse": "red", "not reproduced": "red"}
LATEX = {ord(c): "\\" + c for c in "&%$#_{}"} | {ord(c): f"${c}$" for c in "<>"}
LATEX |= {
    ord(c): rf"\text{name}{{}}"
    for c, name in zip("\\~^", ("backslash", "asciitilde", "asciicircum"), strict=True)
}
MARKDOWN = {ord(c): "\\" + c for c in "|`*["} | {ord("<"): "&lt;", ord(">"): "&gt;", ord("&"): "&amp;"}


def show(results: Sequence[PartResult], console: Console | None = None) -> None:
    """Print every part: on a terminal as wide as it is, elsewhere a line for each arm and nothing cut."""
    console = console or terminal()
    for result in results:
        console.print(Text(f"{result.part.name}: {caption(result)}", style="italic"))
        for table in layout(columns(result), result.arms, console):
            console.print(table)
        for judged in result.claims:
            word = (judged.verdict, STYLES.get(judged.verdict, "yellow"))
            console.print(Text.assemble(word, f": {_claim(judged)}"))
        for note in result.notes:
            console.print(Text(f"note: {note}", style="dim"))
        console.print()
    for one in matrices(results):
        console.print(Text(matrix.caption(one), style="italic"))
        console.print(_across(one))
        console.print()


def layout(found: Sequence[Column], arms: Sequence[ArmResult], console: Console) -> list[RenderableType]:
    """As few tables as the width allows, each with the arms' names; else a list for each arm."""
    name, *rest = found
    widths = {column.title: _width(column, arms) for column in found}
    groups: list[list[Column]] = []
    for column in rest:
        wider = [*groups[-1], column] if groups else []
        if wider and 1 + sum(widths[c.title] + 3 for c in wider) <= console.width:
            groups[-1] = wider
        else:
            groups.append([name, column])
    if len(groups) <= TABLES and all(
        1 + sum(widths[c.title] + 3 for c in group) <= console.width for group in groups
    ):
        return [_table(group, arms) for group in groups]
    return [part for arm in arms for part in (Text(name.cell(arm).text, "bold"), _list(rest, arm))]


def _across(found: Matrix) -> Table:
    """The matrix of arms by data sets."""
    table = Table()
    for title in matrix.titles(found):
        table.add_column(Text(title), overflow="fold")
    for row in matrix.rows(found):
        table.add_row(*map(Text, row))
    return table


def _width(column: Column, arms: Sequence[ArmResult]) -> int:
    """What the column takes at least; only remarks are broken into lines."""
    longest = max(cell_len(text) for text in (column.title, *(column.cell(arm).text for arm in arms)))
    return min(longest, REMARK) if column.kind == "text" else longest


def _table(shown: Sequence[Column], arms: Sequence[ArmResult]) -> Table:
    """Some columns of a part's table."""
    table = Table()
    for column in shown:
        side: Literal["left", "right"] = "right" if column.numeric else "left"
        table.add_column(Text(column.title), justify=side, overflow="fold", no_wrap=column.kind != "text")
    for arm in arms:
        table.add_row(*(_styled(column, arm) for column in shown))
    return table


def _list(shown: Sequence[Column], arm: ArmResult) -> Table:
    """What is known of one arm, a line for each column."""
    table = Table(box=None, show_header=False, pad_edge=True, padding=(0, 0, 0, 2))
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for column in shown:
        if column.cell(arm).text:
            table.add_row(Text(column.title), _styled(column, arm))
    return table


def _styled(column: Column, arm: ArmResult) -> Text:
    text = column.cell(arm).text
    return Text(text, style=STYLES.get(text, ""))


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
    for one in matrices(results):
        titles = matrix.titles(one)
        lines += [f"## {_md(one.group)}", "", f"{_md(matrix.caption(one))}.", "", *_md_rows([titles])]
        lines += ["|" + "---|" * len(titles), *_md_rows(matrix.rows(one)), ""]
    return "\n".join(lines)


def _md_rows(rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(map(_md, row)) + " |" for row in rows]


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
