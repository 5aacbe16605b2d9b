"""Studies: the tuning and its comparison, several times, so that a verdict is of the methods as tuned."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import Result
from scipy import stats
from synthetic import METRICS, part_of, write_run, write_sweep

from genreg.report.evaluate import evaluate
from genreg.report.judge.statistics import level_at, repeated_p
from genreg.report.output.columns import caption
from genreg.report.plan import recommended
from genreg.report.read.find import read_parts
from genreg.study import record
from genreg.study.planned import advance

Genreg = Callable[..., Result]


def write_studies(root: Path, values: dict[str, np.ndarray], lost: int = -1, **part: Any) -> Path:
    """A sweep whose arms have these values (studies, fresh); of the last arm run `lost` has failed."""
    arms = []
    for name, own in values.items():
        studies = []
        for k, row in enumerate(own):
            seeds = [k * len(row) + n for n in range(len(row))]
            trial = write_run(root / f"{name}-{k}" / f"seed={1000 + k}", 0.5, metrics=METRICS).parent
            for seed, value in zip(seeds, row, strict=True):
                status = "failed" if name == list(values)[-1] and seed == lost else "done"
                write_run(root / f"{name}-{k}" / f"seed={seed}", float(value), metrics=METRICS, status=status)
            tuning = {"metric": "validation/accuracy", "planned": 1, "sampler": "sobol",
                      "seeds": [1000 + k], "space": {"lr": {"low": 0, "high": 9, "log": False}},
                      "trials": [{"values": {"lr": k}, "folder": trial.name}]}  # fmt: skip
            studies.append({"folder": trial.name, "command": f"study {k} seed=N", "seeds": seeds,
                            "tuning": tuning})  # fmt: skip
        arms.append({"name": name, "values": {}, **studies[0], "studies": studies[1:]})
    first = next(iter(values.values()))
    write_sweep(root, arms, seeds=list(range(first.size)), fresh=first.shape[1], **part)
    return root


def drawn(studies: int, fresh: int, gain: float) -> dict[str, np.ndarray]:
    """Values whose spread between studies is far above the one within."""
    rng = np.random.default_rng(1)
    within = rng.normal(0, 0.001, (2, studies, fresh))
    return {"none": 0.8 + within[0], "vat": 0.8 + gain + rng.normal(0, 0.02, (studies, 1)) + within[1]}


def test_the_study_is_the_unit_of_a_verdict(tmp_path: Path) -> None:
    """By scipy's paired t test of study means; over all seeds the same values differ clearly."""
    values = drawn(6, 4, 0.005)
    (part,) = read_parts([write_studies(tmp_path, values)])
    result = evaluate(part)
    found = result.find("vat")
    assert found
    assert found.comparison
    means = [values[name].mean(1) for name in ("vat", "none")]
    assert found.comparison.p == pytest.approx(stats.ttest_rel(*means).pvalue, rel=1e-6)
    assert found.comparison.mean == pytest.approx(np.subtract(*means).mean())
    assert (found.comparison.pairs, len(found.values), len(found.arm.runs)) == (6, 6, 24)
    assert stats.ttest_rel(values["vat"].ravel(), values["none"].ravel()).pvalue < 0.05
    assert found.verdict == "no difference shown"
    assert "over studies" in caption(result)
    assert "of the methods, as tuned" in caption(result)
    assert found.arm.command_of(9) == "study 2 seed=9"
    assert [tuning.winner.values["lr"] for tuning in found.tunings if tuning.winner] == [0, 1, 2, 3, 4, 5]
    assert found.tunings[2].fresh == pytest.approx(values["vat"][2])


def test_looks_are_over_studies(tmp_path: Path) -> None:
    values = drawn(7, 2, 0.2)
    (part,) = read_parts([write_studies(tmp_path, values, looks=[5, 7, 9])])
    found = evaluate(part).find("vat")
    assert found
    assert found.comparison
    d = (values["vat"] - values["none"]).mean(1)
    assert found.comparison.looks == (5, 7)
    assert found.comparison.p == repeated_p(stats.ttest_1samp(d, 0).pvalue, 7, (5, 7, 9))
    assert found.comparison.level == level_at(7, (5, 7, 9), 0.05)
    assert found.verdict == "better"


def test_a_study_with_a_failed_run_has_failed(tmp_path: Path) -> None:
    (part,) = read_parts([write_studies(tmp_path, drawn(6, 2, 0.2), lost=3)])
    found = evaluate(part).find("vat")
    assert found
    assert found.comparison
    assert (found.comparison.by, found.comparison.pairs, found.failed) == ("ranks", 6, 1)
    assert (1, None) in found.outcomes.failed
    (tmp_path / "vat-4" / "seed=8" / "summary.json").unlink()  # not over: its study says nothing
    again = evaluate(part.with_runs()).find("vat")
    assert again
    assert again.comparison
    assert again.comparison.pairs == 5


def test_sweep_json_keeps_all_studies(tmp_path: Path) -> None:
    write_studies(tmp_path, drawn(3, 2, 0.0), select="validation/accuracy", looks=[], planned=True)
    one = record.read(tmp_path / "sweep.json")
    first = (tmp_path / "sweep.json").read_text()
    record.write(one)
    again = record.read(tmp_path / "sweep.json")
    assert again == one
    arm = again.parts[0].arms[1]
    assert [study.seeds for study in arm.studies] == [(0, 1), (2, 3), (4, 5)]
    assert json.loads(first)["parts"][0]["arms"][1]["studies"][1]["folder"] == "vat-2"


FILE = """# studies
parts:
  p:
    experiments: [smoke/none, smoke/vat]
    overrides: [logger=none, steps=10, measure=none]
    metric: test/accuracy
    select: validation/accuracy
    tune: {trials: 2, seeds: [100], studies: 2, fresh: 1, space: {"*": {optimizer.lr: [1e-3, 3e-2]}}}
"""


@pytest.mark.full
def test_studies_by_one_command(genreg: Genreg, tmp_path: Path) -> None:
    """What one tuning made is the first study; more studies add to those that are there."""
    path = tmp_path / "mine/sweep/own.yaml"
    path.parent.mkdir(parents=True)
    own = ["train", "--config-dir", "mine", "sweep=own"]
    counts = []
    for studies in ("", "studies: 2, fresh: 1, ", "studies: 5, fresh: 1, "):
        path.write_text(FILE.replace("studies: 2, fresh: 1, ", studies))
        made = genreg(*own)
        assert made.code == 0, made
        before = {p: p.stat().st_mtime_ns for p in (tmp_path / "outputs").rglob("summary.json")}
        counts.append(len(before))
        assert genreg(*own).code == 0
        assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "outputs").rglob("summary.json")}
    assert counts == [6, 12, 30]
    assert "after 5 studies, of the methods as tuned" in made.out
    report = json.loads(genreg("report", "outputs/own", "--format", "json").out)["parts"][0]
    arm = report["arms"][1]
    assert (arm["n"], len(arm["runs"]), len(arm["studies"])) == (5, 5, 5)
    runs = {run["seed"]: run["value"] for run in arm["runs"]}
    assert [study["value"] for study in arm["studies"]] == [runs[k] for k in range(5)]
    text = genreg("report", "outputs/own", "--format", "summary").out
    assert "of the methods, as tuned" in text
    assert genreg("report", "outputs/own").code == 0
    assert (tmp_path / "outputs/own/report.html").exists()


def ends(d: np.ndarray, plan: tuple[int, ...]) -> list[tuple[str, int]]:
    """The verdict and the number of seeds of each arm, by the report and by the stages of a sweep."""
    part = part_of({"none": np.zeros(plan[-1]), **{str(k): own for k, own in enumerate(d)}})
    part.seeds, part.looks = tuple(range(plan[-1])), plan
    whole = [dict(arm.runs) for arm in part.arms]
    given: Any = SimpleNamespace(until=SimpleNamespace(minutes=None, plan=plan))
    for arm in part.arms:
        arm.seeds, arm.winner = part.seeds[: plan[0]], {}
    while True:
        for arm, runs in zip(part.arms, whole, strict=True):
            arm.runs = {seed: runs[seed] for seed in arm.seeds}
        result = evaluate(part)
        if not advance(part, given, result):
            found = [result.find(arm.name) for arm in part.arms[1:]]
            return [(one.verdict, len(one.arm.seeds)) for one in found if one]


@pytest.mark.full
def test_the_simulation_has_the_rule_of_sweeps() -> None:
    """Arm by arm: the same verdict after as many seeds."""
    path = Path(__file__).parents[1] / "scripts/simulate_studies.py"
    simulation: Any = SimpleNamespace(**runpy.run_path(str(path), run_name="simulation"))
    d = np.random.default_rng(3).normal([[[0.0], [0.8], [1.5]]], 1, (25, 3, 9))
    end = simulation.until_decided(d, (5, 6, 7, 9))
    words = {1: "better", -1: "worse", 0: "not decided"}
    fast = [[(words[int(w)], int(n)) for w, n in zip(*both, strict=True)]
            for both in zip(end.way, end.used, strict=True)]  # fmt: skip
    assert fast == [ends(one, (5, 6, 7, 9)) for one in d]
    assert {verdict for one in fast for verdict, _ in one} >= {"better", "not decided"}
    assert len({n for one in fast for _, n in one}) == 4


def test_plan_counts_studies_with_their_tuning(tmp_path: Path, genreg: Genreg) -> None:
    """Of each arm two fresh runs and a trial in each study; every run has taken three seconds."""
    values = drawn(6, 2, 0.01)
    write_studies(tmp_path, values)
    d = (values["vat"] - values["none"]).mean(1)
    at_most = d.std(ddof=1) * np.sqrt(5 / stats.chi2.ppf(0.2, 5))
    n = recommended(0.02, float(at_most))
    answer = genreg("plan", ".", "--difference", "2")
    assert answer.code == 0, answer
    assert n
    line = next(line for line in answer.out.splitlines() if " vat " in line)
    cells = [cell.strip() for cell in line.strip("│ ").split("│")]
    assert cells[3:9] == [
        "6", f"{100 * d.std(ddof=1):.2f}", f"{100 * at_most:.2f}", f"{n} studies", f"{6 * n}",
        f"{6 * n * 3 / 60:.1f}",
    ]  # fmt: skip


@pytest.mark.parametrize(("best", "words"), [((0, 0, 4, 2, 3, 0), "vat at an end of lr in 4 of 6"),
                                             ((1, 2, 3, 2, 4, 0), "")])  # fmt: skip
def test_a_verdict_says_where_winners_lie_at_an_end(tmp_path: Path, best: Any, words: str) -> None:
    """Five values in each of six studies; `best` is the place of the winner."""
    write_studies(tmp_path, drawn(6, 1, 0.3))
    content = json.loads((tmp_path / "sweep.json").read_text())
    arm = content["parts"][0]["arms"][1]
    for k, (study, winner) in enumerate(zip([arm, *arm["studies"]], best, strict=True)):
        trials = []
        for place in range(5):
            write_run(tmp_path / f"trial-{k}-{place}/seed={1000 + k}", 0.9 if place == winner else 0.5)
            trials.append({"values": {"lr": 0.1 * (place + 1)}, "folder": f"trial-{k}-{place}"})
        study["tuning"] |= {"planned": 5, "trials": trials}
    (tmp_path / "sweep.json").write_text(json.dumps(content))
    found = evaluate(read_parts([tmp_path])[0]).find("vat")
    assert found
    assert found.condition == words
    assert found.judgement == ", ".join(filter(None, ["better", words]))
