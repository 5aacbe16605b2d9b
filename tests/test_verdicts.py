"""The rules around a verdict: its family, what it rests on, and averages over data sets."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import Result
from scipy import stats
from study import write_data_sets
from synthetic import part_of

from genreg.report.evaluate import evaluate, evaluate_all
from genreg.report.judge.result import PartResult, average, matrices
from genreg.report.judge.statistics import level_at
from genreg.report.judge.stopping import corrected
from genreg.report.output.tables import matrix_caption
from genreg.study import file as sweep_file
from genreg.study import record
from genreg.study.model import Part, Study

Genreg = Callable[..., Result]


def data_sets(*gains: float, **changes: Any) -> list[Part]:
    """A comparison of two arms for each data set: one is better by the gain, one is the baseline again."""
    rng, parts = np.random.default_rng(5), []
    for k, gain in enumerate(gains):
        base = rng.normal(size=8)
        vat, noise = (base + rng.normal(g, 1, 8) for g in (gain, 0.0))
        part = part_of({"none": base, "vat": vat, "noise": noise})
        part.name, part.group, part.dataset = f"g/{k}", "g", str(k)
        for key, value in changes.items():
            setattr(part, key, value)
        parts.append(part)
    return parts


def p_of(results: list[PartResult]) -> list[float]:
    return [arm.comparison.p for result in results for arm in result.arms if arm.comparison]


def adjusted(results: list[PartResult]) -> list[float]:
    return [arm.comparison.adjusted for result in results for arm in result.arms if arm.comparison]


def by_hand(p: list[float]) -> list[float]:
    """Holm's adjusted p, written as Holm (1979) says it: reject while p(k) <= level / (m - k + 1)."""
    order, m = sorted(p), len(p)
    return [max(min(1.0, (m - k) * order[k]) for k in range(order.index(one) + 1)) for one in p]


def test_holm_runs_over_all_data_sets_of_a_part() -> None:
    results = evaluate_all(data_sets(1.4, 0.0, 0.2))
    assert adjusted(results) == pytest.approx(by_hand(p_of(results)))
    assert [result.family for result in results] == [6, 6, 6]
    assert "p: Holm over all 6 comparisons of g, its data sets together" in results[0].notes
    assert results[0].arms[1].verdict == "no difference shown"
    apart = evaluate_all(data_sets(1.4, 0.0, 0.2, family="each"))
    for result in apart:
        assert adjusted([result]) == pytest.approx(by_hand(p_of([result])))
    assert apart[0].arms[1].verdict == "better"
    assert "p: Holm over the 2 comparisons of this data set alone (family: each)" in apart[0].notes


def test_parts_that_have_nothing_in_common_are_families_of_their_own() -> None:
    parts = data_sets(1.4, 0.0, group="", name="part")
    assert [result.family for result in evaluate_all(parts)] == [2, 2]
    sweeps = [*data_sets(1.4, command="one"), *data_sets(0.0, command="other")]
    assert [result.family for result in evaluate_all(sweeps)] == [2, 2]


def test_an_interval_that_shows_more_than_p_is_explained() -> None:
    result = evaluate_all(data_sets(1.4, 0.0, 0.2))[0]
    vat = result.find("vat")
    assert vat
    assert vat.comparison
    assert vat.comparison.low > 0
    assert f"of this comparison alone: p = {vat.comparison.p:.2g} before Holm over 6" in vat.remark
    noise = result.find("noise")
    assert noise
    assert "alone" not in noise.remark


def test_a_file_says_its_family_and_sweep_json_keeps_it(tmp_path: Path) -> None:
    own = {"metric": "test/accuracy", "arms": {"a": [], "b": []}, "datasets": ["digits", "mnist"]}
    for given, said in (({}, False), ({"family": "each"}, True)):
        study = sweep_file.study_of("s", sweep_file.read({"parts": {"p": own | given}}))
        record.write(Study("s", study.parts, tmp_path))
        text = (tmp_path / "sweep.json").read_text()
        assert ("family" in json.loads(text)["parts"][0]) == said
        assert {part.family for part in record.read(tmp_path / "sweep.json").parts} == {
            "each" if said else "together"
        }


def test_the_report_corrects_over_what_it_reads(genreg: Genreg, tmp_path: Path) -> None:
    write_data_sets(tmp_path)
    parts = json.loads(genreg("report", ".", "--format", "json").out)["parts"]
    p = [(arm["difference_p"], arm["difference_adjusted"]) for part in parts for arm in part["arms"]]
    judged = [one for one in p if one[0] is not None]
    assert len(judged) == 16
    assert [after for _, after in judged] == pytest.approx(by_hand([before for before, _ in judged]))


def compared(first: Any, second: Any, better: Any = "max", **changes: Any) -> Any:
    part = part_of({"none": second, "vat": first}, better)
    for key, value in changes.items():
        setattr(part, key, value)
    return evaluate(part).arms[1]


def test_a_verdict_that_sign_flips_do_not_share_says_so() -> None:
    """By scipy's t test and all sign flips, of eight differences."""
    found = None
    for seed in range(10, 22):
        d = np.random.default_rng(seed).normal(0.8, 1, 8)
        arm = compared(d, np.zeros(8))
        t = stats.ttest_1samp(d, 0).pvalue
        flips = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
        rests = arm.condition == "if differences are normal"
        assert rests == (t < 0.05 <= flips)
        found = arm if rests else found
    assert found
    assert found.judgement == "better, if differences are normal"
    assert "they disagree at 0.05" in found.remark
    assert (found.verdict, "too few" in found.remark) == ("better", False)


def test_equivalence_says_what_could_not_have_been_seen() -> None:
    d = np.random.default_rng(0).normal(0, 0.1, 32)
    arm = compared(d, np.zeros(32), margin=(1.0, "absolute"))
    assert arm.verdict == "equivalent"
    assert "a collapse in fewer than 9 % of seeds could not have been seen" in arm.remark
    assert stats.binom.pmf(0, 32, 0.0894) == pytest.approx(0.05, abs=0.001)  # none of 32 collapsed


@pytest.mark.parametrize("better", ["max", "min"])
def test_the_probability_to_be_better(better: Any) -> None:
    d = np.array([1.0, 2, 3, -1, 4, 5, 6, 1, 2, 3])
    sign = -1 if better == "min" else 1
    found = compared(sign * d, np.zeros(10), better).comparison.superior
    interval = stats.binomtest(9, 10).proportion_ci(method="exact")
    assert found == pytest.approx((0.9, interval.low, interval.high))
    tie = compared([*d[:9] * sign, 0.0], np.zeros(10), better).comparison.superior
    assert tie[0] == pytest.approx(0.85)
    assert compared(d[:4], np.zeros(4), better).comparison.superior == ()


def test_a_failed_run_is_the_worse_of_its_pair() -> None:
    part = part_of({"none": np.zeros(6), "vat": np.ones(6)})
    part.arms[1].runs[2].status = "failed"
    arm = evaluate(part).arms[1]
    assert arm.comparison
    assert arm.comparison.superior[0] == pytest.approx(5 / 6)


LOOKS = (5, 6, 8)


def test_an_average_is_of_pairs_that_no_look_has_chosen() -> None:
    """Of the first look: by numpy, from the values themselves."""
    parts = data_sets(2.5, 0.4, 0.0, looks=LOOKS, seeds=tuple(range(8)))
    found = matrices(evaluate_all(parts))[0].rows[1].average
    runs = [
        [[run.summary["last"]["test/score"] for run in arm.runs.values()] for arm in p.arms] for p in parts
    ]
    d = np.array([np.subtract(vat, none)[:5] for none, vat, _ in runs])
    assert found
    assert found.mean == pytest.approx(d.mean())
    half = stats.t.ppf(0.975, 2) * stats.sem(d.mean(1))
    assert (found.wide_low, found.wide_high) == pytest.approx((d.mean() - half, d.mean() + half))
    assert "of the first 5 seeds alone" in matrix_caption(matrices(evaluate_all(parts))[0])
    plain = matrices(evaluate_all(data_sets(2.5, 0.4, 0.0)))[0].rows[1].average
    assert plain
    assert plain.mean == pytest.approx(np.mean([np.subtract(vat, none) for none, vat, _ in runs]))


def test_the_summary_has_both_intervals_of_an_average(genreg: Genreg, tmp_path: Path) -> None:
    write_data_sets(tmp_path)
    text = genreg("report", ".", "--format", "summary").out
    average = text.split("average over")[1]
    assert (
        len(re.findall(r"- \w+: \S+ \[\S+, \S+\], over such data sets \[\S+, \S+\], mean rank", average)) == 4
    )


PLAN = tuple(range(5, 21))


def at_stop(d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The number of values at the first look that shows a difference, and whether one did; of rows of d."""
    bounds = [stats.t.ppf(1 - level_at(n, PLAN, 0.05) / 2, n - 1) for n in PLAN]
    shown = [
        abs(d[..., :n].mean(-1)) > bound * d[..., :n].std(-1, ddof=1) / math.sqrt(n)
        for n, bound in zip(PLAN, bounds, strict=True)
    ]
    return np.where(np.any(shown, 0), np.array(PLAN)[np.argmax(shown, 0)], PLAN[-1]), np.any(shown, 0)


@pytest.mark.full
def test_averages_keep_their_level_where_seeds_are_added() -> None:
    """Four data sets of one effect, each left as soon as it is shown."""
    d = np.random.default_rng(2).normal(0.8, 1, (800, 4, 20))
    last, _ = at_stop(d)
    for ends, low, high in ((np.full_like(last, 5), 0.93, 0.98), (last, 0.86, 0.93)):
        found = [average([x[:n] for x, n in zip(*one, strict=True)]) for one in zip(d, ends, strict=True)]
        assert low < np.mean([one.low <= 0.8 <= one.high for one in found if one]) < high


@pytest.mark.full
@pytest.mark.parametrize(("effect", "printed", "after"), [(0.5, 1.6, 1.25), (0.8, 1.18, 1), (1.2, 1.06, 1)])
def test_a_mean_is_corrected_for_the_stop(effect: float, printed: float, after: float) -> None:
    """Of those that are shown; other draws than the correction's own."""
    d = np.random.default_rng(11).normal(effect, 1, (3000, 20))
    stop, shown = at_stop(d)
    ends = [one[:n] for one, n in zip(d[shown], stop[shown], strict=True)]
    found: Any = [SimpleNamespace(mean=one.mean(), sd=one.std(ddof=1), by="t") for one in ends]
    assert np.mean([one.mean for one in found]) / effect == pytest.approx(printed, abs=0.05)
    assert np.mean([corrected(one, PLAN) for one in found]) / effect == pytest.approx(after, abs=0.06)


def test_only_what_was_stopped_is_corrected() -> None:
    rng = np.random.default_rng(4)
    d = rng.normal(1.2, 1, 8)
    arm = compared(d, np.zeros(8), looks=LOOKS, seeds=tuple(range(8)))
    assert arm.verdict == "better"
    assert 0 < arm.comparison.corrected < arm.comparison.mean
    for other in (
        compared(d, np.zeros(8)),
        compared(d - 1.2, np.zeros(8), looks=LOOKS, seeds=tuple(range(8))),
    ):
        assert math.isnan(other.comparison.corrected)
