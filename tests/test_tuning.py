"""Tuning, several data sets and wanted differences in a report, against numbers by other ways."""

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
from genreg.report.judge.statistics import power
from genreg.report.judge.tuning import Tuning, read_tuning
from genreg.report.needed import seeds_for
from genreg.report.read.find import read_parts
from genreg.report.read.parts import Arm, Part, Tried
from genreg.report.read.runs import Run

Genreg = Callable[..., Result]


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
