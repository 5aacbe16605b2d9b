"""Looks and margins, against numbers by other ways."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Result
from scipy import stats
from synthetic import METRICS, SELECTION, part_of

from genreg.report.evaluate import evaluate
from genreg.report.judge.pairs import Rule, compare_arms
from genreg.report.judge.statistics import decide, holm, level_at, repeated_p
from genreg.report.output.claims import judge
from genreg.report.read.find import read_parts
from genreg.report.read.values import Outcomes
from genreg.run.metric import Metric
from genreg.study.model import Part

Genreg = Callable[..., Result]
PLAN = (5, 10, 20)


def outcomes(values: Sequence[float]) -> Outcomes:
    return Outcomes({(seed, None): float(value) for seed, value in enumerate(values)})


def test_one_look_is_the_plain_test() -> None:
    for p in (0.5, 0.05, 0.01):
        assert repeated_p(p, 10, (10,)) == pytest.approx(p, abs=4 * math.sqrt(p / 100_000))


def test_an_early_look_counts_less() -> None:
    assert repeated_p(0.02, 5, PLAN) > repeated_p(0.02, 10, PLAN) > repeated_p(0.02, 20, PLAN) > 0.02
    assert repeated_p(0.02, 5, PLAN) == repeated_p(0.08, 20, PLAN)
    assert repeated_p(1.0, 20, PLAN) == 1


@pytest.mark.parametrize("level", [0.05, 0.01])
def test_the_level_at_a_look_is_where_p_passes_the_whole_plan_s(level: float) -> None:
    for n in PLAN:
        at = level_at(n, PLAN, level)
        assert repeated_p(0.999 * at, n, PLAN) <= level + 2e-5 < repeated_p(1.01 * at, n, PLAN) + 2e-5
        assert at == pytest.approx(level_at(20, PLAN, level) * n / 20)
    assert level / len(PLAN) < level_at(20, PLAN, level) < level


@pytest.mark.full
@pytest.mark.parametrize("plan", [PLAN, tuple(range(5, 21))])
def test_one_side_is_half_of_both(plan: tuple[int, ...]) -> None:
    """A sweep that is far out above at one look and far below at another hardly ever is."""
    for n in plan[:: len(plan) - 1]:
        assert level_at(n, plan, 0.05, 1) == pytest.approx(level_at(n, plan, 0.1) / 2, rel=0.02)
        assert repeated_p(0.01, n, plan, 1) == pytest.approx(repeated_p(0.02, n, plan) / 2, rel=0.05)


def test_pairs_are_too_few_for_sign_flips_at_the_level_of_the_look() -> None:
    """By scipy's t test; of sign flips seven pairs have 128: 2/128 is above that level."""
    rule, seen = Rule(plan=(7, 14, 21), seeds=tuple(range(21))), set()
    level = level_at(7, rule.plan, 0.05)
    assert level < 2 / 128 < 0.05
    for seed in range(40):
        d = np.abs(np.random.default_rng(seed).normal(1, 0.5, 7))
        found = compare_arms(outcomes(d), outcomes(np.zeros(7)), "max", rule=rule)
        assert found
        says = f"too few for sign flips, which 7 pairs cannot bring below {level:.2g}" in found.remark
        assert says == (stats.ttest_1samp(d, 0).pvalue < level)
        seen.add(says)
    assert seen == {True, False}


def test_all_looks_together_have_the_level() -> None:
    """By scipy's own t test on other draws: 2,000 true nulls, looks at 5, 10 and 20."""
    d = np.random.default_rng(7).normal(size=(2000, 20))
    p = np.stack([stats.ttest_1samp(d[:, :n], 0, axis=1).pvalue for n in PLAN], 1)
    hit = (p < [level_at(n, PLAN, 0.05) for n in PLAN]).any(1).mean()
    assert hit == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / 2000))
    assert (p < 0.05).any(1).mean() > 0.09  # what uncorrected looks do


def test_both_one_sided_tests() -> None:
    d = [0.3, -0.2, 0.1, 0.4, 0.0, 0.2]
    found = decide(d, 0.5)
    above = stats.ttest_1samp(d, -0.5, alternative="greater").pvalue
    below = stats.ttest_1samp(d, 0.5, alternative="less").pvalue
    assert found.equivalent == pytest.approx(max(above, below), rel=1e-10)
    assert found.p == pytest.approx(stats.ttest_1samp(d, 0).pvalue, rel=1e-10)
    assert decide([0.0] * 5, 0.5).equivalent == pytest.approx(1 / 32)  # no spread: sign flips of d + margin
    assert decide([1.0] * 5, 0.5).equivalent == 1
    assert math.isnan(decide(d).equivalent)


def test_what_was_not_tested_counts_in_the_family() -> None:
    assert holm([0.01, math.nan, 0.02]) == pytest.approx([0.03, math.nan, 0.04], nan_ok=True)


def test_a_look_waits_for_all_its_seeds() -> None:
    rng = np.random.default_rng(0)
    base, arm = rng.normal(size=12), rng.normal(size=12) + 0.4
    rule = Rule(plan=(5, 8, 12), seeds=tuple(range(12)))
    whole = compare_arms(outcomes(arm), outcomes(base), "max", rule=rule)
    assert whole
    assert (whole.looks, whole.n) == ((5, 8, 12), 12)
    half = outcomes(arm)
    del half.values[6, None]  # a run that is not over
    found = compare_arms(half, outcomes(base), "max", rule=rule)
    assert found
    assert (found.looks, found.n, found.mean) == ((5,), 5, pytest.approx((arm - base)[:5].mean()))
    p = stats.ttest_1samp((arm - base)[:5], 0).pvalue
    assert found.p == repeated_p(p, 5, rule.plan)
    width = stats.t.ppf(1 - level_at(5, rule.plan, 0.05) / 2, 4) * stats.sem((arm - base)[:5])
    assert (found.high - found.low) / 2 == pytest.approx(width)
    half.failed.add((6, None))  # over after all: ranked worst
    failed = compare_arms(half, outcomes(base), "max", rule=rule)
    assert failed
    assert (failed.looks, failed.by) == ((5, 8, 12), "ranks")
    assert math.isnan(failed.equivalent)
    few = compare_arms(outcomes(arm[:4]), outcomes(base), "max", rule=rule)
    assert few is None


def test_a_difference_that_has_gone_is_no_verdict() -> None:
    """What an early look showed while others were open does not come back when they are decided."""
    base = np.zeros(10)
    arm = np.array([1.0, 1.1, 0.9, 1.05, 0.95, -1, -1.2, -0.9, -1.1, -0.8])
    rule = Rule(plan=(5, 10), seeds=tuple(range(10)))
    early, late = (compare_arms(outcomes(arm[:n]), outcomes(base), "max", rule=rule) for n in (5, 10))
    assert early
    assert late
    assert early.p < 0.001
    assert late.p > 0.5


@pytest.mark.every(5)
@pytest.mark.parametrize("gain", [0.0, 0.3, 0.5, 0.7, 1.0])
def test_p_and_interval_say_the_same(gain: float) -> None:
    base = np.zeros(20)
    for seed in range(20):
        arm = np.random.default_rng(seed).normal(gain, 1, 20)
        for n in (5, 10, 20):
            rule = Rule(plan=PLAN, seeds=tuple(range(20)))
            found = compare_arms(outcomes(arm[:n]), outcomes(base), "max", rule=rule)
            assert found
            assert (found.p < 0.05) == (found.low > 0 or found.high < 0)


def verdict_of(arm: Sequence[float], base: Sequence[float], **part: Any) -> str:
    given = part_of({"none": base, "vat": arm})
    given.seeds = tuple(range(len(base)))
    for key, value in part.items():
        setattr(given, key, value)
    return evaluate(given).arms[1].verdict


def test_verdicts() -> None:
    rng = np.random.default_rng(3)
    base = rng.normal(0, 1, 20)
    same = base + rng.normal(0, 0.1, 20)
    margin = (0.5, "absolute")
    assert verdict_of(same, base) == "no difference shown"
    assert verdict_of(same, base, margin=margin) == "equivalent"
    assert verdict_of(same + 1, base, margin=margin) == "better"
    looks = tuple(range(5, 21))
    assert verdict_of(same, base, looks=looks) == "not decided"
    assert verdict_of(same, base, looks=looks, planned=False) == "no difference shown"
    assert verdict_of(same, base, looks=looks, margin=margin) == "equivalent"
    assert verdict_of(same - 1, base, looks=looks) == "worse"


def test_a_smoke_run_reproduces_nothing() -> None:
    rng = np.random.default_rng(0)
    part = part_of(
        {"supervised": rng.normal(size=9), "vat": rng.normal(5, 1, 9), "noise": rng.normal(size=9)}
    )
    part.name = "vat_200"
    for arm in part.arms:
        for run in arm.runs.values():
            run.summary["step"] = 30
            run.summary["last"]["test/accuracy"] = run.summary["last"]["test/score"]
    claims = judge(evaluate(part))
    assert {claim.verdict for claim in claims} == {"not tested"}
    assert claims[0].why == "runs of 30 steps: the claim is about 1000 or more"


SWEEPS = 2000


def write(root: Path, draw: Callable[[np.random.Generator], np.ndarray], margin: float) -> None:
    """A sweep of SWEEPS parts, each of one arm against a baseline of zeros, with 20 seeds each."""

    def run(folder: Path, value: float) -> None:
        folder.mkdir(parents=True)
        row = {"step": 1, "test/accuracy": value}
        summary = {"status": "done", "step": 1, "seconds": 1, "selection": SELECTION, "metrics": METRICS,
                   "best": None, "last": row}  # fmt: skip
        (folder / "summary.json").write_text(json.dumps(summary))

    for seed in range(20):
        run(root / f"base/seed={seed}", 0.0)
    parts, rng = [], np.random.default_rng(0)
    for k in range(SWEEPS):
        for seed, value in enumerate(draw(rng)):
            run(root / f"{k}/seed={seed}", float(value))
        arms = [{"name": "base", "folder": "base"}, {"name": "arm", "folder": str(k)}]
        parts.append({"name": str(k), "baseline": "base", "metric": "test/accuracy", "mode": "max",
                      "select": None, "seeds": list(range(20)), "looks": list(range(5, 21)),
                      "margin": {"value": margin, "unit": "points"} if margin else None, "planned": True,
                      "arms": arms})  # fmt: skip
    (root / "sweep.json").write_text(json.dumps({"sweep": "s", "parts": parts}))


NULLS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "normal": lambda rng: rng.normal(0, 0.01, 20),
    "binomial": lambda rng: np.subtract(*rng.binomial(500, 0.85, (2, 20))) / 500,
}


def stopped(part: Part) -> str:
    """The verdict of the first look that decides, as a sweep that adds seeds would end."""
    whole = [dict(arm.runs) for arm in part.arms]
    verdict = ""
    for n in part.looks:
        for arm, runs in zip(part.arms, whole, strict=True):
            arm.runs = {seed: runs[seed] for seed in list(runs)[:n]}
        verdict = evaluate(part).arms[1].verdict
        if verdict != "not decided":
            break
    return verdict


@pytest.mark.slow
@pytest.mark.parametrize("name", NULLS)
def test_looks_have_five_percent_through_folders_and_report(tmp_path: Path, name: str) -> None:
    write(tmp_path, NULLS[name], 0)
    verdicts = [stopped(part) for part in read_parts([tmp_path])]
    shown = sum(verdict in ("better", "worse") for verdict in verdicts) / SWEEPS
    assert 0.04 <= shown <= 0.06
    assert set(verdicts) <= {"better", "worse", "not decided"}


@pytest.mark.slow
def test_equivalence_is_right_through_folders_and_report(tmp_path: Path) -> None:
    """A difference of just the margin is called equivalent in at most 5 % of sweeps."""
    write(tmp_path, lambda rng: rng.normal(0.01, 0.01, 20), 1.0)
    verdicts = [stopped(part) for part in read_parts([tmp_path])]
    assert sum(verdict == "equivalent" for verdict in verdicts) / SWEEPS <= 0.06
    assert sum(verdict == "worse" for verdict in verdicts) / SWEEPS <= 0.005


def test_a_margin_in_points_of_no_share(genreg: Genreg) -> None:
    given = part_of({"none": [1.0] * 5, "vat": [2.0] * 5})
    given.margin = (1.0, "points")
    with pytest.raises(Exception, match="expected absolute: score is no share"):
        given.margin_in(Metric("score"))
    assert given.margin_in(Metric("accuracy", "max", "%")) == 0.01


def test_a_look_at_one_seed_shows_nothing_and_spends_nothing() -> None:
    """One seed, then ten by hand: p was 1e-5 whatever the differences were."""
    assert level_at(10, (1, 10), 0.05) == level_at(10, (10,), 0.05)
    assert repeated_p(0.5, 10, (1, 10)) == repeated_p(0.5, 10, (10,))
    base = np.random.default_rng(5).normal(size=(2, 10))
    assert verdict_of(*base, looks=(1, 10), planned=False) == "no difference shown"
