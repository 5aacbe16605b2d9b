"""Looks, margins, tuning, data sets and wanted differences, against numbers by other ways."""

import itertools
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
from genreg.report.judge.datasets import matrices
from genreg.report.judge.pairs import Rule, compare_arms
from genreg.report.judge.sequential import level_at, repeated_p
from genreg.report.judge.statistics import decide, holm, power
from genreg.report.judge.tuning import Tuning, read_tuning
from genreg.report.needed import seeds_for
from genreg.report.read.find import read_parts
from genreg.report.read.outcomes import Outcomes
from genreg.report.read.parts import Arm, Part, Tried
from genreg.report.read.runs import Run
from genreg.report.tell.reference import judge
from genreg.run.metric import Metric

Genreg = Callable[..., Result]
PLAN = (5, 10, 20)


def outcomes(values: Sequence[float]) -> Outcomes:
    return Outcomes({(seed, None): float(value) for seed, value in enumerate(values)})


def test_one_look_is_the_plain_test() -> None:
    for p in (0.5, 0.05, 0.01):
        assert repeated_p({10: p}, (10,)) == pytest.approx(p, abs=4 * math.sqrt(p / 100_000))


def test_looks_only_ever_add() -> None:
    found = [
        repeated_p({5: 0.02}, PLAN),
        repeated_p({5: 0.02, 10: 0.5}, PLAN),
        repeated_p({5: 0.02, 10: 0.5, 20: 1e-4}, PLAN),
    ]
    assert found[0] == found[1] > found[2] > 0
    assert repeated_p({5: 0.02}, PLAN) > repeated_p({20: 0.02}, PLAN) > 0.02  # an early look counts less
    assert repeated_p({}, PLAN) == 1


@pytest.mark.parametrize("level", [0.05, 0.01])
def test_the_level_at_a_look_is_where_p_passes_the_whole_plan_s(level: float) -> None:
    for n in PLAN:
        at = level_at(n, PLAN, level)
        assert repeated_p({n: 0.999 * at}, PLAN) <= level + 2e-5 < repeated_p({n: 1.01 * at}, PLAN) + 2e-5
        assert at == pytest.approx(level_at(20, PLAN, level) * n / 20)
    assert level / len(PLAN) < level_at(20, PLAN, level) < level


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
    assert found.p == repeated_p({5: p}, rule.plan)
    width = stats.t.ppf(1 - level_at(5, rule.plan, 0.05) / 2, 4) * stats.sem((arm - base)[:5])
    assert (found.high - found.low) / 2 == pytest.approx(width)
    half.failed.add((6, None))  # over after all: ranked worst
    failed = compare_arms(half, outcomes(base), "max", rule=rule)
    assert failed
    assert (failed.looks, failed.by) == ((5, 8, 12), "ranks")
    assert math.isnan(failed.equivalent)
    few = compare_arms(outcomes(arm[:4]), outcomes(base), "max", rule=rule)
    assert few is None


def test_the_look_that_tells_gives_the_sign() -> None:
    base = np.zeros(10)
    arm = np.array([1.0, 1.1, 0.9, 1.05, 0.95, -1, -3, -4, -5, -6])
    found = compare_arms(
        outcomes(arm), outcomes(base), "max", rule=Rule(plan=(5, 10), seeds=tuple(range(10)))
    )
    assert found
    assert found.mean < 0 < found.sign


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


def tuned(scores: dict[float, list[float | None]], fresh: Sequence[float], space: Any) -> Tuning:
    """An arm whose trials lie at these values; None is a failed seed."""

    def run(value: float | None, seed: int) -> Run:
        row = {"step": 1, "validation/score": value}
        done = {"status": "done", "last": row, "metrics": {"score": {"better": "max"}}}
        return Run(Path("t"), seed, "failed" if value is None else "done", {} if value is None else done)

    trials = [({"lr": lr}, [run(v, 100 + k) for k, v in enumerate(own)]) for lr, own in scores.items()]
    arm = Arm(
        "a",
        Path("a"),
        {k: run(v, k) for k, v in enumerate(fresh)},
        tuning=Tried("validation/score", len(trials), space, trials),
    )
    found = read_tuning(Part("p", [arm], "a", "test/score", "max", None), arm)
    assert found
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


def test_expected_best_is_that_of_draws_with_replacement() -> None:
    scores: dict[float, list[float | None]] = {0.1: [0.2], 0.2: [0.9], 0.3: [0.4], 0.4: [None]}
    found = tuned(scores, [], {"lr": [0.1, 0.2, 0.3, 0.4]})
    values = [0.2, 0.9, 0.4, 0.2]  # the failed one counts as the worst value
    for n, expected in enumerate(found.expected_best(), start=1):
        by_hand = np.mean([max(draws) for draws in itertools.product(values, repeat=n)])
        assert expected == pytest.approx(by_hand)


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


@pytest.mark.parametrize(
    ("difference", "sd", "level"), [(1.0, 1.0, 0.05), (0.3, 1.0, 0.025), (5.0, 1.0, 0.05)]
)
def test_the_seeds_that_a_difference_takes(difference: float, sd: float, level: float) -> None:
    n = seeds_for(difference, sd, level)
    assert n
    assert power(difference, sd, n, level) >= 0.8
    assert n == 2 or power(difference, sd, n - 1, level) < 0.8
    assert seeds_for(1e-4, sd, level) is None


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


@pytest.mark.slow
@pytest.mark.parametrize("name", NULLS)
def test_looks_have_five_percent_through_folders_and_report(tmp_path: Path, name: str) -> None:
    write(tmp_path, NULLS[name], 0)
    verdicts = [evaluate(part).arms[1].verdict for part in read_parts([tmp_path])]
    shown = sum(verdict in ("better", "worse") for verdict in verdicts) / SWEEPS
    assert 0.04 <= shown <= 0.06
    assert set(verdicts) <= {"better", "worse", "not decided"}


@pytest.mark.slow
def test_equivalence_is_right_through_folders_and_report(tmp_path: Path) -> None:
    """A difference of just the margin is called equivalent in at most 5 % of sweeps."""
    write(tmp_path, lambda rng: rng.normal(0.01, 0.01, 20), 1.0)
    verdicts = [evaluate(part).arms[1].verdict for part in read_parts([tmp_path])]
    assert sum(verdict == "equivalent" for verdict in verdicts) / SWEEPS <= 0.06
    assert sum(verdict == "worse" for verdict in verdicts) / SWEEPS <= 0.005


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
    n = seeds_for(0.01, float(gains.std(ddof=1)))
    assert answer.code == 0
    line = next(line for line in answer.out.splitlines() if " vat " in line)
    assert f" {n} " in line
    assert f" {n * 1.0:.1f} " in line  # a minute for each pair
    assert genreg("plan", "outputs/none", "--difference", "1").code == 2
    assert "--difference: expected a number above 0" in genreg("plan", "outputs/own", "--difference", "0").err


def test_a_margin_in_points_of_no_share(genreg: Genreg) -> None:
    given = part_of({"none": [1.0] * 5, "vat": [2.0] * 5})
    given.margin = (1.0, "points")
    with pytest.raises(Exception, match="expected absolute: score is no share"):
        given.margin_in(Metric("score"))
    assert given.margin_in(Metric("accuracy", "max", "%")) == 0.01


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
