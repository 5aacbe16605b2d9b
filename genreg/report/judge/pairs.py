"""Two arms by their pairs of runs: the verdict, the test that decides it, and remarks on that test."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from genreg.report.judge import FEWEST
from genreg.report.judge.statistics import (
    LEVEL,
    Comparison,
    Plan,
    Ranks,
    compare,
    compare_ranks,
    flips_at_best,
    is_skewed,
    level_at,
    probability,
    repeated_p,
)  # fmt: skip
from genreg.report.read.values import Key, Outcomes
from genreg.run.metric import Better

DECIDED = ("better", "worse", "differs", "equivalent")

OTHER_WAY = "by rank, the medians say the other way"


def verdict(found: Comparison | None, better: Better | None, goes_on: bool = False) -> str:
    """Return better or worse (differs, where no way is better), equivalent, or no difference shown.

    The level is 0.05 after Holm. A comparison without a verdict has too few pairs, or is not judged: a run
    failed, and no way is better by which to rank it. goes_on: seeds are added until it is decided.
    """
    if found is None or found.pairs < FEWEST:
        return "too few pairs"
    if not is_judged(found):
        return "not judged"
    if found.adjusted >= LEVEL:
        if found.equivalent < LEVEL:
            return "equivalent"
        return "not decided" if goes_on else "no difference shown"
    if better is None:
        return "differs"
    return "better" if (found.sign > 0) == (better == "max") else "worse"


def is_judged(found: Comparison | None) -> bool:
    """True if a test decides: there are enough pairs, and a way to rank failed runs."""
    return found is not None and found.pairs >= FEWEST and not math.isnan(found.p)


def needs_normal(found: Comparison) -> bool:
    """True if Student's t shows a difference that exact sign flips could show, and do not."""
    if found.by != "t" or found.adjusted >= LEVEL or found.permutation is None:
        return False
    return found.permutation >= found.level > flips_at_best(found.n)


@dataclass(frozen=True)
class Rule:
    """The rule by which pairs are judged.

    margin: a difference smaller than that is not worth having; NaN: none is said. plan: the numbers of
    seeds, in the order of `seeds`, at which a comparison is looked at; empty: once, at all of them.
    """

    margin: float = math.nan
    plan: Plan = ()
    seeds: tuple[int, ...] = ()

    def looks(self, arm: Outcomes, base: Outcomes) -> list[int]:
        """The looks that can be taken: all runs of their seeds have finished or failed, in both arms."""
        over, of_base = ({seed for seed, _ in one.values.keys() | one.failed} for one in (arm, base))
        left = (n for n, seed in enumerate(self.seeds) if seed not in over & of_base)
        first = next(left, len(self.seeds))
        return [n for n in self.plan if n <= first]


ONCE = Rule()


def compare_arms(
    arm: Outcomes, base: Outcomes, better: Better | None, timed: bool = False, rule: Rule = ONCE
) -> Comparison | None:
    """Arm minus baseline over the pairs of which at least one run finished; None with fewer than two.

    Student's t decides where all of these have a difference. Where one run of a pair failed, and for
    times, ranks decide, a failed run behind every other. With a plan, the last look decides.
    """
    pairs = paired(arm, base)
    if not rule.plan:
        return _compare(arm, base, pairs, better, timed, rule.margin) if len(pairs) > 1 else None
    looks = rule.looks(arm, base)
    # seeds beyond the last complete look are not read: the levels are for the numbers of the plan
    seen = [k for k in pairs if looks and k[0] in rule.seeds[: looks[-1]]]
    if len(seen) < FEWEST:
        return None
    n, plan = looks[-1], rule.plan
    found = _compare(arm, base, seen, better, timed, rule.margin, level_at(n, plan, LEVEL))
    p = math.nan if math.isnan(found.p) else repeated_p(found.p, n, plan)
    inside = math.nan if math.isnan(found.equivalent) else repeated_p(found.equivalent, n, plan, 1)
    return replace(found, looks=tuple(looks), p=p, equivalent=inside)


def _compare(arm: Outcomes, base: Outcomes, pairs: Sequence[Key], better: Better | None, timed: bool,
             margin: float, level: float = LEVEL) -> Comparison:  # fmt: skip
    # leaving failed runs out would favor the arm that fails where it is bad: with them only ranks can decide
    both = [key for key in pairs if key in arm.values and key in base.values]
    differences = [arm.values[key] - base.values[key] for key in both]
    superior = _superior(arm, base, pairs, better, level)
    found = replace(_estimate(differences, margin, level), superior=superior)
    if timed or len(both) < len(pairs):
        return _ranked(found, arm, base, pairs, better)
    return replace(found, remark=_remark(found, differences))


def _superior(arm: Outcomes, base: Outcomes, pairs: Sequence[Key], better: Better | None,
              level: float) -> tuple[float, ...]:  # fmt: skip
    """The probability that the arm is better in a pair, with its interval; nothing of too few pairs."""
    if len(pairs) < FEWEST:
        return ()
    _, first, second = _scores(arm, base, pairs, better or "max")
    wins = sum((a < b) + (a == b) / 2 for a, b in zip(first, second, strict=True))
    return probability(wins, len(pairs), level)


def paired(arm: Outcomes, base: Outcomes) -> list[Key]:
    """The keys of which at least one run finished, and the other finished or failed."""
    keys = arm.values.keys() | base.values.keys()
    return sorted((k for k in keys if arm.knows(k) and base.knows(k)), key=str)


def _estimate(differences: Sequence[float], margin: float, level: float) -> Comparison:
    """Mean and interval, as far as there are differences to compute them from."""
    if len(differences) > 1 and all(map(math.isfinite, differences)):
        return compare(differences, margin, level)
    nan, n = math.nan, len(differences)
    mean = differences[0] if n == 1 else nan
    return Comparison(n, mean, nan, nan, nan, nan, nan, None, 0, n, "nothing")


def _ranked(
    found: Comparison, arm: Outcomes, base: Outcomes, pairs: Sequence[Key], better: Better | None
) -> Comparison:
    """The comparison as ranks decide it, with failed runs as the worst."""
    failed = [sum(map(one.lost, pairs)) for one in (arm, base)]
    words = f"failed: {failed[0]} against {failed[1]} of {len(pairs)} pairs"
    if better is None:
        remark = f"{words}, and nothing says which way is better"
        return replace(found, p=math.nan, equivalent=math.nan, sign=0, pairs=len(pairs), by="nothing",
                       remark=remark)  # fmt: skip
    way, ranks = _ranks(arm, base, pairs, better)
    remarks = []
    if any(failed):
        remarks += [f"{words}, ranked worst: judged by rank; mean and difference are of those that finished"]
    if ranks.contradicted:
        remarks += [OTHER_WAY]
    medians = tuple(way * median for median in ranks.medians)
    return replace(found, p=ranks.p, equivalent=math.nan, sign=way * ranks.sign, pairs=len(pairs), by="ranks",
                   medians=medians, remark="; ".join(remarks))  # fmt: skip


def _ranks(arm: Outcomes, base: Outcomes, pairs: Sequence[Key], better: Better) -> tuple[int, Ranks]:
    """Ranks of scores, of which the smaller is better, and the sign that turns a score into a value."""
    way, first, second = _scores(arm, base, pairs, better)
    return way, compare_ranks(first, second)


def _scores(arm: Outcomes, base: Outcomes, pairs: Sequence[Key], better: Better
            ) -> tuple[int, list[float], list[float]]:  # fmt: skip
    # a failed run is worse than any value, so scores are turned such that infinity is the worst
    way = 1 if better == "min" else -1
    first, second = ([math.inf if one.lost(k) else way * one.values[k] for k in pairs] for one in (arm, base))
    return way, first, second


def _remark(found: Comparison, differences: Sequence[float]) -> str:
    """The reasons to read a test of differences with care."""
    if found.n < FEWEST:
        return ""
    if found.by == "signs":
        return f"all {found.n} differences are equal (no spread): judged by sign flips"
    remarks = []
    exact = found.permutation
    if exact is not None and found.p < found.level <= flips_at_best(found.n):
        remarks.append(f"too few for sign flips, which {found.n} pairs cannot bring below {found.level:.2g}")
    elif exact is not None and (found.p < found.level) != (exact < found.level):
        remarks.append(
            f"t test p = {found.p:.2g}, sign flips p = {exact:.2g}: they disagree at {found.level:.2g}"
        )
    if is_skewed(differences):
        remarks.append("differences are skewed: Student's p and interval are rough")
    return "; ".join(remarks)
