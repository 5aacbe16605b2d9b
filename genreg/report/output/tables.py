"""Results as tables in text: terminal, markdown and LaTeX."""

import math
import re
import statistics as simple
from collections.abc import Iterable, Sequence
from typing import Literal

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from genreg.report.judge.pairs import DECIDED
from genreg.report.judge.result import ArmResult, Average, Matrix, MatrixRow, PartResult, matrices
from genreg.report.output.claims import Judged, told
from genreg.report.output.columns import Shown, caption, columns, difference
from genreg.report.output.numbers import UNLIMITED, filled, labels, number, shared, sign, terminal, titled
from genreg.run.folder import printable
from genreg.run.metric import Metric

TABLES = 4  # of a part; names that leave room for fewer columns make a list for each arm better


def show(results: Sequence[PartResult], console: Console | None = None, chosen: Sequence[str] = ()) -> None:
    """Print every part: on a terminal as wide as it is, elsewhere a line for each arm and nothing cut."""
    console = console or terminal()
    for result in results:
        console.print(Text(f"{result.part.name}: {caption(result)}", style="italic"))
        for table in layout(columns(result, chosen), console):
            console.print(table)
        claims, others = told(result.claims)
        for judged in claims:
            word = (judged.verdict, STYLES.get(judged.verdict, "yellow"))
            console.print(Text.assemble(word, f": {_claim(judged)}"))
        for note in filter(None, [others, *result.notes]):
            console.print(Text(f"note: {note}", style="dim"))
        console.print()
    for one in matrices(results):
        console.print(Text(matrix_caption(one), style="italic"))
        console.print(filled(Table(), matrix_titles(one), matrix_rows(one)))
        console.print()


def markdown(results: Sequence[PartResult], chosen: Sequence[str] = ()) -> str:
    """Tables in Markdown, of the columns of these keys, or all."""
    lines = []
    for result in results:
        found = columns(result, chosen)
        lines += [f"## {_md(result.part.name)}", "", f"{_md(caption(result))}.", ""]
        lines += _md_table([one.title for one in found], zip(*(one.texts for one in found), strict=True))
        claims, others = told(result.claims)
        lines += ["", *(f"- **{j.verdict}**: {_md(_claim(j))}" for j in claims)]
        lines += [*(f"- note: {_md(note)}" for note in filter(None, [others, *result.notes])), ""]
    for one in matrices(results):
        lines += [f"## {_md(one.group)}", "", f"{_md(matrix_caption(one))}.", ""]
        lines += [*_md_table(matrix_titles(one), matrix_rows(one)), ""]
    return "\n".join(lines)


def latex(results: Sequence[PartResult], chosen: Sequence[str] = ()) -> str:
    """A booktabs table for each part, of the columns of these keys, or of those that fit a column of text.

    Numbers in the metric's unit have as many decimals as show two digits of the spread of a typical arm.
    """
    return "\n".join(line for result in results for line in _tex_table(result, chosen))


PAPER = ("arm", "mean", "difference_mean", "difference_adjusted")
ROUNDED = ("mean", "sd", "median", "difference_low", "difference_high", "difference_detectable",
           "difference_corrected")  # fmt: skip
"""Keys of columns in the unit of the metric."""
NARROW, WIDEST = 22, 63
"""Letters of a cell that is not broken, and of the lines of a table in one column of two."""


def _tex_table(result: PartResult, chosen: Sequence[str]) -> list[str]:
    keys = chosen or PAPER
    found = [one for one in columns(result, keys) if chosen or any(one.texts)]
    texts = [_tex_texts(result, one, keys) for one in found]
    rows = [*zip(*texts, strict=True)]
    heads = [_tex_title(result, one, keys) for one in found]
    widths = [max(_letters(text) for text in (head, *own)) for head, own in zip(heads, texts, strict=True)]
    broken = [not one.numeric and width > NARROW for one, width in zip(found, widths, strict=True)]
    share = 0.3 if sum(broken) < 3 else 0.2
    sides = [f"p{{{share}\\linewidth}}" if cut else "r" if one.numeric else "l"
             for one, cut in zip(found, broken, strict=True)]  # fmt: skip
    width = sum(min(w, NARROW) if cut else w for w, cut in zip(widths, broken, strict=True))
    star = "*" if width + 2 * len(widths) > WIDEST else ""
    return [
        rf"\begin{{table{star}}}  % needs \usepackage{{booktabs}}",
        r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{_tex_caption(result, keys)}}}",
        rf"\begin{{tabular}}{{@{{}}{''.join(sides)}@{{}}}}", r"\toprule",
        " & ".join(heads) + r" \\", r"\midrule", *(" & ".join(row) + r" \\" for row in rows),
        r"\bottomrule", r"\end{tabular}", rf"\end{{table{star}}}",
        *(f"% {_tex(words)}" for words in (*_tex_remarks(result, keys), *result.notes)), "",
    ]  # fmt: skip


def _tex_remarks(result: PartResult, keys: Sequence[str]) -> list[str]:
    """The remarks on each arm, where the table has no column of them."""
    arms = result.arms if "remark" not in keys else []
    words = ((arm.arm.name, "; ".join(filter(None, [arm.condition, arm.remark]))) for arm in arms)
    return [f"{name}: {text}" for name, text in words if text]


def _decimals(result: PartResult) -> int | None:
    """The decimals that show two digits of the arms' median sd; None where there is none."""
    spreads = [arm.sd * result.metric.scale for arm in result.arms if arm.sd > 0]
    return min(6, max(0, 1 - math.floor(math.log10(simple.median(spreads))))) if spreads else None


def _tex_texts(result: PartResult, one: Shown, keys: Sequence[str]) -> list[str]:
    """The cells of a column: rounded, mean and sd in one, differences bold where one is shown."""
    key, digits = one.column.key, _decimals(result)

    def rounded(value: float, sign: str = "") -> str:
        if digits is None or not math.isfinite(value):
            return number(value, result.metric, sign)
        return f"{value * result.metric.scale:{sign}.{digits}f}"

    def cell(arm: ArmResult, text: str) -> str:
        value = one.column.value(arm)
        if key == "mean" and "sd" not in keys and math.isfinite(arm.sd):
            return rf"${rounded(arm.mean)} \pm {rounded(arm.sd)}$"
        if key == "difference_mean" and arm.comparison and math.isfinite(value):
            mean = rounded(value, "+")
            mean = rf"\mathbf{{{mean}}}" if arm.verdict in DECIDED[:3] else mean
            low, high = (rounded(v, "+") for v in (arm.comparison.low, arm.comparison.high))
            return f"${mean}$" + (rf" {{\scriptsize$[{low}, {high}]$}}" if low else "")
        if key in ROUNDED and isinstance(value, float):
            return f"${rounded(value, '+' * key.startswith('difference'))}$" if math.isfinite(value) else ""
        if one.column.kind == "test" and text.startswith("< 1e-"):
            return f"$<10^{{-{text[5:]}}}$"
        return _tex(text)

    texts = labels(one.texts, UNLIMITED) if key == "arm" else one.texts
    return [cell(arm, text) for arm, text in zip(result.arms, texts, strict=True)]


def _tex_title(result: PartResult, one: Shown, keys: Sequence[str]) -> str:
    """The head of a column, which the caption explains."""
    if one.column.key == "mean" and "sd" not in keys:
        return _tex(one.title) + r" $\pm$ sd"
    if one.column.key == "arm" and (common := shared(one.texts)):
        return _tex(f"{one.title} of {', '.join(common)}")
    return _tex(f"minus {result.part.baseline}" if one.column.key == "difference_mean" else one.title)


def _tex_caption(result: PartResult, keys: Sequence[str]) -> str:
    words = [f"{result.part.name}: {caption(result)}"]
    if "difference_mean" in keys:
        level = "at the level of the last look" if result.part.looks else "95 %"
        words += [f"differences to {result.part.baseline} are paired, with their interval ({level})"]
        words += ["bold where one is shown"] if any(arm.verdict in DECIDED[:3] for arm in result.arms) else []
    return _tex("; ".join(words)) + rf".}}\label{{tab:{re.sub('[^A-Za-z0-9]+', '-', result.part.name)}"


def _letters(text: str) -> int:
    """The letters of a cell as it is set, about: commands and braces are none, small ones count less."""
    plain, _, small = re.sub(r"\\(pm|text\w+)", "+", text.replace(r"\mathbf", "")).partition(r"{\scriptsize")
    letters = [len(re.sub(r"[${}\\]", "", part)) for part in (plain, small)]
    return letters[0] + round(0.75 * letters[1])


def matrix_titles(matrix: Matrix) -> list[str]:
    return ["arm", *matrix.datasets, "mean rank", "average", "over such data sets"]


def matrix_rows(matrix: Matrix) -> list[list[str]]:
    """A row for each arm: its differences with the signs of their verdicts, its mean rank, its average."""
    return [_row(matrix, row) for row in matrix.rows]


def matrix_caption(matrix: Matrix) -> str:
    """The words above the matrix: its metric, and the meaning of both intervals."""
    part, metric = matrix.results[0].part, matrix.results[0].metric
    words = f"{matrix.group}: {titled(part.metric, metric)} of {part.baseline}, and minus it"
    over = f"{part.unit_plural if part.fresh else 'training seeds'}"
    words += f"; average: each data set counted once, [95 % over {over}, for these data sets]"
    words += "; over such data sets: [95 %, if these are a sample of more]"
    if part.looks:
        words += f"; both are of the first {part.looks[0]} {part.unit_plural} alone, which no look has chosen"
    friedman = "" if math.isnan(matrix.friedman) else f"; Friedman's p of the ranks {number(matrix.friedman)}"
    return words + friedman


def _row(matrix: Matrix, row: MatrixRow) -> list[str]:
    pairs = zip(matrix.results, row.cells, strict=True)
    own = [_cell(result, arm) if arm else "" for result, arm in pairs]
    both = average(row.average, matrix.results[0].metric) if row.average else ["", ""]
    return [row.arm, *own, number(row.rank), *both]


def _cell(result: PartResult, arm: ArmResult) -> str:
    if arm.arm.name == result.part.baseline or not arm.comparison:
        return " ".join(filter(None, [number(arm.mean, result.metric), arm.verdict]))
    return f"{sign(arm.verdict)} {difference(arm.comparison, result.metric)}"


def average(of: Average, metric: Metric) -> list[str]:
    """The mean with the interval for these data sets, and the interval for data sets like these."""
    ends = (of.mean, of.low, of.high, of.wide_low, of.wide_high)
    mean, low, high, wide_low, wide_high = (number(value, metric, "+") for value in ends)
    return [f"{mean} [{low}, {high}]", f"[{wide_low}, {wide_high}]" if wide_low else ""]


REMARK = 24  # columns that a remark has at least
BROKEN = ("text", "verdict")
"""Kinds of columns that are broken into lines."""
STYLES = {"better": "green", "reproduced": "green", "worse": "red", "not reproduced": "red"}
LATEX = {ord(c): "\\" + c for c in "&%$#_{}"} | {ord(c): f"${c}$" for c in "<>"}
LATEX |= {
    ord(c): rf"\text{name}{{}}"
    for c, name in zip("\\~^", ("backslash", "asciitilde", "asciicircum"), strict=True)
}
MARKDOWN = {ord(c): "\\" + c for c in "|`*["} | {ord("<"): "&lt;", ord(">"): "&gt;", ord("&"): "&amp;"}


def layout(found: Sequence[Shown], console: Console) -> list[RenderableType]:
    """Lay columns out in as few tables as the width allows, or in a list for each arm."""
    name, *rest = found
    groups: list[list[Shown]] = []
    for column in rest:
        wider = [*groups[-1], column] if groups else []
        if wider and _width(wider) <= console.width:
            groups[-1] = wider
        else:
            groups.append([name, column])
    if len(groups) <= TABLES and all(_width(group) <= console.width for group in groups):
        return [_table(group) for group in groups]
    return [part for k, arm in enumerate(name.texts) for part in (Text(arm, "bold"), _list(rest, k))]


def _width(shown: Sequence[Shown]) -> int:
    """The least width of a table; only texts and verdicts with a condition are broken into lines."""
    longest = ((one.column.kind, max(map(cell_len, (one.title, *one.texts)))) for one in shown)
    return 1 + sum(3 + (min(width, REMARK) if kind in BROKEN else width) for kind, width in longest)


def _table(shown: Sequence[Shown]) -> Table:
    """Some columns of a part's table."""
    table = Table()
    for one in shown:
        side: Literal["left", "right"] = "right" if one.numeric else "left"
        whole = one.column.kind not in BROKEN
        table.add_column(Text(one.title), justify=side, overflow="fold", no_wrap=whole)
    for texts in zip(*(one.texts for one in shown), strict=True):
        table.add_row(*map(_styled, texts))
    return table


def _list(shown: Sequence[Shown], k: int) -> Table:
    """Arm k, a line for each column."""
    table = Table(box=None, show_header=False, pad_edge=True, padding=(0, 0, 0, 2))
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for one in shown:
        if one.texts[k]:
            table.add_row(Text(one.title), _styled(one.texts[k]))
    return table


def _styled(text: str) -> Text:
    return Text(text, style=STYLES.get(text.partition(",")[0], ""))


def _md_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    head, *lines = ("| " + " | ".join(map(_md, row)) + " |" for row in (titles, *rows))
    return [head, "|" + "---|" * len(titles), *lines]


def _claim(judged: Judged) -> str:
    published = f"; published: {'; '.join(judged.published)}" if judged.published else ""
    claim = judged.claim
    return f"{claim['claim']}: {judged.why} [{claim['source']}, {claim['status']}{published}]"


def _md(text: str) -> str:
    return printable(text).translate(MARKDOWN)


def _tex(text: str) -> str:
    return printable(text).translate(LATEX)
