"""Studies in a sweep file: their points and seeds, and how they are added."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from genreg.errors import InputError
from genreg.study import file as sweep_file
from genreg.study import record
from genreg.study.model import Part, Study
from genreg.study.planned import advance, begin, planned

LR: dict[str, Any] = {"optimizer.lr": {"low": 1e-3, "high": 3e-2, "log": True}}


def node(
    top: dict[str, Any] | None = None, part: dict[str, Any] | None = None, **tune: Any
) -> dict[str, Any]:
    """A file of one part with two arms, tuned in three trials of two seeds."""
    given = {"trials": 3, "seeds": [100, 101], "space": {"*": LR}, **tune}
    one = {"metric": "test/accuracy", "select": "validation/accuracy", "arms": {"a": [], "b": []}}
    return {**(top or {}), "parts": {"p": {**one, "tune": given, **(part or {})}}}


def planned_part(given: dict[str, Any]) -> tuple[Part, sweep_file.PartFile]:
    """The part of a file with its first stage."""
    read = sweep_file.read(given)
    part = sweep_file.study_of("own", read).parts[0]
    begin(part, read.parts["p"])
    return part, read.parts["p"]


def trials(part: Part) -> dict[tuple[str, int], list[Any]]:
    """The values of each trial by arm and study."""
    return {
        (arm.name, k): [trial.values for trial in one.tuning.trials]
        for arm in part.arms for k, one in enumerate(arm.studies) if one.tuning
    }  # fmt: skip


def test_each_study_has_points_and_seeds_of_its_own_and_the_first_those_of_today() -> None:
    alone, _ = planned_part(node({"seeds": 2}))
    part, _ = planned_part(node({"seeds": 2}, studies=3))
    assert (part.fresh, part.seeds, part.units) == (2, tuple(range(6)), (0, 1, 2))
    found = trials(part)
    assert found["a", 0] == trials(alone)["a", 0]
    assert all(found["a", k] == found["b", k] for k in range(3))  # one space, one set of points
    assert len({tuple(point["optimizer.lr"] for point in found["a", k]) for k in range(3)}) == 3
    tuning = [one.tuning.seeds for one in part.arms[1].studies if one.tuning]
    assert tuning == [[100, 101], [102, 103], [104, 105]]
    runs = [(run.arm.name, str(run.values), run.seed) for run in planned(part)]
    assert len(runs) == len(set(runs)) == 3 * 2 * 3 * 2
    first = [str(run) for run in planned(alone)]
    assert [str(run) for run in planned(part)][: len(first)] == first


def judged(part: Part, verdict: str = "") -> Any:
    """A table in which the second trial of every study has won, and all comparisons stand so."""
    tunings = []
    for arm in part.arms:
        own = []
        for one in arm.studies:
            assert one.tuning
            results = [SimpleNamespace(values=t.values, failed=0, mean=float(k == 1))
                       for k, t in enumerate(one.tuning.trials)]  # fmt: skip
            own.append(
                SimpleNamespace(metric=SimpleNamespace(better="max"), trials=results, winner=results[1])
            )
        tunings.append(SimpleNamespace(arm=arm, tunings=own, verdict=verdict))
    return SimpleNamespace(arms=tunings, part=part, find={t.arm.name: t for t in tunings}.get)


def test_studies_are_added_until_the_methods_are_told_apart() -> None:
    top = {"until": {"margin": "1 points", "most": 20, "minutes": 5}}
    part, given = planned_part(node(top, studies={"first": 5, "most": 7}, fresh=1))
    assert (part.looks, part.margin, part.seeds) == ((5, 6, 7), (1, "points"), tuple(range(7)))
    assert given.until
    assert given.until.minutes == 5
    assert len(part.arms[0].studies) == 5
    assert advance(part, given, judged(part))
    winners = [one.winner for one in part.arms[0].studies]
    assert winners == [values[1] for (name, _), values in trials(part).items() if name == "a"]
    assert [one.seeds for one in part.arms[0].studies] == [(0,), (1,), (2,), (3,), (4,)]
    for studies in (6, 7):
        assert advance(part, given, judged(part, "not decided"))  # tuned first
        assert [len(arm.studies) for arm in part.arms] == [studies, studies]
        assert part.arms[1].again[-1].winner is None
        assert advance(part, given, judged(part, "not decided"))
        assert part.arms[1].again[-1].seeds == (studies - 1,)
    assert not advance(part, given, judged(part, "not decided"))
    assert not advance(*planned_and_compared(node(top, studies=2, fresh=1), "not decided"))
    assert not advance(*planned_and_compared(node(top, studies={"most": 7}, fresh=1), "better"))


def planned_and_compared(given: dict[str, Any], verdict: str) -> tuple[Part, sweep_file.PartFile, Any]:
    part, file = planned_part(given)
    assert advance(part, file, judged(part))
    return part, file, judged(part, verdict)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (node(fresh=2), "tune.fresh: expected none without studies"),
        (node(studies=0), "tune.studies"),
        (node(studies="many"), "tune.studies"),
        (node(studies={"first": 3, "most": 9}), "tune.studies.first"),
        (node(studies={"first": 5}), "tune.studies: expected a limit"),
        (node(studies={"most": 9}, part={"until": {"most": 9}}), "p.until: expected none beside"),
        (node(studies=3, fresh=2, part={"seeds": 4}), "p.seeds: expected none beside tune.fresh"),
        (node(studies=3, fresh=2, part={"seeds": [1, 2, 3]}), "as many as all studies take, 6, got"),
        (node(studies=60, seeds=[3], fresh=1), "none of the comparison's seeds, in any study"),
        (node(studies={"most": 9, "margin": "1 points"}, part={"margin": "2 points"}), "tune.studies.margin"),
    ],
)  # fmt: skip
def test_wrong_files(given: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as error:
        sweep_file.read(given)
    assert says in str(error.value)


def test_sweep_json_of_one_tuning_knows_no_studies(tmp_path: Path) -> None:
    part, _ = planned_part(node())
    record.write(Study("own", [part], tmp_path / "plain"))
    text = (tmp_path / "plain/sweep.json").read_text()
    assert "fresh" not in text
    assert "studies" not in text


def test_a_decided_arm_gets_no_more_studies_and_the_baseline_as_many_as_any() -> None:
    arms = {"arms": {"a": [], "b": [], "c": []}}
    part, given = planned_part(node(None, arms, studies={"first": 5, "most": 7}, fresh=1))
    assert advance(part, given, judged(part))
    table = judged(part)
    for arm in table.arms:
        arm.verdict = {"b": "better", "c": "not decided"}.get(arm.arm.name, "")
    assert advance(part, given, table)
    assert {arm.name: len(arm.studies) for arm in part.arms} == {"a": 6, "b": 5, "c": 6}
    left = [run for run in planned(part) if run.trial and run.seed in (110, 111)]  # the sixth study
    assert {run.arm.name for run in left} == {"a", "c"}
    assert len(left) == 2 * 3 * 2
