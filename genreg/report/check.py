"""`genreg check` without its reruns: summaries follow from rows, and verdicts from summaries."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from genreg.errors import cause, printable
from genreg.groups import __version__
from genreg.report.evaluate import evaluate_with_claims
from genreg.report.judge.result import PartResult
from genreg.report.pack import verdicts_of
from genreg.report.read.find import read_parts
from genreg.run.find import find_runs
from genreg.run.folder import Row, RunFolder
from genreg.run.read import Run
from genreg.study import archive

NEAR = 1e-6  # relative; libraries of another version may round otherwise
SHOWN = 10  # lines on one matter


def judged(root: Path) -> tuple[bool, list[Run]]:
    """Print if the summaries of an unpacked archive follow from its rows, and its verdicts from both.

    Summaries are written anew from the rows first, so that verdicts rest on rows alone. True if all is as it
    was recorded, and the runs that the verdicts rest on.
    """
    recorded = archive.verdicts_of(root)
    folders = [
        folder for folder in map(RunFolder, find_runs(root)) if folder.summary().get("status") == "done"
    ]
    wrong = [line for folder in folders if (line := follow_rows(folder, folder.path.relative_to(root)))]
    results = evaluate_with_claims(read_parts([root]))
    unlike = dict(differences(recorded["verdicts"], verdicts_of(results)))
    decided = [about for about, values in recorded["verdicts"].items() if values.get("verdict")]
    count = f"{len({*decided} - unlike.keys())} of {len(decided)}"
    version = printable(recorded.get("genreg"))
    of = "" if version == __version__ else f" (recorded by genreg {version}, this is {__version__})"
    _say(f"summaries: {len(folders) - len(wrong)} of {len(folders)} are what their rows say", wrong)
    _say(f"verdicts: {count} are what the rows give{of}", [f"{a}: {words}" for a, words in unlike.items()])
    return not wrong and not unlike, list(_runs(results))


def _say(line: str, more: Sequence[str]) -> None:
    rest = [f"  ... {len(more) - SHOWN} more"] if len(more) > SHOWN else []
    print(line, *(f"  {one}" for one in more[:SHOWN]), *rest, sep="\n", flush=True)


def _runs(results: Sequence[PartResult]) -> Iterator[Run]:
    """Every run of the comparisons and their tuning that has come to an end, once, by its folder."""
    arms = (arm.arm for result in results for arm in result.arms)
    found = {run.path: run for arm in arms for run in (*arm.runs.values(), *arm.tried)}
    return (found[path] for path in sorted(found) if found[path].status in ("done", "failed"))


def follow_rows(folder: RunFolder, name: Path) -> str:
    """Write best and last into a finished run's summary as its rows have them; a change in words."""
    summary = folder.summary()
    try:
        best, last = _from_rows(folder.rows(), summary)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        return f"{name}: its rows cannot be read: {cause(error) if isinstance(error, OSError) else error}"
    folder.write_summary({**summary, "best": best, "last": last})
    wrong = [
        f"{kind} {_unlike(summary.get(kind), row)}"
        for kind, row in (("best", best), ("last", last)) if summary.get(kind) != row
    ]  # fmt: skip
    return printable(f"{name}: {', '.join(wrong)}") if wrong else ""


def _from_rows(rows: Sequence[Row], summary: Row) -> tuple[Row | None, Row | None]:
    """The evaluation that the selection chose, the first of equals, and the last one; None for none.

    Rows also hold terms of the objective: of an evaluation are the keys that the summary has.
    """
    keys = {"step", *(key for kind in ("best", "last") for key in summary.get(kind) or ())}
    found = [{key: row[key] for key in row if key in keys} for row in rows]
    found = [row for row in found if len(row) > 1]
    if not found or not summary.get("selection"):
        return None, found[-1] if found else None
    metric, mode = summary["selection"]
    having = [row for row in found if metric in row]
    choose = max if mode == "max" else min
    return choose(having, key=lambda row: row[metric], default=None), found[-1]


def _unlike(before: Any, row: Row | None) -> str:
    """The first value in which two rows differ: `test/accuracy was 0.93, by the rows 0.83`."""
    before, row = before if isinstance(before, dict) else {}, row or {}
    key = next(key for key in (*before, *row) if before.get(key) != row.get(key))
    return f"{key} was {before.get(key)}, by its rows {row.get(key)}"


def differences(recorded: Mapping[str, Row], now: Mapping[str, Row]) -> Iterator[tuple[str, str]]:
    """Recorded verdicts that differ from recomputed ones: what each is about, and the difference in words.

    Of one arm or claim the verdict comes first. Of columns that only one version of genreg knows nothing is
    said, nor of claims that a later one adds.
    """
    for about, before in recorded.items():
        if about not in now:
            yield about, "is recorded, and not found"
            continue
        keys = sorted((key for key in before if key in now[about]), key=lambda key: key != "verdict")
        words = [f"{key} was {_short(before[key])}, is {_short(now[about][key])}"
                 for key in keys if not is_near(before[key], now[about][key])]  # fmt: skip
        if words:
            yield about, printable("; ".join(words[:3]))
    for about in now.keys() - recorded.keys():
        if len(now[about]) > 1:  # an arm
            yield about, "is found, and not recorded"


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def is_near(one: Any, other: Any) -> bool:
    """True for equal values, and for numbers that differ by rounding."""
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=NEAR, abs_tol=1e-12)
    return bool(one == other)
