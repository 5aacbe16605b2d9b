"""Results as a summary in plain words, and for programs as CSV and JSON."""

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from genreg.report.judge.pairs import DECIDED
from genreg.report.judge.result import ArmResult, Matrix, MatrixRow, PartResult, matrices, plotted_arms
from genreg.report.judge.tuning import TuningResult
from genreg.report.output import tables
from genreg.report.output.claims import told
from genreg.report.output.columns import COLUMNS, about
from genreg.report.output.numbers import SIGNS, as_table, finite, number, sign, titled
from genreg.run.folder import printable
from genreg.run.read import Run, short_commit

ARMS = 8  # of a part: the baseline and the best

MARKS = {ord(c): "\\" + c for c in "`*"} | {ord("&"): "&amp;"}

CLAIMS = {"reproduced": "reproduced", "not reproduced": "not", "not decided": "not decided",
          "not tested": "not tested"}  # fmt: skip


def summary(results: Sequence[PartResult]) -> str:
    """A summary in Markdown, which can also be read as it stands."""
    about = overview(results)
    parts = ", ".join(result.part.name for result in results)
    lines = [f"# {_escaped(' '.join(about.questions) or f'genreg report: {parts}')}", ""]
    lines += [f"{about.counts}.", ""] if about.counts else []
    lines += [f"{_escaped(', '.join(about.facts))}.", ""]
    for result in results:
        lines += [*_part(result), ""]
    for found in matrices(results):
        lines += [f"## {_escaped(found.group)}, average over {', '.join(map(_escaped, found.datasets))}", ""]
        lines += [
            f"- {_escaped(row.arm)}: {average}" for row in found.rows if (average := _average(found, row))
        ]
        lines += [""]
    claims, others = told([judged for result in results for judged in result.claims])
    if claims or others:
        lines += ["## Claims", ""]
        lines += [
            f"- {sign(j.verdict)} {j.verdict}: {_escaped(j.claim['claim'])} ({_escaped(j.why)})"
            for j in claims
        ]
        lines += [f"- {sign('not tested')} {_escaped(others)}"] if others else []
        lines += [""]
    return "\n".join([*lines, *(f"    {command}" for command in about.commands)]).rstrip() + "\n"


def as_csv(results: Sequence[PartResult], chosen: Sequence[str] = ()) -> str:
    """One line for each arm, with plain numbers: its part and the columns of these keys, or all."""
    rows = [_plain_value(result, arm) for result in results for arm in result.arms]
    return as_table([{key: row[key] for key in ("part", *chosen)} for row in rows] if chosen else rows)


def as_json(results: Sequence[PartResult]) -> str:
    """All results, down to the value, folder and command of each run."""
    groups = [
        {"group": found.group, "datasets": found.datasets, "friedman_p": found.friedman,
         "arms": [{"name": row.arm, "mean_rank": row.rank,
                   "average": row.average and dataclasses.asdict(row.average)} for row in found.rows]}
        for found in matrices(results)
    ]  # fmt: skip
    content = {"parts": [_part_rows(result) for result in results], "groups": groups}
    return json.dumps(finite(content), indent=1, allow_nan=False) + "\n"


def _part_rows(result: PartResult) -> dict[str, Any]:
    part, claims = result.part, result.claims
    arms = [
        _plain_value(result, a)
        | {"varied": a.arm.values, "tuning": _tuning(a)}
        | _studies(a)
        | {"runs": _run_rows(a)}
        for a in result.arms
    ]
    return {
        "name": part.name, "group": part.group, "dataset": part.dataset, "question": part.question,
        "looks": part.looks, "planned": part.planned, "margin": part.margin,
        "metric": part.metric, "mode": result.metric.better, "select": part.select,
        "baseline": part.baseline, "threshold": part.threshold, "command": part.command,
        "arms": arms, "notes": result.notes,
        "claims": [{**judged.claim, "verdict": judged.verdict, "why": judged.why} for judged in claims],
    }  # fmt: skip


def _studies(arm: ArmResult) -> dict[str, Any]:
    """The value and the tuning of each study, where there are several."""
    if not arm.arm.again:
        return {}
    both = zip(arm.arm.studies, arm.tunings, strict=True)
    return {
        "studies": [
            {"seeds": list(one.seeds), "value": arm.values.get((k, None)), "tuning": _trials(found)}
            for k, (one, found) in enumerate(both)
        ]
    }


def _tuning(arm: ArmResult) -> dict[str, Any] | None:
    """The trials, of the first study."""
    return _trials(arm.tuning) if arm.tuning else None


def _trials(found: TuningResult) -> dict[str, Any]:
    """Every trial, best first."""
    return {
        "metric": found.key, "planned": found.planned, "space": found.space, "whole": found.whole,
        "luck": found.luck, "edges": found.edges(), "expected_best": found.expected_best(),
        "trials": [{"values": t.values, "mean": t.mean, "sd": t.sd, "n": len(t.scores), "failed": t.failed,
                    "folders": [str(run.path) for run in t.runs]} for t in found.trials],
    }  # fmt: skip


def _run_rows(arm: ArmResult) -> list[dict[str, Any]]:
    values: dict[int, Any] = {}
    for (seed, replica), value in arm.of_runs.values.items():
        values[seed] = value if replica is None else [*values.get(seed, []), value]
    return [
        {"seed": run.seed, "status": run.status, "reason": run.summary.get("reason"), "folder": str(run.path),
         "command": arm.arm.command_of(run.seed), "value": values.get(run.seed)}
        for run in arm.arm.runs.values()
    ]  # fmt: skip


def _plain_value(result: PartResult, arm: ArmResult) -> dict[str, Any]:
    """The value of every column, behind the part, arm and metric that it is about."""
    part = {"part": result.part.name, "arm": arm.arm.name, "metric": result.part.metric}
    return part | {column.key: column.value(arm) for column in COLUMNS}


NAMED = 4  # arms of one verdict that a short answer names


def answer(result: PartResult) -> list[tuple[str, str]]:
    """The short answer of a part: verdicts with their arms; first the best mean, where none is decided."""
    found: dict[str, list[ArmResult]] = {}
    for arm in result.arms:
        if arm.verdict:
            found.setdefault(arm.verdict, []).append(arm)
    words = [
        (verdict, _arms_in_words(result, verdict, found[verdict])) for verdict in SIGNS if verdict in found
    ]
    return words if any(verdict in DECIDED for verdict in found) else [*_best(result), *words]


def _arms_in_words(result: PartResult, verdict: str, arms: Sequence[ArmResult]) -> str:
    """`vat +4.73, noise +3.18`, the best first; `12 arms` of many that are not decided."""
    if verdict not in DECIDED and len(arms) > NAMED:
        return f"{len(arms)} arms"
    way = {"max": -1, "min": 1, None: 0}[result.metric.better]
    if way and verdict in DECIDED:
        arms = sorted(arms, key=lambda arm: way * arm.mean)
    means = [number(a.comparison.mean, result.metric, "+") if a.comparison else "" for a in arms]
    named = [f"{arm.arm.name} {mean}".strip() for arm, mean in zip(arms, means, strict=True)]
    more = len(arms) - NAMED
    return ", ".join(named[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _best(result: PartResult) -> list[tuple[str, str]]:
    """The arm of the best mean, beside the baseline's."""
    base, better = result.find(result.part.baseline), result.metric.better
    arms = [arm for arm in result.arms if arm.values and not arm.apart and not arm.failed]
    if not base or not better or len(arms) < 2 or not base.values:
        return []
    best = (max if better == "max" else min)(arms, key=lambda arm: arm.mean)
    title = (
        f"{'largest' if better == 'max' else 'smallest'} mean, {titled(result.part.metric, result.metric)}"
    )
    other = "" if best is base else f" ({base.arm.name} {number(base.mean, result.metric)})"
    return [("", f"{title}: {best.arm.name} {number(best.mean, result.metric)}{other}")]


@dataclass(frozen=True)
class Overview:
    """Questions and commands are of each sweep, counts are one line, facts: date, commit, devices, hours."""

    questions: list[str]
    counts: str
    facts: list[str]
    commands: list[str]


def overview(results: Sequence[PartResult]) -> Overview:
    """The facts that concern no part alone."""
    parts = [result.part for result in results]
    return Overview(
        questions=list(dict.fromkeys(part.question for part in parts if part.question)),
        counts=_counts(results),
        facts=_facts(list(_every_run(results))),
        commands=list(dict.fromkeys(part.command for part in parts if part.command)),
    )


def _counts(results: Sequence[PartResult]) -> str:
    claims = Counter(judged.verdict for result in results for judged in result.claims)
    found = Counter(arm.verdict for result in results for arm in result.arms if arm.verdict)
    of_claims = _counted("claim", claims, CLAIMS)
    return "; ".join(filter(None, [of_claims, _counted("comparison", found, {w: w for w in SIGNS})]))


def _counted(what: str, found: Counter[str], words: dict[str, str]) -> str:
    """`23 claims: 8 reproduced, 3 not, 12 not decided`; nothing of none."""
    if not found:
        return ""
    each = ", ".join(f"{found[verdict]} {word}" for verdict, word in words.items() if found[verdict])
    return f"{found.total()} {what}{'s' if found.total() > 1 else ''}: {each}"


def _every_run(results: Sequence[PartResult]) -> Iterator[Run]:
    """Every run once, those of tuning too."""
    seen = set()
    for arm in (arm.arm for result in results for arm in result.arms):
        for run in (*arm.runs.values(), *arm.tried):
            if run.path not in seen and run.status != "missing":
                seen.add(run.path)
                yield run


def _facts(runs: Sequence[Run]) -> list[str]:
    starts = [start for run in runs for start in run.environments]
    days = sorted({str(start["started"])[:10] for start in starts if start.get("started")})
    commits = sorted({short_commit(str(start["commit"])) for start in starts if start.get("commit")})
    devices = sorted({str(start["device"]) for start in starts if start.get("device")})
    seconds = [s for run in runs if isinstance(s := run.summary.get("seconds"), int | float)]
    found = [
        " to ".join(dict.fromkeys([days[0], days[-1]])) if days else "",
        f"commit {', '.join(commits)}" if commits else "",
        f"on {', '.join(devices)}" if devices else "",
        f"{_hours(sum(seconds))} in {len(runs)} run{'s' if len(runs) != 1 else ''}",
    ]
    return [printable(text) for text in found if text]


def _hours(seconds: float) -> str:
    """The time of training in words, added up over processes."""
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} seconds"


def _average(found: Matrix, row: MatrixRow) -> str:
    """`+0.37 [-0.43, +1.17], over such data sets [-1.1, +1.9], mean rank 1.4`; nothing of the baseline."""
    if not row.average:
        return ""
    mean, wide = tables.average(row.average, found.results[0].metric)
    words = (mean, wide and f"over such data sets {wide}", (rank := number(row.rank)) and f"mean rank {rank}")
    return ", ".join(filter(None, words))


def _part(result: PartResult) -> Iterator[str]:
    part = result.part
    yield f"## {_escaped(part.name)}"
    yield ""
    chosen = f" at the step that {part.select} chose" if part.select else ""
    words = f"{titled(part.metric, result.metric)}{chosen}, mean (sd), minus {part.baseline} [interval]"
    yield _escaped("; ".join(filter(None, [words, about(result)])) + ":")
    yield ""
    shown = [arm for _, arm in plotted_arms(result)][:ARMS]
    yield from (_line(result, arm) for arm in shown)
    if len(shown) < len(result.arms):
        yield f"- and {len(result.arms) - len(shown)} more"


def _line(result: PartResult, arm: ArmResult) -> str:
    """`- ▲ vat: 78.43 (1.66), n = 10, +3.77 [+3.22, +4.33], p < 1e-4, better`."""
    spread = number(arm.sd, result.metric)
    mean = number(arm.mean, result.metric) + (f" ({spread})" if spread else "")
    words = [mean, *(column.in_brief(result, arm) for column in COLUMNS)]
    mark = f"{sign(arm.verdict)} " if arm.verdict else ""
    return f"- {mark}{_escaped(arm.arm.name)}: {_escaped(', '.join(filter(None, words)))}"


def _escaped(text: str) -> str:
    """A text for Markdown; only tags, links and emphasis are escaped, so that it also reads as it stands."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text.translate(MARKS)).replace("](", "]\\(")
