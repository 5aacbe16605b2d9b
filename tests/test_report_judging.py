"""Which test decides between two arms: times, failed runs, few pairs, differences that no t test fits."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Result
from synthetic import part_of, write_landscape, write_run, write_sweep

from genreg.report.evaluate import evaluate
from genreg.report.figures import figures
from genreg.report.judge.pairs import compare_arms
from genreg.report.judge.result import ArmResult
from genreg.report.judge.statistics import compare, compare_ranks, detectable, is_skewed
from genreg.report.output.claims import Judged, judge
from genreg.report.read.values import Outcomes
from genreg.study.model import Part

EARLY = [10.0] * 8 + [301.0 + k for k in range(9)]
LATE = [1000.0] * 8 + [300.0 + k for k in range(9)]
"""17 pairs: 8 hugely earlier, 9 one step later; the medians are 301 against 308."""


def failing(part: Part, arm: int, seeds: Sequence[int], status: str = "failed") -> Part:
    """The part with these runs of an arm failed (or unfinished)."""
    for seed in seeds:
        part.arms[arm].runs[seed].status = status
    return part


def judged(part: Part, arm: int = 1) -> ArmResult:
    return evaluate(part).arms[arm]


@pytest.mark.full
def test_the_sign_of_times_is_that_of_their_ranks() -> None:
    found = compare_ranks(EARLY, LATE)
    assert (found.p < 0.05, found.sign, found.contradicted) == (True, -1, False)
    found = compare_ranks([50.0] * 9 + [1000.0] * 8, [50.0] * 8 + [51.0] + [60.0] * 8)
    assert (found.p < 0.05, found.sign, found.medians, found.contradicted) == (True, 1, (50, 51), True)


def times_claim(tmp_path: Path, sn: Sequence[float], gp: Sequence[float]) -> Judged:
    """The claim that sn needs fewer steps than gp, from runs that reach 0.5 at these steps."""
    for arm, times in {"sn": sn, "gp": gp}.items():
        for seed, time in enumerate(times):
            rows = [{"step": int(min(time, 1e9)), "validation/loss": 0.9 if math.isinf(time) else 0.4}]
            last = {"step": 30, "test/loss": 1.0}
            write_run(tmp_path / arm / f"seed={seed}", 0.5, rows=rows, selection=None, best=None, last=last)
    arms = [{"name": name, "folder": name} for name in ("gp", "sn")]
    threshold = {"metric": "validation/loss", "value": 0.5}
    write_sweep(tmp_path, arms, name="wgan_sn", baseline="gp", metric="test/loss", mode="min", select=None,
                seeds=list(range(len(sn))), threshold=threshold)  # fmt: skip
    from genreg.report.read.find import read_parts

    result = evaluate(read_parts([tmp_path])[0])
    claim = judge(result)[0]
    assert claim.metric == "steps_to_threshold"
    assert result.arms[1].time_way == "earlier"
    return claim


@pytest.mark.full
def test_a_claim_about_times_is_judged_by_one_statistic(tmp_path: Path) -> None:
    claim = times_claim(tmp_path, EARLY, LATE)
    why = "as claimed: steps_to_threshold by rank, medians 301 against 308, p = 0.023 after Holm"
    assert (claim.why, claim.verdict) == (why, "reproduced")


def test_what_claims_could_show_is_of_as_many_as_are_tested() -> None:
    noise = np.random.default_rng(0).normal(size=(3, 10))
    part = part_of({"supervised": noise[0], "vat": noise[1], "noise": noise[2]})
    part.name, part.metric = "vat_200", "test/accuracy"
    for run in part.runs():
        assert run.last
        run.last["test/accuracy"] = run.last["test/score"]
    for claim in judge(evaluate(part)):
        assert claim.comparison
        assert claim.comparison.detectable == pytest.approx(detectable(claim.comparison.sd, 10, 0.05 / 2))


def survivors(better: str = "max") -> Part:
    """Ten seeds; the arm is better by 1, but seeds 0 to 5 fail."""
    noise = np.random.default_rng(1).normal(0, 0.1, (2, 10))
    gain = 1 if better == "max" else -1
    part = part_of({"none": noise[0], "vat": noise[1] + gain}, better)  # type: ignore[arg-type]
    return failing(part, 1, range(6))


@pytest.mark.parametrize("better", ["max", "min"])
def test_survivors_do_not_decide(better: str) -> None:
    arm = judged(survivors(better))
    assert arm.comparison
    assert (arm.failed, arm.comparison.n, arm.comparison.pairs, arm.comparison.by) == (6, 4, 10, "ranks")
    assert arm.verdict == "no difference shown"
    assert arm.remark.startswith("failed: 6 against 0 of 10 pairs, ranked worst: judged by rank")
    assert math.isnan(arm.comparison.detectable)


def test_an_arm_that_only_fails_is_worse() -> None:
    part = part_of({"none": np.arange(10.0), "vat": np.arange(10.0) + 5})
    arm = judged(failing(part, 1, range(10)))
    assert (arm.verdict, arm.comparison and arm.comparison.p) == ("worse", pytest.approx(2 / 2**10))
    part.baseline = "vat"
    assert judged(part, 0).verdict == "better"
    assert evaluate(part).notes == ["vat, seeds 0 to 9: failed (failed)"]


@pytest.mark.parametrize("status", ["missing", "running", "interrupted", "damaged", "half-written"])
def test_unfinished_runs_are_not_failures(status: str) -> None:
    part = part_of({"none": np.arange(11.0), "vat": np.arange(11.0) + 5 + np.arange(11) % 2})
    arm = judged(failing(part, 1, range(5), status))
    assert arm.comparison
    assert (arm.verdict, arm.comparison.by, arm.comparison.pairs, arm.failed) == ("better", "t", 6, 0)


def test_a_pair_that_failed_in_both_arms_says_nothing() -> None:
    values = {"none": np.arange(8.0), "vat": np.arange(8.0) + 5 + np.arange(8) % 2}
    arm = judged(failing(failing(part_of(values), 0, [0, 1]), 1, [0, 1]))
    assert arm.comparison
    assert (arm.comparison.by, arm.comparison.pairs, arm.remark) == ("t", 6, "")


def test_failures_without_a_direction_are_not_judged() -> None:
    part = part_of({"none": np.arange(8.0), "vat": np.arange(8.0) + 3}, None)
    for run in part.runs():
        run.summary["metrics"] = {}
    arm = judged(failing(part, 1, [0, 1]))
    assert (arm.verdict, "nothing says which way" in arm.remark) == ("not judged", True)


def test_a_value_that_is_not_finite_is_a_failure() -> None:
    part = part_of({"none": np.arange(9.0), "vat": [math.nan, math.inf, *np.arange(2.0, 9) + 5]})
    arm = judged(part)
    assert arm.comparison
    assert (arm.failed, arm.unfinished, arm.comparison.by) == (2, 0, "ranks")
    assert "vat: 2 values are not finite and are left out of the mean" in evaluate(part).notes


def test_a_failed_run_never_reached_the_threshold_and_takes_no_time_an_update(tmp_path: Path) -> None:
    rows = [{"step": 10, "validation/accuracy": 0.9, "test/accuracy": 0.9}]
    for arm in ("none", "vat"):
        for seed in range(6):
            status = "failed" if arm == "vat" else "done"
            write_run(tmp_path / arm / f"seed={seed}", 0.9 + seed / 100, rows=rows, status=status)
    arms = [{"name": name, "folder": name} for name in ("none", "vat")]
    threshold = {"metric": "validation/accuracy", "value": 0.5}
    write_sweep(tmp_path, arms, seeds=list(range(6)), threshold=threshold)
    from genreg.report.read.find import read_parts

    (part,) = read_parts([tmp_path])
    arm = judged(part)
    assert (arm.reached, len(arm.times), arm.time_way, arm.verdict) == (0, 6, "later", "worse")
    part.metric, part.mode = "seconds_per_step", None
    assert judged(part).verdict == "too few pairs"
    part.metric = "steps_to_threshold"
    assert judged(part).verdict == "worse"


def test_dead_replicas_are_the_worst(tmp_path: Path, genreg: Callable[..., Result]) -> None:
    trace = np.random.default_rng(0).normal(20, 1, 30)
    write_landscape(tmp_path / "out/anti_pgd_valley/gd-00000000/seed=0", trace)
    folder = write_landscape(tmp_path / "out/anti_pgd_valley/anti_pgd-00000000/seed=0", trace - 5)
    arrays = dict(np.load(folder / "replicas.npz"))
    died = np.where(np.arange(30) < 25, 7, -1)
    np.savez(folder / "replicas.npz", **arrays | {"died": died})
    (part,) = json.loads(genreg("report", "out", "--format", "json").out)["parts"]
    arm = part["arms"][1]
    assert (arm["verdict"], arm["failed"], arm["unfinished"], arm["difference_by"]) == (
        "worse",
        25,
        0,
        "ranks",
    )
    assert [claim["verdict"] for claim in part["claims"]] == ["not reproduced", "not tested", "not tested"]
    assert "failed: 25 against 0 of 30 pairs" in part["claims"][0]["why"]
    write_run(
        tmp_path / "out/anti_pgd_valley/pgd-00000000/seed=0", 0.5, status="failed", best=None, last=None
    )
    (part,) = json.loads(genreg("report", "out", "--format", "json").out)["parts"]
    assert [arm["verdict"] for arm in part["arms"]] == ["", "worse", "worse"]  # all replicas failed


def test_an_arm_with_failures_is_not_the_winner_of_a_tuning() -> None:
    part = part_of({"steady": [0.7] * 4, "lucky": [0.9] * 4})
    part.metric = "validation/score"
    for run in part.runs():
        assert run.last
        run.last["validation/score"] = run.last["test/score"]
    assert [arm.arm.name for arm in evaluate(failing(part, 1, [0, 1, 2])).arms] == ["steady", "lucky"]


def test_a_grid_of_values_marks_failures() -> None:
    part = part_of({"none": [0.0], **{f"vat{k}": [float(k), float(k)] for k in range(4)}})
    for k, arm in enumerate(part.arms[1:]):
        arm.name, arm.values = f"vat,{k}", {"xi": k % 2, "epsilon": k // 2}
    grid, *_ = figures(evaluate(failing(part, 3, [0])))
    assert (grid.image.count("†</text>"), "†: some runs failed" in grid.caption) == (1, True)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_nothing_is_decided_below_five_pairs(n: int) -> None:
    arms = {"none": np.zeros(n), "vat": np.array([0.02, 0.02, 0.022, 0.021][:n])}
    result = evaluate(part_of(arms))
    found = result.arms[1].comparison
    assert found
    assert (result.arms[1].verdict, result.arms[1].remark) == ("too few pairs", "")
    assert math.isnan(found.adjusted)
    part = part_of({"gp": arms["none"], "sn": arms["vat"]})
    part.name = "wgan_modes_8"
    (claim,) = judge(evaluate(part))
    assert claim.verdict == "not tested"
    assert claim.why == f"{n} pairs of runs that have test/score, too few: 5 are needed"


def test_an_arm_of_few_pairs_is_none_of_the_family() -> None:
    arms: dict[str, Any] = {"a": [0.0] * 6, "b": [1.0, 0.2, 1.5, 0.9, -0.3, 0.8]}  # p = 0.035
    assert judged(part_of(arms | {"c": [1.0, 2.0, 3.0]})).verdict == "better"


def test_equal_differences_are_judged_by_signs() -> None:
    for n, verdict in ((5, "no difference shown"), (6, "better")):
        arm = judged(part_of({"none": np.arange(n), "vat": np.arange(n) + 2}))
        found = arm.comparison
        assert found
        assert (found.mean, found.low, found.high, found.by) == (2, 2, 2, "signs")
        assert (found.adjusted, arm.verdict) == (pytest.approx(2 / 2**n), verdict)
        assert math.isnan(found.detectable)
        assert arm.remark == f"all {n} differences are equal (no spread): judged by sign flips"


def test_disagreement_of_the_tests_is_said() -> None:
    arm = judged(part_of({"none": np.zeros(5), "vat": [1.0, 1.1, 0.9, 1.2, 1.0]}))
    assert arm.verdict == "better"  # the t test decides
    assert arm.remark == "too few for sign flips, which 5 pairs cannot bring below 0.05"
    assert arm.condition == ""
    assert judged(part_of({"none": np.zeros(8), "vat": np.linspace(1, 1.3, 8)})).remark == ""


def test_clear_skewness_is_said() -> None:
    draw = np.random.default_rng(0)
    one_sided = np.sort(draw.lognormal(0, 1.5, 12))
    assert is_skewed(one_sided)
    assert not is_skewed(np.tile(one_sided, 500))  # so many that the mean is normal
    assert not is_skewed(np.linspace(-1, 2, 12))
    assert np.mean([is_skewed(draw.normal(size=8)) for _ in range(500)]) < 0.1
    assert "skewed" in judged(part_of({"none": np.zeros(12), "vat": one_sided})).remark


@pytest.mark.full
def test_the_rule_for_failures_keeps_its_level() -> None:
    """Arms that fail as often and are as good: 800 families of one, standard error 0.8 points."""
    draw = np.random.default_rng(2)
    trials, wrong = 800, 0
    for _ in range(trials):
        arms = []
        for _ in range(2):
            died = draw.random(9) < 0.3
            values = {(seed, None): value for seed, value in enumerate(draw.normal(size=9)) if not died[seed]}
            arms.append(Outcomes(values, {(int(seed), None) for seed in np.flatnonzero(died)}))
        found = compare_arms(*arms, better="max")
        wrong += found is not None and found.pairs >= 5 and found.p < 0.05
    assert 0.015 < wrong / trials < 0.075


def test_failures_alone_are_found() -> None:
    """Equally good where they finish, but one arm fails in 8 of 10 seeds."""
    draw = np.random.default_rng(3)
    base = Outcomes({(seed, None): value for seed, value in enumerate(draw.normal(size=10))})
    arm = Outcomes(
        {(seed, None): base.values[seed, None] for seed in (0, 1)}, {(s, None) for s in range(2, 10)}
    )
    found = compare_arms(arm, base, "max")
    assert found
    assert (found.p < 0.05, found.sign) == (True, -1)


@pytest.mark.full
def test_the_rank_statistic_keeps_its_level() -> None:
    """Skewed times of which a third is censored, dependent within a pair: standard error 0.8 points."""
    draw = np.random.default_rng(4)
    trials, wrong = 800, 0
    for _ in range(trials):
        shared = draw.normal(size=9)
        times = [np.exp(shared + draw.normal(size=9)) for _ in range(2)]
        first, second = ([math.inf if t > 1.6 else float(t) for t in of] for of in times)
        wrong += compare_ranks(first, second).p < 0.05
    assert 0.015 < wrong / trials < 0.075


def test_a_t_test_is_what_it_was() -> None:
    found = compare([1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4])
    assert (found.by, found.sign, found.pairs) == ("t", 1, 10)
    assert found.p == pytest.approx(0.002833, abs=1e-6)
