"""Published claims and figures (`configs/reference/*.yaml`), each with a verdict from these runs.

Absolute values come from other models and data, so only the direction of an effect is judged: by the
paired test of the two arms that the claim names, Holm over the claims of a part that are tested.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import cache
from types import MappingProxyType
from typing import Any

from genreg.errors import InputError
from genreg.groups import CONFIGS
from genreg.report.judge import FEWEST
from genreg.report.judge.pairs import compare_arms, is_judged, paired
from genreg.report.judge.result import ArmResult, PartResult
from genreg.report.judge.statistics import LEVEL, Comparison, family
from genreg.report.output.columns import difference, p_is
from genreg.report.output.numbers import number, renamed
from genreg.report.read.values import Outcomes, by_unit, outcomes
from genreg.run.metric import Better, Metric
from genreg.run.reader import from_yaml
from genreg.study.model import SECONDS, STEPS


@dataclass
class Judged:
    """One claim with its verdict: reproduced, not reproduced, not decided or not tested, and why.

    comparison: of `better` minus `than` in the claim's metric; None where nothing is tested. missing: the
    arms of the claim that are not here.
    """

    claim: dict[str, Any]
    metric: str
    verdict: str
    why: str
    comparison: Comparison | None = None
    missing: Sequence[str] = ()

    @property
    def published(self) -> list[str]:
        """The published pairs of figures, each with its setting, source and status."""
        return [
            f"{f['better']} against {f['than']}, {f['unit']}{', n = ' + str(f['n']) if f['n'] else ''} "
            f"({f['setting']}; {f['source']}, {f['status']})"
            for f in self.claim.get("figures") or []
        ]


def judge(result: PartResult, names: Mapping[str, str] = MappingProxyType({})) -> list[Judged]:
    """The verdict on every claim about this part; none while it looks at validation, which is for tuning.

    names: of arms that are called otherwise than in the claims.
    """
    if result.metric.chooses:
        return []
    claims = [(c, p) for file in references() if (p := _protocol(result, file)) for c in file["claims"]]
    claims = [(c | {role: renamed(c[role], names) for role in ("better", "than")}, p) for c, p in claims]
    judged = [_test(result, claim, protocol) for claim, protocol in claims]
    tested = [one for one in judged if one.comparison]
    for one, found in zip(tested, family([t.comparison for t in tested if t.comparison]), strict=True):
        one.comparison = found
        metric = result.part.describe(one.metric)
        right = found.sign == (1 if _better(result, one.claim, one.metric) == "max" else -1)
        shown = found.adjusted < LEVEL
        one.verdict = "not decided" if not shown else "reproduced" if right else "not reproduced"
        way = "no difference shown" if not shown else "as claimed" if right else "the other way"
        words = f"{way}: {_effect(one, found, metric)}{p_is(found.adjusted)} after Holm"
        one.why = "; ".join(filter(None, [words, found.remark]))
    return judged


def told(found: Sequence[Judged]) -> tuple[list[Judged], str]:
    """The claims whose arms are here, and one sentence about the others; empty if there are none."""
    here = [one for one in found if not one.missing]
    others = len(found) - len(here)
    names = ", ".join(dict.fromkeys(name for one in found for name in one.missing))
    words = f"{others} claim{'s'[: others > 1]} not tested, of arms that are not here: {names}"
    return here, words if others else ""


STATUSES = ("seen", "second-hand", "from memory", "by analogy")
PROTOCOL = {"seeds", "steps"}
REQUIRED = ("claim", "better", "than", "mode", "source", "status")
FIGURE = ("better", "than", "unit", "n", "setting", "source", "status")


@cache
def references() -> list[dict[str, Any]]:
    """Every reference file. Raises InputError, naming the file, for one that is incomplete."""
    found: list[dict[str, Any]] = []
    for path in sorted((CONFIGS / "reference").glob("*.yaml")):
        content = from_yaml(path.read_bytes())
        if not all(set(protocol) == PROTOCOL for protocol in content["parts"].values()):
            raise InputError(path.name, "seeds and steps of every pattern of parts", content["parts"])
        for claim in content["claims"]:
            entries = [claim, *(claim.get("figures") or [])]
            complete = set(REQUIRED) <= claim.keys() and all(set(FIGURE) <= f.keys() for f in entries[1:])
            if not complete or any(entry["status"] not in STATUSES for entry in entries):
                raise InputError(path.name, f"{', '.join(REQUIRED)} of every claim", claim)
        found.append(content)
    return found


def _effect(judged: Judged, found: Comparison, metric: Metric) -> str:
    """The paired difference, and what these pairs could have shown where they show none."""
    claim = judged.claim
    if judged.metric in (STEPS, SECONDS):
        first, second = ("never" if math.isinf(m) else number(m, metric) for m in found.medians)
        return f"{judged.metric} by rank, medians {first} against {second}, "
    could = number(found.detectable, metric) if found.adjusted >= LEVEL else ""
    could = f" (these pairs could show {could})" if could else ""
    word = " points" if metric.percent else ""
    effect = f" {difference(found, metric)}{word}" if math.isfinite(found.mean) else ""
    return f"{claim['better']} minus {claim['than']} in {judged.metric}{effect}{could}, "


def _better(result: PartResult, claim: dict[str, Any], metric: str) -> Better | None:
    better: Better | None = claim["mode"] or result.part.describe(metric).better
    return better


def _protocol(result: PartResult, file: dict[str, Any]) -> dict[str, int] | None:
    """The protocol that runs of this part need for the file's claims; None: they are not about it."""
    return next((p for pattern, p in file["parts"].items() if fnmatch(result.part.name, pattern)), None)


def _test(result: PartResult, claim: dict[str, Any], protocol: dict[str, int]) -> Judged:
    metric = claim.get("metric") or result.part.metric
    arms = [result.find(claim[role]) for role in ("better", "than")]
    names = [claim["better"], claim["than"]]
    if missing := [name for name, arm in zip(names, arms, strict=True) if not arm]:
        why = f"no arm is called {' or '.join(missing)}"
        return Judged(claim, metric, "not tested", why, missing=missing)
    if empty := [arm.arm.name for arm in arms if arm and not arm.arm.runs]:
        return Judged(claim, metric, "not tested", f"{' and '.join(empty)} has no run")
    first, second = (arm.arm.data for arm in arms if arm)
    if first.differs(second):
        return Judged(claim, metric, "not tested", "the two arms were made with different data")
    if any(arm.tuning and arm.tuning.broken for arm in arms if arm):
        return Judged(claim, metric, "not tested", "a trial of tuning is broken")
    steps = min((run.summary.get("step", 0) for arm in arms if arm for run in arm.arm.done), default=0)
    if steps < protocol["steps"]:
        short = f"runs of {steps} steps: the claim is about {protocol['steps']} or more"
        return Judged(claim, metric, "not tested", short)
    way = _better(result, claim, metric)
    if not way:
        return Judged(claim, metric, "not decided", f"no run says which way {metric} is better")
    better, than = (_outcomes(result, arm, metric) for arm in arms if arm)
    rule = replace(result.rule, margin=math.nan)
    found = compare_arms(better, than, way, timed=metric in (STEPS, SECONDS), rule=rule)
    fewest = max(FEWEST, math.ceil(protocol["seeds"] / (result.part.fresh or 1)))
    if found is None or not is_judged(found) or found.pairs < fewest:
        pairs = len(paired(better, than))
        too_few = f"{pairs} pairs of runs that have {metric}, too few: {fewest} are needed"
        return Judged(claim, metric, "not tested", too_few)
    return Judged(claim, metric, "", "", found)


def _outcomes(result: PartResult, arm: ArmResult, metric: str) -> Outcomes:
    if metric == result.part.metric:
        return arm.outcomes
    return by_unit(result.part, arm.arm, outcomes(result.part, arm.arm, metric, result.replicas))
