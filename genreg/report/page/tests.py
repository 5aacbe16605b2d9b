"""All that was tested of an arm against the baseline, and what its interval covers."""

import math
from collections.abc import Iterator

from genreg.report.judge.pairs import is_judged
from genreg.report.judge.result import ArmResult, PartResult
from genreg.report.judge.statistics import Comparison
from genreg.report.tell.cells import p_value
from genreg.report.tell.notes import best_three, numbers, tuned
from genreg.report.tell.numbers import number

TESTS = {"t": "paired t test", "signs": "sign flips", "ranks": "sign flips of differences in rank"}


def tests(result: PartResult, arm: ArmResult) -> Iterator[tuple[str, str]]:
    """Terms and texts."""
    found = arm.comparison
    if found:
        yield from _compared(result, arm, found)
    if arm.tuning:
        yield "tuning", tuned(arm)
        yield "best three trials", best_three(arm.tuning)


def _compared(result: PartResult, arm: ArmResult, found: Comparison) -> Iterator[tuple[str, str]]:
    metric = result.metric
    words = f"{found.n} that both finished"
    if math.isfinite(found.sd):
        words += f", their differences {number(found.mean, metric, '+')} with sd {number(found.sd, metric)}"
    yield "pairs", words
    yield "test", _test(arm, found)
    if found.looks:
        yield "looks", f"at {numbers(found.looks)} seeds; the last at level {found.level:.2g}"
    if not math.isnan(found.equivalent):
        within = f"{number(result.rule.margin, metric)}{' points' if metric.percent else ''}"
        yield "equivalent", f"within {within}: p = {p_value(found.equivalent).text}".replace("= <", "<")
    if math.isfinite(found.low):
        yield "interval", f"of training seeds, {100 * (1 - found.level):.3g} %"
        half = of_items(result, arm)
        if not math.isnan(half):
            yield (
                "test sample",
                f"alone adds at most ±{number(half, metric)} at 95 %, were errors independent",
            )


def _test(arm: ArmResult, found: Comparison) -> str:
    if not is_judged(found):
        return arm.verdict
    over = " over all looks" if found.looks else ""
    words = [
        f"{TESTS[found.by]}, {found.pairs} pairs: p = {found.p:.3g}{over}, {found.adjusted:.3g} after Holm"
    ]
    if not math.isnan(found.wilcoxon):
        words.append(f"Wilcoxon p = {found.wilcoxon:.3g}")
    if found.permutation is not None:
        words.append(f"exact sign flips p = {found.permutation:.3g}")
    return "; ".join(words)


def of_items(result: PartResult, arm: ArmResult) -> float:
    """What the sample of items adds to the difference of two shares: half of a 95 % interval, at most.

    1.96 sqrt(p1 (1 - p1) / N + p2 (1 - p2) / N), were the errors of both arms independent; arms that err on
    the same items have a smaller one. NaN where the runs do not say of how many items a share is.
    """
    base = result.find(result.part.baseline)
    n = _items(result)
    if not base or not n or not result.metric.percent:
        return math.nan
    shares = [arm.mean, base.mean]
    if not all(0 <= p <= 1 for p in shares):
        return math.nan
    return 1.96 * math.sqrt(sum(p * (1 - p) / n for p in shares))


def _items(result: PartResult) -> int:
    """Of the metric's split, the fewest that a run has; 0 where none says it.

    Only of the measure that the runs chose their step by: if that is a share, it is one of items. Others, as
    the precision of a generator, are of its samples.
    """
    split, _, name = result.part.metric.partition("/")
    runs = [run for run in result.part.runs() if run.selection and run.selection[0].endswith(f"/{name}")]
    found = [run.summary.get("items") for run in runs]
    counts = [items[split] for items in found if isinstance(items, dict) and split in items]
    return min((n for n in counts if isinstance(n, int) and n > 0), default=0)
