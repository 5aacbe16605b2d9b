"""Published claims and figures (`configs/reference/*.yaml`), each with a verdict from these runs.

Absolute values come from other models and data, so only the direction of an effect is judged: by the
paired test of the two arms that the claim names, Holm over the claims of a part.
"""

from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import cache
from typing import Any

from omegaconf import OmegaConf

from genreg import CONFIGS
from genreg.errors import InputError
from genreg.report.cells import number, p_value
from genreg.report.parts import SECONDS, STEPS
from genreg.report.result import ArmResult, PartResult
from genreg.report.runs import Run
from genreg.report.statistics import LEVEL, Comparison, compare, compare_times, holm
from genreg.report.tables import differences
from genreg.report.values import Key, run_values
from genreg.run.metric import Metric

STATUSES = ("seen", "second-hand", "from memory")
REQUIRED = ("claim", "better", "than", "mode", "source", "status")
FIGURE = ("better", "than", "unit", "n", "setting", "source", "status")


@dataclass
class Judged:
    """One claim with its verdict: reproduced, not reproduced or not decided, and why.

    comparison: of `better` minus `than` in the claim's metric; None for times, which are compared by rank.
    """

    claim: dict[str, Any]
    metric: str
    verdict: str
    why: str
    comparison: Comparison | None = None
    p: float | None = None
    sign: int = 0  # of better minus than

    @property
    def published(self) -> list[str]:
        """The published pairs of figures, each with its setting, source and status."""
        return [
            f"{f['better']} against {f['than']}, {f['unit']}{', n = ' + str(f['n']) if f['n'] else ''} "
            f"({f['setting']}; {f['source']}, {f['status']})"
            for f in self.claim.get("figures") or []
        ]


@cache
def references() -> list[dict[str, Any]]:
    """Every reference file. Raises InputError, naming the file, for one that is not whole."""
    found: list[dict[str, Any]] = []
    for path in sorted((CONFIGS / "reference").glob("*.yaml")):
        content: Any = OmegaConf.to_container(OmegaConf.load(path))
        for claim in content["claims"]:
            entries = [claim, *(claim.get("figures") or [])]
            whole = set(REQUIRED) <= claim.keys() and all(set(FIGURE) <= f.keys() for f in entries[1:])
            if not whole or any(entry["status"] not in STATUSES for entry in entries):
                raise InputError(path.name, f"{', '.join(REQUIRED)} of every claim", claim)
        found.append(content)
    return found


def judge(result: PartResult) -> list[Judged]:
    """The verdict on every claim about this part; none while it looks at validation, which is for tuning."""
    if result.part.metric.startswith("validation"):
        return []
    claims = [c for file in references() if _about(result, file) for c in file["claims"]]
    judged = [_test(result, claim) for claim in claims]
    tested = [one for one in judged if one.p is not None]
    for one, p in zip(tested, holm([t.p or 0.0 for t in tested]), strict=True):
        if one.comparison:
            one.comparison = replace(one.comparison, adjusted=p)
        metric = result.part.describe(one.metric)
        right = one.sign == (1 if (one.claim["mode"] or metric.better) == "max" else -1)
        one.verdict = "not decided" if p >= LEVEL else "reproduced" if right else "not reproduced"
        way = "no difference shown" if p >= LEVEL else "as claimed" if right else "the other way"
        one.why = f"{way}: {_effect(one, metric)}p = {p_value(p).text} after Holm".replace("= <", "<")
    return judged


def _effect(judged: Judged, metric: Metric) -> str:
    """The paired difference, and what these pairs could have shown where they show none."""
    found, claim = judged.comparison, judged.claim
    if not found:
        return f"{judged.metric} by rank, "
    mean, low, high = (number(value, metric, "+") for value in (found.mean, found.low, found.high))
    shown = found.adjusted < LEVEL
    could = "" if shown else f" (these pairs could show {number(found.detectable, metric)})"
    word = " points" if metric.percent else ""
    return f"{claim['better']} minus {claim['than']} in {judged.metric} {mean} [{low}, {high}]{word}{could}, "


def _about(result: PartResult, file: dict[str, Any]) -> bool:
    return any(fnmatch(result.part.name, pattern) for pattern in file["parts"])


def _test(result: PartResult, claim: dict[str, Any]) -> Judged:
    metric = claim.get("metric") or result.part.metric
    arms = [result.find(claim[role]) for role in ("better", "than")]
    for role, arm in zip(("better", "than"), arms, strict=True):
        if arm is None or not arm.arm.runs:
            return Judged(claim, metric, "not decided", f"no arm is called {claim[role]}")
    better, than = (_values(result, arm, metric) for arm in arms if arm)
    pairs = sorted(better.keys() & than.keys(), key=str)
    if not (claim["mode"] or result.part.describe(metric).better):
        return Judged(claim, metric, "not decided", f"no run says which way {metric} is better")
    if len(pairs) < 2:
        return Judged(claim, metric, "not decided", f"{len(pairs)} pairs of runs that have {metric}")
    if metric in (STEPS, SECONDS):
        times = [[values[key] for key in pairs] for values in (better, than)]
        earlier = sum((a > b) - (a < b) for a, b in zip(*times, strict=True))
        sign = (earlier > 0) - (earlier < 0)
        return Judged(claim, metric, "", "", None, compare_times(*times), sign)
    found = compare(differences(better, than), len(result.claims) or 1)
    return Judged(claim, metric, "", "", found, found.p, 1 if found.mean > 0 else -1)


def _values(result: PartResult, arm: ArmResult, metric: str) -> dict[Key, float]:
    if metric == result.part.metric:
        return arm.values
    done: list[Run] = arm.arm.done
    return {
        key: value
        for run in done
        for key, value in run_values(result.part, run, metric, result.replicas).items()
    }
