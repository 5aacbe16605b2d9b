"""What a part shows: each arm's values, and each arm against the baseline."""

import math
import statistics as simple
from dataclasses import dataclass, field, replace
from typing import Any

from genreg.errors import InputError, nearest
from genreg.report.parts import Arm, Part
from genreg.report.runs import Run
from genreg.report.statistics import LEVEL, Comparison, Reach, compare, compare_times, holm
from genreg.report.values import PER_STEP, Key, chosen_row, first_time, run_values
from genreg.run.folder import printable
from genreg.run.replicas import last


@dataclass
class ArmResult:
    """One line of a part's table. values: the metric of each finished run (or replica), by its key."""

    arm: Arm
    values: dict[Key, float]
    chosen: list[float]  # the selection metric at the chosen step
    failed: int
    unfinished: int
    comparison: Comparison | None = None
    verdict: str = ""
    times: dict[int, Reach] = field(default_factory=dict)
    times_p: float | None = None

    @property
    def mean(self) -> float:
        return simple.fmean(self.values.values()) if self.values else math.nan

    @property
    def sd(self) -> float:
        return simple.stdev(self.values.values()) if len(self.values) > 1 else math.nan

    @property
    def median(self) -> float:
        return simple.median(self.values.values()) if self.values else math.nan

    @property
    def reached(self) -> int:
        return sum(math.isfinite(time.steps) for time in self.times.values())

    def median_time(self, unit: str) -> float:
        """In `steps` or `seconds`; infinite where half of the runs never got there."""
        return simple.median(getattr(time, unit) for time in self.times.values()) if self.times else math.nan


@dataclass
class PartResult:
    """A part with its table. replicas: values are of replicas, several in a run."""

    part: Part
    arms: list[ArmResult]
    replicas: bool
    notes: list[str]
    claims: list[Any] = field(default_factory=list)

    @property
    def percent(self) -> bool:
        """Whether the metric is a share, shown in percent."""
        return self.part.metric.endswith("/accuracy")

    @property
    def scale(self) -> int:
        """What the metric is multiplied with to be shown."""
        return 100 if self.percent else 1

    @property
    def selection(self) -> str | None:
        """The metric that chose the steps, where it is another than the one reported."""
        return self.part.select if self.part.select != self.part.metric else None

    def find(self, name: str) -> ArmResult | None:
        return next((result for result in self.arms if result.arm.name == name), None)


def evaluate(part: Part) -> PartResult:
    """Read the values of every arm, compare each with the baseline, and name what is missing."""
    replicas = _has_replicas(part)
    arms = [_arm_result(part, arm, replicas) for arm in part.arms]
    if not any(result.values for result in arms) and any(_done(arm) for arm in part.arms):
        names = {name for arm in part.arms for run in _done(arm) for name in chosen_row(part, run) or {}}
        near = nearest(part.metric, (names | {PER_STEP}) - {"step"})
        raise InputError("metric", f"a metric of the runs of {part.name}", part.metric, near)
    result = PartResult(part, arms, replicas, [])
    base = result.find(part.baseline)
    if base:
        _compare_all(result, base)
    if part.metric.startswith("validation"):  # ranking arms by validation is what it is for
        sign = -1 if part.mode == "max" else 1
        arms.sort(key=lambda a: (math.isnan(a.mean), sign * a.mean))
    result.notes += [*part.notes, *_labels(part), *_notes(result, base)]
    return result


def _labels(part: Part) -> list[str]:
    """What the rows name for their metrics to mean anything, and whether it is the same in all."""
    found: dict[str, set[str]] = {}
    for run in (run for arm in part.arms for run in _done(arm)):
        for name, value in (run.last or {}).items():
            if isinstance(value, str):
                found.setdefault(name, set()).add(printable(value))
    return [
        f"{name}: {', '.join(sorted(values))}" + (" (they differ: not comparable)" if len(values) > 1 else "")
        for name, values in sorted(found.items())
    ]


def _has_replicas(part: Part) -> bool:
    if not part.metric.startswith(("w/", "z/")):
        return False
    runs = [run for arm in part.arms for run in _done(arm)]
    return bool(runs) and all((run.path / "replicas.npz").exists() for run in runs)


def _done(arm: Arm) -> list[Run]:
    return [run for run in arm.runs.values() if run.status == "done"]


def _arm_result(part: Part, arm: Arm, replicas: bool) -> ArmResult:
    values: dict[Key, float] = {}
    chosen = []
    for run in _done(arm):
        values |= run_values(part, run, part.metric, replicas)
        row = chosen_row(part, run)
        if part.select and row and part.select in row:
            chosen.append(row[part.select])
    failed = sum(run.status == "failed" for run in arm.runs.values())
    if replicas:
        failed += sum(math.isnan(v) for run in _done(arm) for v in last(run.path, part.metric).values())
    unfinished = len(arm.runs) - failed - len(_done(arm))
    times = {run.seed: first_time(part.threshold, run) for run in _done(arm)} if part.threshold else {}
    return ArmResult(arm, values, chosen, failed, unfinished, times=times)


def _compare_all(result: PartResult, base: ArmResult) -> None:
    """Fill in every comparison with the baseline; Holm over those of the part."""
    others = [arm for arm in result.arms if arm is not base]
    pairs = {id(arm): differences(arm.values, base.values) for arm in others}
    family = [arm for arm in others if len(pairs[id(arm)]) > 1]
    found = [compare(pairs[id(arm)], len(family)) for arm in family]
    for arm, comparison, adjusted in zip(family, found, holm([c.p for c in found]), strict=True):
        arm.comparison = replace(comparison, adjusted=adjusted)
        arm.verdict = verdict(arm.comparison, result.part.mode)
    for arm in others:
        arm.verdict = arm.verdict or "too few pairs"
        both = sorted(arm.times.keys() & base.times.keys())
        if len(both) > 1:
            arm.times_p = compare_times(
                [arm.times[s].steps for s in both], [base.times[s].steps for s in both]
            )


def differences(values: dict[Key, float], baseline: dict[Key, float]) -> list[float]:
    """Arm minus baseline of every seed (and replica) that both finished."""
    return [values[key] - baseline[key] for key in sorted(values.keys() & baseline.keys(), key=str)]


def verdict(comparison: Comparison, mode: str) -> str:
    """better, worse or no difference shown, at level 0.05 after Holm."""
    if comparison.adjusted >= LEVEL:
        return "no difference shown"
    return "better" if (comparison.mean > 0) == (mode == "max") else "worse"


def _notes(result: PartResult, base: ArmResult | None) -> list[str]:
    """One line for each thing that a reader of the table must know."""
    part, notes = result.part, []
    if not base:
        notes.append(f"no arm is called {part.baseline} (the baseline): nothing is compared")
    elif not base.values:
        notes.append(f"the baseline {part.baseline} has no finished run: nothing is compared")
    for arm in result.arms:
        notes += _run_notes(arm)
        done = len(_done(arm.arm))
        if done and not arm.values:
            notes.append(f"{arm.arm.name}: no run has {part.metric}")
        if base and arm is not base and base.values and (lost := arm.values.keys() ^ base.values.keys()):
            seeds = _seeds(sorted({key[0] for key in lost}))
            notes.append(f"{arm.arm.name} and {part.baseline} differ in {seeds}: only common ones are paired")
    if part.metric.startswith("validation"):
        notes.append(
            f"{part.metric} chose the steps (and orders the arms): report a test metric, with other seeds"
        )
    return notes


def _run_notes(result: ArmResult) -> list[str]:
    """The runs of an arm that gave no value, by what became of them."""
    reasons: dict[str, list[int]] = {}
    for run in result.arm.runs.values():
        if run.status != "done":
            word = {"failed": f"failed ({run.reason})", "damaged": "damaged summary.json",
                    "half-written": "no summary.json yet"}.get(run.status, run.status)  # fmt: skip
            reasons.setdefault(word, []).append(run.seed)
    died = result.failed - sum(run.status == "failed" for run in result.arm.runs.values())
    notes = [f"{result.arm.name}: {died} replicas died and are left out"] if died else []
    lost = (f"{result.arm.name}, {_seeds(sorted(seeds))}: {reason}" for reason, seeds in reasons.items())
    return [*notes, *lost]


def _seeds(seeds: list[int]) -> str:
    """`seed 3`, `seeds 3, 4` or `seeds 0 to 9`."""
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
