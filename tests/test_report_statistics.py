"""The report's statistics against textbooks, brute force and simulation."""

import itertools
import math
from typing import Literal

import numpy as np
import pytest
from synthetic import part_of

from genreg.report.evaluate import evaluate
from genreg.report.judge.statistics import (
    Ranks,
    compare,
    compare_ranks,
    detectable,
    holm,
    power,
    sign_flip,
)
from genreg.report.read.values import first_reach

SLEEP = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
"""Student's sleep data of 1908: hours gained with one drug over the other, ten patients."""


def test_students_own_example() -> None:
    found = compare(SLEEP)
    assert found.mean == pytest.approx(1.58)
    assert found.p == pytest.approx(0.002833, abs=1e-6)  # as R prints it
    assert (found.low, found.high) == pytest.approx((0.7001142, 2.4598858), abs=1e-6)
    assert found.wilcoxon < 0.02


def test_sign_flips_are_all_counted() -> None:
    d = np.array([0.3, -0.1, 0.5, 0.2, 0.4, -0.25])
    flipped = [abs(np.mean(d * signs)) for signs in itertools.product((1, -1), repeat=len(d))]
    expected = np.mean([value >= abs(d.mean()) - 1e-12 for value in flipped])
    assert sign_flip(d) == pytest.approx(expected)
    assert compare(d).permutation == pytest.approx(expected)
    assert compare(list(range(1, 12))).permutation is None


@pytest.mark.parametrize("n", [10, 11, 15])
def test_up_to_twenty_pairs_no_sign_flip_is_drawn(n: int) -> None:
    """Against all 2^n; up to ten pairs a comparison has it beside Student's p."""
    d = np.random.default_rng(n).normal(0.4, 1, n)
    patterns = np.array(list(itertools.product((1, -1), repeat=n)), np.int8)
    expected = np.mean(np.abs(patterns @ d) >= abs(d.sum()) - 1e-9)
    assert sign_flip(d) == pytest.approx(expected, rel=1e-9)
    assert compare(d).permutation == (pytest.approx(expected, rel=1e-9) if n == 10 else None)


def test_medians_contradict_only_what_is_shown() -> None:
    assert Ranks(0.04, 1, (50, 51)).contradicted
    assert not Ranks(0.04, -1, (50, 51)).contradicted
    assert not Ranks(0.04, 1, (50, 50)).contradicted
    assert not Ranks(0.06, 1, (50, 51)).contradicted


@pytest.mark.parametrize("mode", ["max", "min"])
def test_arms_ranked_on_validation_stand_best_first(mode: Literal["max", "min"]) -> None:
    """One with a failure behind all that have none, one without values last; on test in the file's order."""
    values = {"b": [0.5, 0.5], "empty": [0.0, 0.0], "a": [0.7, 0.7], "failed": [0.9, 0.9], "c": [0.2, 0.4]}
    part = part_of({name: [v if mode == "max" else -v for v in own] for name, own in values.items()}, mode)
    part.arms[3].runs[0].status = "failed"
    for run in part.arms[1].runs.values():
        run.status = "missing"
    assert [arm.arm.name for arm in evaluate(part).arms] == list(values)
    for run in part.runs():
        assert run.last
        run.last["validation/score"] = run.last["test/score"]
    part.metric = "validation/score"
    assert [arm.arm.name for arm in evaluate(part).arms] == ["a", "b", "c", "failed", "empty"]


def test_holm_as_r_adjusts() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_power_of_the_standard_example() -> None:
    assert power(0.5, 1.0, 34) == pytest.approx(0.8078, abs=1e-4)  # G*Power: dz = 0.5 needs 34 pairs
    assert power(0.5, 1.0, 33) < 0.8
    assert detectable(1.0, 34) == pytest.approx(0.4954, abs=2e-3)
    assert power(detectable(2.0, 5, 0.01), 2.0, 5, 0.01) == pytest.approx(0.8, abs=1e-6)
    for n, level in itertools.product((2, 3, 10, 1000), (0.05, 0.05 / 8, 0.05 / 1000)):
        assert math.isfinite(detectable(1.0, n, level))


def test_differences_without_spread_are_judged_by_signs() -> None:
    assert compare([0.0, 0.0, 0.0]).p == 1.0
    assert compare([0.5, 0.5, 0.5]).p == pytest.approx(2 / 8)
    assert compare([0.1 + 0.2, 0.3, 0.3]).p == pytest.approx(2 / 8)  # equal up to rounding
    with pytest.raises(ValueError, match="two pairs"):
        compare([1.0])


def test_time_to_threshold_and_censoring() -> None:
    steps, values, seconds = [10, 20, 30], [0.9, 0.5, 0.6], [1.0, 2.0, 3.0]
    assert first_reach(steps, values, seconds, 0.5, "min").steps == 20
    assert first_reach(steps, values, seconds, 0.5, "min").seconds == 2.0
    assert first_reach(steps, values, seconds, 0.9, "max").steps == 10
    assert first_reach(steps, values, seconds, 0.95, "max").steps == math.inf


def test_a_censored_time_is_later_than_any_other_and_level_with_its_like() -> None:
    late = [math.inf] * 6
    for early in ([100 + k for k in range(6)], [1e9] * 6):
        found = compare_ranks(early, late)
        assert (found.p, found.sign) == (pytest.approx(2 / 64), -1)
    assert (compare_ranks(late, late).p, compare_ranks(late, late).sign) == (1.0, 0)


@pytest.mark.slow
def test_holm_keeps_the_family_at_five_percent() -> None:
    draw = np.random.default_rng(0)
    families = 4000  # standard error 0.34 points
    found = shared = 0
    for _ in range(families):
        noise = draw.normal(size=(4, 12))
        part = part_of({"none": np.zeros(12), "a": noise[0], "b": noise[1], "c": noise[2], "d": noise[3]})
        found += any(arm.verdict in ("better", "worse") for arm in evaluate(part).arms)
        part = part_of({"none": noise[0], "a": noise[1], "b": noise[2], "c": noise[3]})
        shared += any(arm.verdict in ("better", "worse") for arm in evaluate(part).arms)
    assert found / families == pytest.approx(0.05, abs=0.01)
    assert shared / families < 0.06  # one baseline for all: their errors hang together, and Holm is cautious


@pytest.mark.slow
@pytest.mark.parametrize(("n", "arms"), [(5, 1), (12, 1), (12, 4)])
def test_a_detectable_effect_is_found_with_the_predicted_power_and_covered(n: int, arms: int) -> None:
    draw = np.random.default_rng(1)
    sd, trials = 0.7, 2000
    effect = detectable(sd, n, 0.05 / arms)
    found = covered = 0
    for _ in range(trials):
        values = {"none": np.zeros(n)} | {f"arm{k}": draw.normal(0, sd, n) for k in range(arms)}
        values["arm0"] = values["arm0"] + effect
        arm = evaluate(part_of(values)).find("arm0")
        assert arm
        assert arm.comparison
        found += arm.verdict == "better"
        covered += arm.comparison.low <= effect <= arm.comparison.high
    assert found / trials == pytest.approx(0.8, abs=0.03)
    assert covered / trials == pytest.approx(0.95, abs=0.015)
