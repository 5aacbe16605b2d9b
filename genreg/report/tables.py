"""Reads what a part shows: each arm's values, and each arm against the baseline."""

import math
from dataclasses import replace

from genreg.errors import InputError, nearest
from genreg.report.notes import notes
from genreg.report.parts import PER_STEP, Arm, Part
from genreg.report.result import ArmResult, PartResult
from genreg.report.statistics import LEVEL, Comparison, compare, compare_times, holm
from genreg.report.values import Key, chosen_row, first_time, run_values
from genreg.run.metric import Better
from genreg.run.replicas import last


def evaluate(part: Part) -> PartResult:
    """Read the values of every arm, compare each with the baseline, and name what is missing."""
    replicas = _has_replicas(part)
    arms = [_arm_result(part, arm, replicas) for arm in part.arms]
    if not any(result.values for result in arms) and any(arm.done for arm in part.arms):
        names = {name for arm in part.arms for run in arm.done for name in chosen_row(part, run) or {}}
        near = nearest(part.metric, (names | {PER_STEP}) - {"step"})
        raise InputError("metric", f"a metric of the runs of {part.name}", part.metric, near)
    result = PartResult(part, part.describe(part.metric), arms, replicas, [])
    base = result.find(part.baseline)
    if base:
        _compare_all(result, base)
    if part.metric.startswith("validation") and result.metric.better:  # ranking arms is what it is for
        sign = -1 if result.metric.better == "max" else 1
        arms.sort(key=lambda a: (math.isnan(a.mean), sign * a.mean))
    result.notes += notes(result, base)
    return result


def _has_replicas(part: Part) -> bool:
    if not part.metric.startswith(("w/", "z/")):
        return False
    runs = [run for arm in part.arms for run in arm.done]
    return bool(runs) and all((run.path / "replicas.npz").exists() for run in runs)


def _arm_result(part: Part, arm: Arm, replicas: bool) -> ArmResult:
    values: dict[Key, float] = {}
    chosen = []
    for run in arm.done:
        values |= run_values(part, run, part.metric, replicas)
        row = chosen_row(part, run)
        if part.select and row and part.select in row:
            chosen.append(row[part.select])
    failed = sum(run.status == "failed" for run in arm.runs.values())
    if replicas:
        failed += sum(math.isnan(v) for run in arm.done for v in last(run.path, part.metric).values())
    unfinished = len(arm.runs) - failed - len(arm.done)
    times = {run.seed: reach for run in arm.done if (reach := first_time(part, run))}
    return ArmResult(arm, values, chosen, failed, unfinished, times=times)


def _compare_all(result: PartResult, base: ArmResult) -> None:
    """Fill in every comparison with the baseline; Holm over those of the part."""
    pairs = [(arm, differences(arm.values, base.values)) for arm in result.arms if arm is not base]
    family = [(arm, values) for arm, values in pairs if len(values) > 1]
    found = [compare(values, len(family)) for _, values in family]
    for (arm, _), comparison, adjusted in zip(family, found, holm([c.p for c in found]), strict=True):
        arm.comparison = replace(comparison, adjusted=adjusted)
    for arm, _ in pairs:
        arm.verdict = verdict(arm.comparison, result.metric.better) if arm.comparison else "too few pairs"
        arm.times_p = _times_p(arm, base)


def _times_p(arm: ArmResult, base: ArmResult) -> float | None:
    both = sorted(arm.times.keys() & base.times.keys())
    if len(both) < 2:
        return None
    return compare_times([arm.times[s].steps for s in both], [base.times[s].steps for s in both])


def differences(values: dict[Key, float], baseline: dict[Key, float]) -> list[float]:
    """Arm minus baseline of every seed (and replica) that both finished."""
    return [values[key] - baseline[key] for key in sorted(values.keys() & baseline.keys(), key=str)]


def verdict(comparison: Comparison, better: Better | None) -> str:
    """better, worse (differs, where nothing says which) or no difference shown, at level 0.05 after Holm."""
    if comparison.adjusted >= LEVEL:
        return "no difference shown"
    if better is None:
        return "differs"
    return "better" if (comparison.mean > 0) == (better == "max") else "worse"
