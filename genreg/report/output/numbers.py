"""Numbers, verdicts, seeds and names as they are written, the table and the terminal that show them."""

import csv
import io
import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from genreg.run.folder import Row, printable
from genreg.run.metric import Metric

PLAIN = Metric("")
SIGNS = {
    "better": "▲", "worse": "▼", "differs": "≠", "equivalent": "≈", "no difference shown": "○",
    "not decided": "…", "too few pairs": "∅", "not judged": "?",
    "reproduced": "✓", "not reproduced": "✗", "not tested": "–",
}  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a formula of a spreadsheet begins with."""
UNLIMITED = 100_000  # columns, where no terminal sets a width


def titled(title: str, metric: Metric) -> str:
    """The title of a column or an axis that shows the metric."""
    return title + (" %" if metric.percent else "")


def number(value: float, metric: Metric = PLAIN, sign: str = "") -> str:
    """A share in percent with two decimals, else four significant digits; nothing for NaN."""
    if math.isnan(value):
        return ""
    return f"{value * metric.scale:{sign}.2f}" if metric.percent else f"{value:{sign}.4g}"


def in_text(value: Any, metric: Metric = PLAIN) -> str:
    """A float as `number` writes it, everything else as it is; nothing for None."""
    return number(value, metric) if isinstance(value, float) else "" if value is None else str(value)


def as_table(rows: Sequence[Row]) -> str:
    """CSV of plain numbers under the keys of the first row; what JSON nests is JSON.

    A text that a spreadsheet would take for a formula gets a ' in front, as OWASP advises (CSV injection).
    """
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        return json.dumps(value)
    return "'" * value.startswith(FORMULA) + printable(value) if isinstance(value, str) else value


def finite(value: Any) -> Any:
    """The same without NaN and infinity, which JSON has not: both become null."""
    if isinstance(value, dict):
        return {key: finite(node) for key, node in value.items()}
    if isinstance(value, list):
        return [finite(node) for node in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def seeds_in_words(seeds: list[int], one: str = "seed", several: str = "seeds") -> str:
    """`seed 3`, `seeds 3, 4` or `seeds 0 to 9`."""
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"{several} {seeds[0]} to {seeds[-1]}"
    return f"{several if len(seeds) > 1 else one} {', '.join(map(str, seeds))}"


def sign(verdict: str) -> str:
    """The sign of a verdict, so that no color has to be seen; of the baseline, which has none, nothing."""
    return SIGNS.get(verdict, "")


def short(text: str, letters: int) -> str:
    """Cut a text to so many letters, in its middle: arms often differ in how their names end."""
    if len(text) <= letters:
        return text
    end = letters // 2
    return text[: letters - end - 1] + "…" + text[-end:]


WORDS = re.compile(r",(?![^\[(]*[\])])")
"""The commas between the words of a name: `vat,xi=0.1,betas=[0,1]` has three."""


def shared(names: Sequence[str]) -> list[str]:
    """The words that all names of several words have: `vat` of `vat,xi=0.1` and `vat,xi=10`."""
    several = [words for name in names if len(words := WORDS.split(name)) > 1]
    common = [word for word in several[0] if all(word in words for words in several)] if several else []
    return common if len(several) > 1 and all(set(words) - set(common) for words in several) else []


def labels(names: Sequence[str], letters: int) -> list[str]:
    """The names without what they share, in so many letters: if need be the values alone, at worst cut."""
    common = shared(names)
    split = [[word for word in WORDS.split(name) if word not in common or name in common] for name in names]
    found = [",".join(words) for words in split]
    if any(len(name) > letters for name in found):
        values = [", ".join(word.rpartition("=")[2] for word in words) for words in split]
        found = values if len(set(values)) == len(set(names)) else found
    return [short(name, letters) for name in found]


def renamed(name: str, names: Mapping[str, str]) -> str:
    """The name with other words: of an arm, or of its method and keys (`vat` and `xi` of `vat,xi=0.1`)."""
    if name in names:
        return names[name]
    words = (word.partition("=") for word in WORDS.split(name))
    return ",".join("".join([names.get(first, first), *rest]) for first, *rest in words)


def filled(table: Table, titles: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    """The table with these texts, which are folded where it is too narrow."""
    for title in titles:
        table.add_column(Text(title), overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


BROAD, GAP = 12, 2
"""Columns of a table that are no narrower than so many letters can be read, if their texts are as long."""


def readable(columns: Mapping[str, Sequence[str]], width: int) -> bool:
    """True if texts by title, side by side, would not be folded into narrow strips."""
    longest = (max(map(len, [*title.split(), *cells])) for title, cells in columns.items())
    return sum(min(BROAD, n) + GAP for n in longest) <= width


def blocks(columns: Mapping[str, Sequence[str]]) -> str:
    """Rows below one another: the first text, and below it the others with their titles."""
    titles = list(columns)
    lines: list[str] = []
    for first, *others in zip(*columns.values(), strict=True):
        lines.append(first)
        lines += [f"  {t}: {text}" for t, text in zip(titles[1:], others, strict=True) if text]
    return "\n".join(lines)


def terminal() -> Console:
    """A console as wide as the terminal; in a pipe nothing is cut, unless COLUMNS sets a width."""
    console = Console()
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=UNLIMITED)
