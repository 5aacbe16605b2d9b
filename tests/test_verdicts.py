"""The rules around a verdict: its family, what it rests on, and averages over data sets."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Result
from study import write_data_sets
from synthetic import part_of

from genreg.report.evaluate import evaluate_all
from genreg.report.judge.result import PartResult
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
