"""What a sweep file says of tuning and of seeds until decided, and which trials there are."""

import math
from types import SimpleNamespace
from typing import Any

import pytest

from genreg.report.judge.tuning import TrialResult, TuningResult
from genreg.run.metric import Metric
from genreg.study import file as sweep_file
from genreg.study.model import Part
from genreg.study.planned import advance, begin
from genreg.study.tune import Range, Tune, next_points
from genreg.study.until import DECIDED, Until, margin_of

LR: dict[str, Any] = {"optimizer.lr": {"low": 1e-3, "high": 3e-2, "log": True}}
TUNE: dict[str, Any] = {"trials": 4, "seeds": [100], "space": {"*": LR}}


def part(**changes: Any) -> dict[str, Any]:
    own = {"metric": "test/accuracy", "select": "validation/accuracy", "arms": {"a": [], "b": []}}
    return {"parts": {"p": {**own, **changes}}}


def tune(**changes: Any) -> dict[str, Any]:
    return part(tune={**TUNE, **changes})


def test_what_a_file_leaves_out() -> None:
    read = sweep_file.read(tune(), DECIDED).parts["p"]
    assert read.tune
    assert (read.tune.metric, read.tune.own_seeds) == ("validation/accuracy", [100])
    assert read.until == DECIDED
    assert DECIDED.plan == list(range(5, 21))
    assert sweep_file.read(part(seeds=4), DECIDED).parts["p"].until is None  # a number that was asked for
    assert Tune(trials=1, seeds=3, space={}).own_seeds == [1000, 1001, 1002]
    assert Until(looks=[8, 20]).plan == [5, 8, 20]
    assert Until(minutes=3.0).plan[-1] == 100
    assert (margin_of("m", "1 point"), margin_of("m", "2e-3 absolute")) == ((1, "points"), (2e-3, "absolute"))


def test_a_part_for_each_data_set() -> None:
    given = part(
        overrides=["steps=3"], datasets={"x": ["dataset=two_moons"], "y": ["dataset=digits", "steps=9"]}
    )
    parts = sweep_file.read(given).parts
    assert {name: (one.group, one.dataset) for name, one in parts.items()} == {
        "p/x": ("p", "x"), "p/y": ("p", "y")}  # fmt: skip
    assert parts["p/y"].overrides == ["steps=3", "dataset=digits", "steps=9"]
    named = sweep_file.read(part(datasets=["two_moons"])).parts
    assert named["p/two_moons"].overrides == ["dataset=two_moons"]


SPACE: dict[str, Any] = {
    "lr": Range(low=1e-4, high=1e-1, log=True),
    "e": [1, 2],
    "u": Range(low=-1.0, high=1.0),
}


def test_quasi_random_points_fill_the_space_and_are_always_the_same() -> None:
    made = Tune(trials=16, seeds=1, space={})
    points = next_points("k", made, SPACE, [])
    assert points == next_points("k", made, dict(SPACE), [])
    assert len({tuple(point.items()) for point in points}) == 16
    decades = [math.floor(math.log10(point["lr"])) for point in points]
    assert {decade: decades.count(decade) for decade in (-4, -3, -2)} == pytest.approx(
        {-4: 16 / 3, -3: 16 / 3, -2: 16 / 3}, abs=1.4
    )
    assert [point["e"] for point in points].count(1) == 8
    assert sum(point["u"] < 0 for point in points) == 8
    assert points[:4] == next_points("k", Tune(trials=4, seeds=1, space={}), SPACE, [])  # a smaller budget


@pytest.mark.full
def test_a_sampler_of_optuna_goes_on_with_the_same_trials() -> None:
    pytest.importorskip("optuna")
    made = Tune(trials=6, seeds=1, space={}, sampler="TPESampler")
    told: list[Any] = []
    for _ in range(6):
        points = next_points("k", made, SPACE, told)
        assert points[: len(told)] == [values for values, _ in told]
        told.append((points[-1], math.nan if len(told) == 2 else -abs(math.log10(points[-1]["lr"]) + 2)))
    assert next_points("k", made, SPACE, told) == [values for values, _ in told]
    assert next_points("k", made, SPACE, [(told[0][0], 9.0), *told[1:]])[1] == told[1][0]  # random at first


ONE: dict[str, Any] = {"lr": Range(low=1e-4, high=1.0, log=True)}


def distance(values: dict[str, Any]) -> float:
    return abs(math.log10(values["lr"]) + 2)


def searched(best: str, sign: int, trials: int = 20) -> list[dict[str, Any]]:
    """What a sampler proposes that is told `sign` times the distance to 0.01, the third trial lost."""
    made, told = Tune(trials=trials, seeds=1, space={}, sampler="TPESampler"), list[Any]()
    for _ in range(trials):
        values = next_points("k", made, ONE, told, best)[-1]
        told.append((values, math.nan if len(told) == 2 else sign * distance(values)))
    return [values for values, _ in told]


def test_a_sampler_of_optuna_searches_the_way_that_is_better() -> None:
    pytest.importorskip("optuna")
    least, most = searched("min", 1), searched("max", 1)
    assert least == searched("max", -1)
    near, far = (sum(map(distance, points[12:])) / 8 for points in (least, most))
    assert near < 1 < far  # decades, of which random points have 1 on average


def test_a_lost_trial_tells_a_sampler_nothing() -> None:
    """Where all are lost, the search is the random one that it begins as."""
    pytest.importorskip("optuna")
    found = []
    for sampler in ("TPESampler", "RandomSampler"):
        made, told = Tune(trials=16, seeds=1, space={}, sampler=sampler), list[Any]()
        for _ in range(16):
            told.append((next_points("k", made, ONE, told, "min")[-1], math.nan))
        found.append(told)
    assert [values for values, _ in found[0]] == [values for values, _ in found[1]]


@pytest.mark.parametrize("better", ["max", "min"])
def test_a_search_goes_on_by_the_metric_of_tuning_and_ends_with_the_first_of_the_best(better: str) -> None:
    """Whatever way the part's own metric has; a trial of which one seed failed is told as lost."""
    pytest.importorskip("optuna")
    space = {"*": {"lr": {"low": 1e-4, "high": 1.0, "log": True}}}
    node = tune(trials=13, sampler="TPESampler", space=space)
    given = sweep_file.read(node).parts["p"]
    one = study_part(node)
    one.arms = one.arms[:1]
    own = one.arms[0].tuning
    assert given.tune
    assert own
    over, way = list[Any](), 1 if better == "max" else -1
    begin(one, given)
    for k in range(13):
        score = way * (2.0 if k > 2 else k)  # trial 2 is as good as those behind it, and the first of them
        over.append((own.trials[-1].values, math.nan if k == 3 else score))
        trials = [
            TrialResult(v, [], [9.0 * way if math.isnan(s) else s], int(math.isnan(s))) for v, s in over
        ]
        ordered = sorted(trials, key=lambda t: (t.failed, -way * t.mean))
        tuning = TuningResult(Metric("m", better), "m", 13, {}, ordered, [])  # type: ignore[arg-type]
        arm = SimpleNamespace(arm=SimpleNamespace(name="a"), tunings=[tuning])
        assert advance(one, given, SimpleNamespace(arms=[arm]))
        if k < 12:
            assert one.arms[0].winner is None
            points = next_points("k", given.tune, given.tune.space_of("a"), over, better)
            assert [trial.values for trial in own.trials] == points
    assert one.arms[0].winner == over[2][0]
    assert one.arms[0].seeds == one.seeds


def study_part(node: dict[str, Any]) -> Part:
    """The part `p` of a file, before anything of it has run."""
    return sweep_file.study_of("own", sweep_file.read(node)).parts[0]


def numbers(one: Part) -> dict[str, int]:
    """How many seeds each arm has so far."""
    return {arm.name: len(arm.seeds) for arm in one.arms}


def looked(verdicts: dict[str, str], seconds: float) -> Any:
    """A part in which these arms stand so, and whose runs have taken that long."""
    found = {name: SimpleNamespace(verdict=verdict) for name, verdict in verdicts.items()}
    runs = [SimpleNamespace(summary={"seconds": seconds / 2})] * 2
    return SimpleNamespace(find=found.get, part=SimpleNamespace(runs=lambda: runs, arms=[]))


def test_open_comparisons_go_to_the_next_look_and_the_baseline_with_them() -> None:
    node = part(until={"looks": [5, 7, 9], "most": 9, "minutes": 2}, arms={"a": [], "b": [], "c": []})
    given, one = sweep_file.read(node).parts["p"], study_part(node)
    begin(one, given)
    assert numbers(one) == {"a": 5, "b": 5, "c": 5}
    late = looked({"a": "", "b": "not decided", "c": "not decided"}, 120)
    assert not advance(one, given, late)  # two minutes are over
    assert numbers(one) == {"a": 5, "b": 5, "c": 5}
    for verdicts, seeds in (
        ({"b": "not decided", "c": "better"}, {"a": 7, "b": 7, "c": 5}),
        ({"b": "no difference shown", "c": "too few pairs"}, {"a": 9, "b": 9, "c": 7}),
        ({"b": "not decided", "c": "equivalent"}, {"a": 9, "b": 9, "c": 7}),
    ):
        before = numbers(one)
        assert advance(one, given, looked({"a": "", **verdicts}, 119)) == (before != seeds)
        assert numbers(one) == seeds
