"""What a report says first: the question, how many of which verdict, when, with what, and how long."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from genreg.report.judge.result import PartResult
from genreg.report.read.runs import Run, short_commit
from genreg.run.folder import printable

CLAIMS = {"reproduced": "reproduced", "not reproduced": "not", "not decided": "not decided",
          "not tested": "not tested"}  # fmt: skip
COMPARISONS = ("better", "worse", "differs", "equivalent", "no difference shown", "not decided",
               "too few pairs", "not judged")  # fmt: skip


@dataclass(frozen=True)
class Overview:
    """Questions and commands are of each sweep, counts are one line, facts: date, commit, devices, hours."""

    questions: list[str]
    counts: str
    facts: list[str]
    commands: list[str]


def overview(results: Sequence[PartResult]) -> Overview:
    """Everything that concerns no part alone."""
    parts = [result.part for result in results]
    return Overview(
        list(dict.fromkeys(part.question for part in parts if part.question)), _counts(results),
        _facts(list(_runs(results))), list(dict.fromkeys(part.command for part in parts if part.command)),
    )  # fmt: skip


def _counts(results: Sequence[PartResult]) -> str:
    claims = Counter(judged.verdict for result in results for judged in result.claims)
    found = Counter(arm.verdict for result in results for arm in result.arms if arm.verdict)
    of_claims = _counted("claim", claims, CLAIMS)
    return "; ".join(filter(None, [of_claims, _counted("comparison", found, {w: w for w in COMPARISONS})]))


def _counted(what: str, found: Counter[str], words: dict[str, str]) -> str:
    """`23 claims: 8 reproduced, 3 not, 12 not decided`; nothing of none."""
    if not found:
        return ""
    each = ", ".join(f"{found[verdict]} {word}" for verdict, word in words.items() if found[verdict])
    return f"{found.total()} {what}{'s' if found.total() > 1 else ''}: {each}"


def _runs(results: Sequence[PartResult]) -> Iterator[Run]:
    """Every run once, those of tuning too."""
    seen = set()
    for arm in (arm.arm for result in results for arm in result.arms):
        for run in (*arm.runs.values(), *arm.tried):
            if run.path not in seen and run.status != "missing":
                seen.add(run.path)
                yield run


def _facts(runs: Sequence[Run]) -> list[str]:
    starts = [start for run in runs for start in run.folder.environments()]
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
    """Of training, added up over processes."""
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} seconds"
