"""Tuning in words: trials, winners, ends of ranges, luck."""

import math
from collections import Counter

from genreg.report.judge.result import ArmResult
from genreg.report.judge.tuning import TuningResult
from genreg.report.output.numbers import number
from genreg.run.folder import Row, printable

OVER = ("done", "failed", "missing")  # statuses of a run of which nothing is to be said


def tuned(result: ArmResult) -> str:
    """The tuning in words: trials, the winner, whether it lies at an end, and how much of it was luck."""
    if len(result.tunings) > 1:
        return _tuned_in_studies(result)
    found = result.tuning
    if not found:
        return ""
    if not found.whole:
        over = sum(trial.whole for trial in found.trials)
        left = Counter(run.status for trial in found.trials for run in trial.runs if run.status not in OVER)
        words = f"tuning is not over: {over} of {found.planned} trials, nothing is chosen yet"
        each = [", ".join(f"{n} {status}" for status, n in left.items()), result.arm.broken]
        return "; ".join(filter(None, [words, *each]))
    if not found.winner:
        return f"all {len(found.trials)} trials of tuning failed"
    words = f"best of {len(found.trials)} trials on {found.key}: {_values(found.winner.values)}"
    if not math.isnan(found.luck):
        fresh = sum(found.fresh) / len(found.fresh)
        words += f" ({number(found.winner.mean, found.metric)} there, {number(fresh, found.metric)} on these"
        words += f" seeds: luck {number(found.luck, found.metric, '+')})"
    edges = found.edges()
    return words + (f"; at an end of its range: {', '.join(edges)}" if edges else "")


def _tuned_in_studies(result: ArmResult) -> str:
    """The tuning of all studies in words: trials, each winner, the ends of ranges, luck on average."""
    over = [found for found in result.tunings if found.whole and found.winner]
    first = result.tunings[0]
    words = f"best of {first.planned} trials on {first.key} in {len(over)} of {len(result.tunings)} studies"
    words += f": {'; '.join(_values(found.winner.values) for found in over if found.winner)}"
    if not math.isnan(result.luck):
        words += f" (luck {number(result.luck, first.metric, '+')} on average)"
    edges = Counter(key for found in over for key in found.edges())
    ends = ", ".join(f"{key} in {times}" for key, times in edges.items())
    return words + (f"; at an end of its range: {ends}" if ends else "")


def best_three(tuning: TuningResult) -> str:
    """`97.30 (optimizer.lr=0.003); ...`: means over the tuning seeds, so that a near tie is seen."""
    best = [trial for trial in tuning.trials if trial.scores][:3]
    return "; ".join(f"{number(trial.mean, tuning.metric)} ({_values(trial.values)})" for trial in best)


def _values(values: Row) -> str:
    return printable(", ".join(f"{key}={value}" for key, value in values.items()))
