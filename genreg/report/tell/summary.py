"""A report on one page of plain text, for a README or a message."""

import re
from collections.abc import Iterator, Sequence

from genreg.report.judge.best import drawn
from genreg.report.judge.datasets import Matrix, Row, matrices
from genreg.report.judge.result import ArmResult, PartResult
from genreg.report.tell import matrix
from genreg.report.tell.cells import difference, p_value
from genreg.report.tell.numbers import number, titled
from genreg.report.tell.overview import overview
from genreg.report.tell.signs import sign

ARMS = 8  # of a part: the baseline and the best
MARKS = {ord(c): "\\" + c for c in "`*"} | {ord("&"): "&amp;"}


def summary(results: Sequence[PartResult]) -> str:
    """Markdown that is also read as it stands."""
    about = overview(results)
    parts = ", ".join(result.part.name for result in results)
    lines = [f"# {_plain(' '.join(about.questions) or f'genreg report: {parts}')}", ""]
    lines += [f"{about.counts}.", ""] if about.counts else []
    lines += [f"{_plain(', '.join(about.facts))}.", ""]
    for result in results:
        lines += [*_part(result), ""]
    for found in matrices(results):
        lines += [f"## {_plain(found.group)}, average over {', '.join(map(_plain, found.datasets))}", ""]
        lines += [
            f"- {_plain(row.arm)}: {average}" for row in found.rows if (average := _average(found, row))
        ]
        lines += [""]
    if claims := [judged for result in results for judged in result.claims]:
        lines += ["## Claims", ""]
        lines += [
            f"- {sign(j.verdict)} {j.verdict}: {_plain(j.claim['claim'])} ({_plain(j.why)})" for j in claims
        ]
        lines += [""]
    return "\n".join([*lines, *(f"    {command}" for command in about.commands)]).rstrip() + "\n"


def _average(found: Matrix, row: Row) -> str:
    """`+0.37 [-0.43, +1.17], mean rank 1.4`; nothing of the baseline."""
    mean = matrix.average(row.average, found.results[0].metric)[0] if row.average else ""
    rank = number(row.rank)
    return f"{mean}, mean rank {rank}" if mean and rank else mean


def _part(result: PartResult) -> Iterator[str]:
    part = result.part
    yield f"## {_plain(part.name)}"
    yield ""
    chosen = f" at the step that {part.select} chose" if part.select else ""
    yield _plain(
        f"{titled(part.metric, result.metric)}{chosen}, mean (sd), minus {part.baseline} [interval]:"
    )
    yield ""
    shown = [arm for _, arm in drawn(result)][:ARMS]
    yield from (_line(result, arm) for arm in shown)
    if len(shown) < len(result.arms):
        yield f"- and {len(result.arms) - len(shown)} more"


def _line(result: PartResult, arm: ArmResult) -> str:
    """`- ▲ vat: 78.43 (1.66), n = 10, +3.77 [+3.22, +4.33], p < 1e-4, better`."""
    spread = number(arm.sd, result.metric)
    words = [number(arm.mean, result.metric) + (f" ({spread})" if spread else ""), f"n = {len(arm.values)}"]
    words += [f"{arm.failed} failed"] if arm.failed else []
    if arm.arm.name == result.part.baseline:
        words.append("baseline")
    elif found := arm.comparison:
        p = p_value(found.adjusted).text
        words += [difference(found, result.metric), f"p = {p}".replace("= <", "<") if p else "", arm.verdict]
    mark = f"{sign(arm.verdict)} " if arm.verdict else ""
    return f"- {mark}{_plain(arm.arm.name)}: {_plain(', '.join(filter(None, words)))}"


def _plain(text: str) -> str:
    """As Markdown shows it; only tags, links and emphasis are escaped, so that it also reads as it stands."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text.translate(MARKS)).replace("](", "]\\(")
