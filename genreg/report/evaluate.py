"""The results of a part: each arm's values, and each arm against the baseline."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from genreg.report.judge.pairs import DECIDED, Rule, compare_arms, is_judged, needs_normal, verdict
from genreg.report.judge.result import ArmResult, PartResult
from genreg.report.judge.statistics import LEVEL, Comparison, Ranks, compare_ranks, family, unseen
from genreg.report.judge.stopping import corrected
from genreg.report.judge.tuning import read_tunings
from genreg.report.output.claims import judge
from genreg.report.output.notes import notes
from genreg.report.read.values import Outcomes, Reach, by_unit, chosen_row, first_time, outcomes
from genreg.run.metric import Metric
from genreg.study.check import check_reported
from genreg.study.model import SECONDS, STEPS, TOGETHER, Arm, Part

NEVER = Reach(math.inf, math.inf)


def evaluate(part: Part) -> PartResult:
    """The results of one part alone."""
    return evaluate_all([part])[0]


def evaluate_all(parts: Sequence[Part]) -> list[PartResult]:
    """Read the values of every arm and compare each with its baseline, Holm over families."""
    results = [_compared(part) for part in parts]
    for own in families(results):
        _correct(own)
    for result in results:
        _conclude(result)
    return results


def evaluate_with_claims(
    parts: Sequence[Part], names: Mapping[str, str] = MappingProxyType({})
) -> list[PartResult]:
    """The results of all parts, and of the published claims about them; names: of arms that are renamed."""
    results = evaluate_all(parts)
    for result in results:
        result.claims = judge(result, names)
    return results


def families(results: Sequence[PartResult]) -> list[list[PartResult]]:
    """The results whose comparisons are corrected together: all data sets of a part, unless it says each."""
    found: dict[Any, list[PartResult]] = {}
    for number, result in enumerate(results):
        part = result.part
        together = part.group and part.family == TOGETHER
        found.setdefault((part.command, part.group) if together else number, []).append(result)
    return list(found.values())


def _compared(part: Part) -> PartResult:
    """The values of each arm and its comparison with the baseline, which is corrected for no other yet."""
    check_reported(part, _reported(part), f"the runs of {part.name}")
    replicas = _has_replicas(part)
    arms = [_arm_result(part, arm, replicas) for arm in part.arms]
    metric = part.describe(part.metric)
    rule = Rule(part.margin_in(metric), part.looks, part.units)
    result = PartResult(part, metric, arms, replicas, [], rule=rule)
    if base := result.find(part.baseline):
        _compare_all(result, base)
    return result


def _correct(results: Sequence[PartResult]) -> None:
    """Holm over all comparisons of these results that a test decides."""
    judged = [arm for result in results for arm in result.arms if is_judged(arm.comparison)]
    for arm, found in zip(judged, family([a.comparison for a in judged if a.comparison]), strict=True):
        arm.comparison = replace(found, remark=_with_interval(found, len(judged)))
    for result in results:
        result.family = len(judged)


def _with_interval(found: Comparison, many: int) -> str:
    """The remark, with a word on an interval that shows what the corrected p does not."""
    excludes = found.by == "t" and found.adjusted >= LEVEL and (found.low > 0 or found.high < 0)
    alone = f"the interval is of this comparison alone: p = {found.p:.2g} before Holm over {many}"
    return "; ".join(filter(None, [found.remark, alone if excludes else ""]))


def _conclude(result: PartResult) -> None:
    """Fill in verdicts, the order of arms and notes."""
    part, arms, metric = result.part, result.arms, result.metric
    base = result.find(part.baseline)
    for arm in (arm for arm in arms if base and arm is not base):
        goes_on = bool(part.looks and part.planned)
        arm.verdict = "not judged" if arm.apart else verdict(arm.comparison, metric.better, goes_on)
        if base and arm.comparison and arm.verdict in DECIDED:
            _qualify(result, arm, base, arm.comparison)
    if metric.chooses and metric.better:  # ranking arms is what it is for
        sign = -1 if metric.better == "max" else 1
        # a failure is the worst value
        arms.sort(key=lambda a: (bool(a.apart), math.isnan(a.mean), a.failed, sign * a.mean))
    result.notes += notes(result, base)


def _qualify(result: PartResult, arm: ArmResult, base: ArmResult, found: Comparison) -> None:
    """Fill in what a decided verdict rests on, and what must be known of its mean."""
    normal = "if differences are normal" if needs_normal(found) else ""
    arm.condition = ", ".join(filter(None, [normal, arm.at_end, base.at_end]))
    if arm.verdict != "equivalent":
        arm.comparison = replace(found, corrected=corrected(found, result.rule.plan))
        return
    rare = f"{100 * unseen(found.pairs):.0f} % of {result.part.unit_plural}"
    words = f"in the mean alone: a collapse in fewer than {rare} could not have been seen"
    arm.comparison = replace(found, remark="; ".join(filter(None, [found.remark, words])))


def _reported(part: Part) -> dict[str, Metric]:
    """The metrics of the part's finished runs, by key of a row; rows are read where summaries are short.

    Empty where none has finished: of them nothing is known.
    """
    done = [run for arm in part.arms for run in arm.done]
    if not done:
        return {}
    names = {name: None for run in done for row in (run.best, run.last) if row for name in row}
    names |= {name: None for run in part.runs() for name in run.selection[:1]}
    choosing = [part.select, (part.threshold or {}).get("metric")]
    more = [n for n in choosing if n and n not in names and any(run.folder.rows_with(n) for run in done)]
    return {name: part.describe(name) for name in (*names, *more) if name != "step"}


def _has_replicas(part: Part) -> bool:
    """True if values are of single replicas: those of one number share their noise, so they are pairs."""
    if not part.describe(part.metric).family.of_replicas:
        return False
    runs = [run for arm in part.arms for run in arm.done]
    return bool(runs) and all((run.path / "replicas.npz").exists() for run in runs)


def _arm_result(part: Part, arm: Arm, replicas: bool) -> ArmResult:
    found = outcomes(part, arm, part.metric, replicas)
    rows = [chosen_row(part, run) or {} for run in arm.done] if part.select else []
    chosen = [row[part.select] for row in rows if part.select in row]
    inside = found.failed - {(run.seed, None) for run in arm.failed}  # replicas that died in a finished run
    unfinished = len(arm.runs) - len(arm.done) - len(arm.failed)
    times = {run.seed: reach for run in arm.done if (reach := first_time(part, run))}
    if part.threshold:  # a failed run never gets there, which is later than every time
        times |= {run.seed: NEVER for run in arm.failed}
    return ArmResult(
        arm, by_unit(part, arm, found), found, chosen, len(arm.failed) + len(inside), unfinished,
        times=times, tunings=read_tunings(part, arm),
    )  # fmt: skip


def _compare_all(result: PartResult, base: ArmResult) -> None:
    """Fill in every comparison with the baseline."""
    part = result.part
    others = [arm for arm in result.arms if arm is not base]
    base.apart = _apart(base, base)
    timed = part.metric in (STEPS, SECONDS)
    for arm in others:
        arm.apart = _apart(arm, base)
        if not arm.apart:
            arm.comparison = compare_arms(
                arm.outcomes, base.outcomes, result.metric.better, timed, result.rule
            )
            arm.time_ranks = _time_ranks(part, arm, base)


def _apart(arm: ArmResult, base: ArmResult) -> str:
    """The reason not to compare an arm with the baseline; empty if there is none."""
    if arm.arm.data.differs(base.arm.data):
        return "other data than the baseline's: not compared"
    for one, whose in ((arm, "its"), (base, "the baseline's")):
        if any(tuning.broken for tuning in one.tunings):
            return f"a trial of {whose} tuning is broken: not compared"
    return ""


def _time_ranks(part: Part, arm: ArmResult, base: ArmResult) -> Ranks | None:
    first, second = (
        by_unit(part, one.arm, Outcomes({(s, None): t.steps for s, t in one.times.items()})).values
        for one in (arm, base)
    )
    both = sorted(first.keys() & second.keys())
    if len(both) < 2:
        return None
    return compare_ranks([first[k] for k in both], [second[k] for k in both])
