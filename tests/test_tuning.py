"""TuningResult, several data sets and wanted differences in a report, against numbers by other ways."""

import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Result
from scipy import stats
from synthetic import METRICS, SELECTION, part_of

from genreg.report.evaluate import evaluate
from genreg.report.judge.result import matrices
from genreg.report.judge.statistics import level_at, power
from genreg.report.judge.tuning import TuningResult, read_tunings
from genreg.report.plan import estimates, recommended, seeds_for, upper_bound
from genreg.report.read.find import read_parts
from genreg.run.read import Run
from genreg.study.model import Arm, Part, Trial, Tuning

Genreg = Callable[..., Result]


def tuned(
    scores: dict[float, list[float | None]], fresh: Sequence[float], space: Any, better: str = "max"
) -> TuningResult:
    """An arm whose trials lie at these values; None is a failed seed."""

    def run(value: float | None, seed: int) -> Run:
        row = {"step": 1, "validation/score": value}
        done = {"status": "done", "last": row, "metrics": {"score": {"better": better}}}
        return Run(Path("t"), seed, "failed" if value is None else "done", {} if value is None else done)

    trials = [
        Trial({"lr": lr}, runs=[run(v, 100 + k) for k, v in enumerate(own)]) for lr, own in scores.items()
    ]
    arm = Arm(
        "a",
        Path("a"),
        runs={k: run(v, k) for k, v in enumerate(fresh)},
        tuning=Tuning("validation/score", len(trials), [100, 101], space, trials=trials),
    )
    (found,) = read_tunings(Part("p", [arm], "a", "test/score", "max", None), arm)
    return found


def test_the_winner_of_tuning_its_edge_and_its_luck() -> None:
    scores: dict[float, list[float | None]] = {
        0.1: [0.5, 0.7],
        0.2: [0.9, None],
        0.3: [0.8, 0.6],
        0.4: [None, None],
    }
    found = tuned(scores, [0.6, 0.5], {"lr": [0.1, 0.2, 0.3, 0.4]})
    assert found.winner
    assert [trial.values["lr"] for trial in found.trials] == [
        0.3,
        0.1,
        0.2,
        0.4,
    ]  # a failed seed is the worst
    assert found.edges() == []
    assert found.luck == pytest.approx(0.7 - 0.55)
    ends = tuned({0.1: [0.9], 0.3: [0.1]}, [], {"lr": {"low": 0.01, "high": 1, "log": True}})
    assert ends.edges() == ["lr"]
    assert math.isnan(ends.luck)


def test_where_smaller_is_better_all_turns_and_the_first_of_equals_wins() -> None:
    scores: dict[float, list[float | None]] = {
        0.1: [0.9, 0.5], 0.2: [0.1, None], 0.3: [0.6, 0.8], 0.4: [0.7, 0.7], 0.5: [0.8, 0.9],
    }  # fmt: skip
    for way, better in ((1, "min"), (-1, "max")):
        turned = {lr: [v if v is None else way * v for v in own] for lr, own in scores.items()}
        found = tuned(turned, [way * 0.75, way * 0.9], {"lr": list(scores)}, better)
        assert [trial.values["lr"] for trial in found.trials] == [0.1, 0.3, 0.4, 0.5, 0.2]
        assert found.edges() == ["lr"]  # the lowest
        assert found.luck == pytest.approx(0.825 - 0.7)
        values = [way * v for v in (0.7, 0.7, 0.7, 0.85, 0.85)]  # the failed one counts as the worst
        for n, expected in enumerate(found.expected_best(), start=1):
            best = min if better == "min" else max
            by_hand = np.mean([best(draws) for draws in itertools.product(values, repeat=n)])
            assert expected == pytest.approx(by_hand)


def test_a_tuning_has_a_winner_when_all_that_was_planned_is_over() -> None:
    found = tuned({0.1: [0.9, 0.5], 0.2: [0.8, None]}, [], {"lr": [0.1, 0.2]})
    assert found.winner
    assert replace(found, planned=3).winner is None
    half = replace(found, trials=[found.trials[0], replace(found.trials[1], scores=[])])
    assert (half.trials[1].whole, half.winner) == (False, None)


def test_expected_best_is_that_of_draws_with_replacement() -> None:
    scores: dict[float, list[float | None]] = {0.1: [0.2], 0.2: [0.9], 0.3: [0.4], 0.4: [None]}
    found = tuned(scores, [], {"lr": [0.1, 0.2, 0.3, 0.4]})
    values = [0.2, 0.9, 0.4, 0.2]  # the failed one counts as the worst value
    for n, expected in enumerate(found.expected_best(), start=1):
        by_hand = np.mean([max(draws) for draws in itertools.product(values, repeat=n)])
        assert expected == pytest.approx(by_hand)


@pytest.mark.full
def test_the_average_over_data_sets() -> None:
    rng = np.random.default_rng(1)
    results, d = [], []
    for k, n in enumerate((6, 9, 12)):
        base = rng.normal(size=n)
        d.append(rng.normal(0.5 * k, 1 + k, n))
        part = part_of({"none": base, "vat": base + d[-1], "l2": base - 1})
        part.name, part.group, part.dataset = f"g/{k}", "g", str(k)
        results.append(evaluate(part))
    (found,) = matrices(results)
    row = found.rows[1]
    assert row.average
    means, errors = [x.mean() for x in d], [x.var(ddof=1) / len(x) for x in d]
    assert row.average.mean == pytest.approx(np.mean(means))
    freedom = sum(errors) ** 2 / sum(e**2 / (len(x) - 1) for e, x in zip(errors, d, strict=True))
    half = stats.t.ppf(0.975, freedom) * math.sqrt(sum(errors)) / 3
    assert (row.average.high - row.average.low) / 2 == pytest.approx(half)
    wide = stats.t.ppf(0.975, 2) * np.std(means, ddof=1) / math.sqrt(3)
    assert (row.average.wide_high - row.average.wide_low) / 2 == pytest.approx(wide)
    places = [[arm.mean for arm in result.arms] for result in results]
    ranks = np.array([stats.rankdata([-m for m in of]) for of in places])
    assert [r.rank for r in found.rows] == pytest.approx(ranks.mean(0).tolist())
    assert found.friedman == pytest.approx(stats.friedmanchisquare(*ranks.T).pvalue)
    assert matrices(results[:1]) == []


@pytest.mark.parametrize("mode", ["max", "min"])
def test_the_best_has_the_first_rank_where_all_arms_have_values(mode: Any) -> None:
    sign, results = (1 if mode == "max" else -1), []
    for k, means in enumerate(([3, 1, 2], [3, 2, 1], [2, 3, 1], [3, 1, 1])):
        values = {name: [sign * m, sign * m] for name, m in zip("abc", means, strict=True)}
        part = part_of(values, mode)
        part.name, part.group, part.dataset = f"g/{k}", "g", str(k)
        results.append(evaluate(part))
    (found,) = matrices(results)
    assert [row.rank for row in found.rows] == pytest.approx([1.25, 2.125, 2.625])
    ranks = np.array([[1, 3, 2], [1, 2, 3], [2, 1, 3], [1, 2.5, 2.5]])
    assert found.friedman == pytest.approx(stats.friedmanchisquare(*ranks.T).pvalue)
    results[1].arms.pop(2)
    (lacks,) = matrices(results)
    assert math.isnan(lacks.friedman)
    assert all(math.isnan(row.rank) for row in lacks.rows)


def test_what_is_needed_is_at_the_level_that_an_arm_of_so_many_has() -> None:
    """Two comparisons share the level; with a plan, that of its last look. A pair is a run of both arms."""
    draw = np.random.default_rng(3)
    part = part_of({"none": draw.normal(size=8), "a": draw.normal(size=8), "b": draw.normal(size=8)})
    for arm, seconds in zip(part.arms, (30, 60, 90), strict=True):
        for run in arm.runs.values():
            run.summary["seconds"] = seconds
    part.seeds = tuple(range(20))
    for plan in ((), (5, 10, 20)):
        part.looks = plan
        level = level_at(20, plan, 0.05) if plan else 0.05
        result = evaluate(part)
        for one, seconds in zip(estimates(result, 0.7), (90, 120), strict=True):
            arm = result.find(one.arm)
            assert arm
            pairs = 5 if plan else 8  # up to the last look that is over
            d = [arm.values[s, None] - result.arms[0].values[s, None] for s in range(pairs)]
            assert (one.pairs, one.sd) == (pairs, pytest.approx(np.std(d, ddof=1)))
            n = next(n for n in range(5, 5000) if power(0.7, one.at_most, n, level / 2) >= 0.8)
            assert (one.seeds, one.minutes) == (n, pytest.approx(n * seconds / 60))


@pytest.mark.parametrize(
    ("difference", "sd", "level"), [(1.0, 1.0, 0.05), (0.3, 1.0, 0.025), (5.0, 1.0, 0.05)]
)
def test_the_seeds_that_a_difference_takes(difference: float, sd: float, level: float) -> None:
    n = seeds_for(difference, sd, level)
    assert n
    assert power(difference, sd, n, level) >= 0.8
    assert n == 2 or power(difference, sd, n - 1, level) < 0.8
    assert seeds_for(1e-4, sd, level) is None


@pytest.mark.full
def test_eight_of_ten_who_follow_a_pilot_have_the_power() -> None:
    """Of pilots of normal differences; taken as it is, the spread leaves most with less, many with half."""
    pairs, effect = 3, 0.8
    pilots = np.random.default_rng(0).normal(effect, 1, (150, pairs)).std(1, ddof=1)
    enough, half = {}, {}
    for name, spreads in {"plain": pilots, "bound": [upper_bound(sd, pairs) for sd in pilots]}.items():
        n = np.array([seeds_for(effect, round(float(sd), 2)) for sd in spreads])
        power_of = stats.nct.sf(stats.t.ppf(0.975, n - 1), n - 1, effect * np.sqrt(n))
        enough[name], half[name] = np.mean(power_of >= 0.8), np.mean(power_of < 0.4)
    assert enough["plain"] < 0.5
    assert half["plain"] > 0.2
    assert enough["bound"] > 0.75
    assert half["bound"] < 0.1
    assert recommended(10.0, 1.0) == 5  # fewer pairs get no verdict


def test_plan_says_what_a_difference_takes(genreg: Genreg, tmp_path: Path) -> None:
    root = tmp_path / "outputs/own"
    rng = np.random.default_rng(0)
    base = dict.fromkeys(range(6), 0.9)
    gains = rng.normal(0.01, 0.02, 6)
    for name, values in {"none": base, "vat": {s: 0.9 + gains[s] for s in range(6)}}.items():
        for seed, value in values.items():
            folder = root / f"d/{name}-0123abcd/seed={seed}"
            folder.mkdir(parents=True)
            row = {"step": 1, "validation/accuracy": value, "test/accuracy": value}
            (folder / "summary.json").write_text(json.dumps({"status": "done", "step": 1, "seconds": 30,
                "selection": SELECTION, "metrics": METRICS, "best": row, "last": row}))  # fmt: skip
            (folder / "config.yaml").write_text("seed: 0\n")
    answer = genreg("plan", "sweep=own", "--difference", "1")
    sd = float(gains.std(ddof=1))
    at_most = sd * math.sqrt(5 / stats.chi2.ppf(0.2, 5))
    plain, n = (seeds_for(0.01, spread) for spread in (sd, at_most))
    assert answer.code == 0
    assert n
    line = next(line for line in answer.out.splitlines() if " vat " in line)
    cells = [cell.strip() for cell in line.strip("│ ").split("│")]
    spreads = [f"{100 * sd:.2f}", f"{100 * at_most:.2f}"]
    assert cells[3:] == ["6", *spreads, str(n), str(2 * n), f"{n:.1f}", str(plain)]
    assert "80% of pilots" in answer.out
    assert genreg("plan", "outputs/none", "--difference", "1").code == 2
    assert "--difference: expected a number above 0" in genreg("plan", "outputs/own", "--difference", "0").err


def test_the_matrix_stands_in_every_format(genreg: Genreg, tmp_path: Path) -> None:
    rng, parts = np.random.default_rng(2), []
    for name in ("digits", "mnist"):
        arms = []
        for arm, gain in (("noise", 0.0), ("vat", 0.03)):
            for seed in range(6):
                folder = tmp_path / f"{name}/{arm}/seed={seed}"
                folder.mkdir(parents=True)
                row = {"step": 1, "test/accuracy": 0.8 + gain + rng.normal(0, 0.005)}
                summary = {"status": "done", "step": 1, "seconds": 1, "selection": SELECTION, "best": None,
                           "last": row}  # fmt: skip
                (folder / "summary.json").write_text(json.dumps({**summary, "metrics": METRICS}))
            arms.append({"name": arm, "folder": f"{name}/{arm}"})
        parts.append({"name": f"d/{name}", "group": "d", "dataset": name, "baseline": "noise",
                      "mode": "max", "metric": "test/accuracy", "select": None, "seeds": list(range(6)),
                      "arms": arms})  # fmt: skip
    (tmp_path / "sweep.json").write_text(json.dumps({"sweep": "s", "parts": parts}))
    results = [evaluate(part) for part in read_parts([tmp_path])]
    (found,) = matrices(results)
    of = found.rows[1].average
    assert of
    average = f"{100 * of.mean:+.2f} [{100 * of.low:+.2f}, {100 * of.high:+.2f}]"
    texts = {form: genreg("report", str(tmp_path), "--format", form).out for form in ("markdown", "summary")}
    assert f"| {average.replace('[', chr(92) + '[')} |" in texts["markdown"]
    assert f"- vat: {average}, mean rank 1" in texts["summary"]
    assert average in genreg("report", str(tmp_path)).out
    assert average in (tmp_path / "report.html").read_text()
    groups = json.loads(genreg("report", str(tmp_path), "--format", "json").out)["groups"]
    assert groups[0]["arms"][1]["average"]["mean"] == pytest.approx(of.mean)
    assert groups[0]["datasets"] == ["digits", "mnist"]
    for part in parts:
        part["margin"] = {"value": 1, "unit": "points"}
    (tmp_path / "sweep.json").write_text(json.dumps({"sweep": "s", "parts": parts}))
    assert (
        genreg("report", str(tmp_path), "--metric", "seconds_per_step").code == 0
    )  # no margin of points there
