"""Which runs are a pair, wherever arms are compared: those of one seed, whatever else is missing."""

import itertools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from synthetic import part_of, write_run, write_sweep
from test_report_figures import drawn_as

from genreg.report.evaluate import evaluate
from genreg.report.judge.pairs import Rule, compare_arms
from genreg.report.judge.statistics import SIMULATED, repeated_p
from genreg.report.read.find import read_parts
from genreg.report.read.values import Outcomes, chosen_row
from genreg.run.replicas import last
from genreg.study.model import Part

SEEDS = (9, 4, 0, 7, 2, 11, 5, 3, 8, 1)
"""In the order in which they were made."""
ARM = {seed: 100.0 * seed + gain for seed, gain in zip(SEEDS, np.linspace(0.5, 3, 10) ** 2, strict=True)}
BASE = {seed: 100.0 * seed + (seed % 3) for seed in reversed(SEEDS)}
"""What a seed gives is far more than what an arm does: every wrong pair is a large difference."""


def outcomes(values: Mapping[int, float], failed: tuple[int, ...] = ()) -> Outcomes:
    return Outcomes({(seed, None): value for seed, value in values.items()}, {(s, None) for s in failed})


def without(values: Mapping[int, float], *seeds: int) -> dict[int, float]:
    return {seed: value for seed, value in values.items() if seed not in seeds}


def test_a_difference_is_of_one_seed_whatever_is_missing() -> None:
    found = compare_arms(outcomes(without(ARM, 4, 11)), outcomes(without(BASE, 9, 3)), "max")
    both = [seed for seed in SEEDS if seed not in (4, 11, 9, 3)]
    expected = stats.ttest_rel([ARM[s] for s in both], [BASE[s] for s in both])
    assert found
    assert (found.n, found.pairs, found.by, found.sign) == (6, 6, "t", 1)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-10)
    interval = expected.confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-10)


@pytest.mark.parametrize("better", ["max", "min"])
def test_ranks_are_of_one_seed_with_failed_runs_behind_all(better: str) -> None:
    """By hand: all signs of the differences in rank; a failure is the worst value there is."""
    lost = {"arm": (7, 2), "base": (2, 5)}  # seed 2 says nothing
    arm, base = without(ARM, 4, *lost["arm"]), without(BASE, 9, *lost["base"])
    found = compare_arms(outcomes(arm, lost["arm"]), outcomes(base, lost["base"]), better)  # type: ignore[arg-type]
    pairs = [seed for seed in SEEDS if seed not in (2, 4, 9)]
    worst = -math.inf if better == "max" else math.inf
    values = [[one.get(seed, worst) for seed in pairs] for one in (arm, base)]
    d = np.subtract(*np.split(stats.rankdata(np.concatenate(values)), 2))
    flips = [abs(d @ signs) for signs in itertools.product((1, -1), repeat=len(d))]
    assert found
    assert (found.n, found.pairs, found.by) == (5, 7, "ranks")
    assert found.p == pytest.approx(np.mean(np.array(flips) >= abs(d.sum()) - 1e-9))
    assert found.sign == np.sign(d.sum())
    assert found.medians == (pytest.approx(np.median(values[0])), pytest.approx(np.median(values[1])))
    both = [ARM[s] - BASE[s] for s in pairs if s not in (7, 5)]
    assert found.mean == pytest.approx(np.mean(both))  # of those that finished


def test_looks_are_at_seeds_that_are_over_in_both_arms() -> None:
    """Against all prefixes of the order, of 200 ways in which runs are finished, failed or missing."""
    draw, plan = np.random.default_rng(0), (5, 6, 8, 10)
    seen = set()
    for _ in range(200):
        state = draw.choice(3, size=(2, 10), p=(0.85, 0.1, 0.05))  # finished, failed, missing
        made = []
        for values, of in zip((ARM, BASE), state, strict=True):
            ended = dict(zip(SEEDS, of, strict=True))
            failed = tuple(seed for seed in SEEDS if ended[seed] == 1)
            made.append(outcomes({s: values[s] for s in values if ended[s] == 0}, failed))
        over = [n for n in plan if (state[:, :n] != 2).all()]
        rule = Rule(plan=plan, seeds=SEEDS)
        assert rule.looks(*made) == over
        found = compare_arms(*made, "max", rule=rule)
        pairs = int((state[:, : over[-1]] == 0).any(0).sum()) if over else 0
        assert (found.pairs if found else 0) == (pairs if pairs >= 5 else 0)
        assert not found or found.looks == tuple(over)
        seen.add(len(over))
    assert seen == {0, 1, 2, 3, 4}


def test_times_are_of_one_seed(tmp_path: Path) -> None:
    """Arm `vat` is a step earlier in every seed; it lacks the first seed, the baseline the last."""
    times = {"none": {s: 100 * s + 101 for s in range(7)}, "vat": {s: 100 * s + 100 for s in range(1, 8)}}
    for arm, of_seeds in times.items():
        for seed, step in of_seeds.items():
            rows = [{"step": step, "validation/accuracy": 0.9, "test/accuracy": 0.5}]
            write_run(tmp_path / arm / f"seed={seed}", 0.9 + seed / 1000, rows=rows)
    arms = [{"name": name, "folder": name} for name in times]
    threshold = {"metric": "validation/accuracy", "value": 0.5}
    write_sweep(tmp_path, arms, seeds=list(range(8)), threshold=threshold)
    vat = evaluate(read_parts([tmp_path])[0]).arms[1]
    assert vat.time_ranks
    assert (vat.time_way, vat.time_ranks.p) == ("earlier", pytest.approx(2 / 2**6))


def test_effects_after_so_many_seeds_are_of_one_seed_in_their_order() -> None:
    part = part_of({"none": [0.0] * 10, "vat": [0.0] * 10})
    for arm, values in zip(part.arms, (BASE, ARM), strict=True):
        runs = dict(zip(values, arm.runs.values(), strict=True))
        for seed, run in runs.items():
            run.seed = seed
            run.summary["last"]["test/score"] = values[seed]
        arm.runs = runs
    part.seeds = SEEDS
    part.arms[0].runs.pop(4)
    part.arms[1].runs.pop(0)
    line = drawn_as(evaluate(part), "after so many seeds").line("vat")
    d = {seed: ARM[seed] - BASE[seed] for seed in SEEDS if seed not in (4, 0)}
    expected = [np.mean([d[s] for s in SEEDS[:n] if s in d]) for n in range(5, 11)]
    np.testing.assert_allclose(line[:, 0], range(5, 11), rtol=1e-2)
    np.testing.assert_allclose(line[:, 1], expected, atol=0.02)


def test_a_replica_is_called_by_its_own_number(tmp_path: Path) -> None:
    trace = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    np.savez(tmp_path / "replicas.npz", replica=[7, 3, 5], died=[-1, 4, -1], **{"w/trace": trace})
    found = last(tmp_path, "w/trace")
    assert (found[7], found[5], math.isnan(found[3])) == (4, 6, True)


@pytest.mark.parametrize("sides", [1, 2])
def test_no_p_over_looks_is_zero(sides: int) -> None:
    """Of N simulated sweeps and the one that was made: (b + 1) / (N + 1), so never below its level."""
    plan = (5, 10, 20)
    for n in plan:
        assert repeated_p(0.0, n, plan, sides) == 1 / (SIMULATED + 1)  # type: ignore[arg-type]
        assert repeated_p(1.0, n, plan, sides) == 1  # type: ignore[arg-type]


def ties(tmp_path: Path, better: str) -> Iterator[Part]:
    """A run with three equal best rows, read anew, and as a sweep file has it."""
    sign = 1 if better == "max" else -1
    rows = [{"step": 10 * k, "validation/m": sign * v, "test/accuracy": float(k)}
            for k, v in enumerate((0.1, 0.7, 0.7, 0.3, 0.7))]  # fmt: skip
    folder = write_run(tmp_path / "seed=0", 0.5, rows=rows, metrics={"m": {"better": better, "unit": ""}})
    (part,) = read_parts([folder])
    for reselect in (True, False):
        part.select, part.reselect = "validation/m", reselect
        yield part


@pytest.mark.parametrize("better", ["max", "min"])
def test_the_first_of_equal_rows_is_chosen(tmp_path: Path, better: str) -> None:
    for part in ties(tmp_path, better):
        (arm,) = part.arms
        row = chosen_row(part, arm.runs[0])
        assert row
        assert (row["step"], row["test/accuracy"]) == (10, 1.0)
