"""Sweeps that tune first and add seeds until decided: what they refuse, make, and make again."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Result

from genreg.cli import launch as cli_launch
from genreg.errors import InputError, Interrupted
from genreg.sweep import file as sweep_file
from genreg.sweep.tune import Range, Tune, next_points
from genreg.sweep.until import DECIDED, Until, margin_of

Genreg = Callable[..., Result]

LR: dict[str, Any] = {"optimizer.lr": {"low": 1e-3, "high": 3e-2, "log": True}}
TUNE: dict[str, Any] = {"trials": 4, "seeds": [100], "space": {"*": LR}}


def part(**changes: Any) -> dict[str, Any]:
    own = {"metric": "test/accuracy", "select": "validation/accuracy", "arms": {"a": [], "b": []}}
    return {"parts": {"p": {**own, **changes}}}


def tune(**changes: Any) -> dict[str, Any]:
    return part(tune={**TUNE, **changes})


BAD: list[tuple[dict[str, Any], str, str]] = [
    (tune(space={"a": LR}), "p.tune.space.b", "a space for 4 trials, as every arm has"),
    (tune(space={"*": LR, "c": LR}), "p.tune.space", "arms of the part, or *, got 'c'"),
    (tune(space={"*": {"k": [1, 2, 3]}}), "p.tune.space.a", "4 trials, as every arm has, got '3 different"),
    (tune(sampler="grid", space={"*": {"k": [1, 2, 3]}}), "p.tune.space.a", "4 trials, as every arm has"),
    (tune(sampler="grid"), "p.tune.space.a.optimizer.lr", "a grid has no ranges"),
    (tune(sampler="sobel"), "tune.sampler", "nearest: sobol"),
    (tune(metric="test/accuracy"), "p.tune.metric", "a metric of validation"),
    (part(select=None, tune=TUNE), "p.tune.metric", "a metric of validation"),
    (tune(seeds=[0, 100]), "p.tune.seeds", "none of the comparison's seeds, got '0'"),
    (tune(seeds=[]), "p.tune.seeds", "at least one seed"),
    (tune(seeds=[5, 5]), "p.tune.seeds", "none twice"),
    (tune(trials=0), "p.tune.trials", "greater than or equal to 1"),
    (tune(space={"*": {"k": {"low": 2, "high": 1}}}), "a range", "low below high"),
    (tune(space={"*": {"k": {"low": 0, "high": 1, "log": True}}}), "a range", "above 0 if log"),
    (tune(space={"*": {"k": 3}}), "p.tune.space.*.k", "a list of values, or low and high"),
    (part(until={"first": 5}), "p.until", "a limit: most (seeds) or minutes"),
    (part(until={"first": 3, "most": 9}), "p.until.first", "greater than or equal to 5"),
    (part(until={"most": 9, "looks": [5, 7]}), "p.until.looks", "a last look at most=9 seeds"),
    (part(until={"most": 9, "margin": "1"}), "p.until.margin", "a number above 0 and its unit"),
    (part(until={"most": 9, "margin": "1 %"}), "p.until.margin", "a number above 0 and its unit"),
    (part(margin="0 points"), "p.margin", "a number above 0 and its unit"),
    (part(margin="1 points", until={"most": 9, "margin": "2 points"}), "p.until.margin", "the part's margin"),
    (part(until={"most": 9}, seeds=4), "p.seeds", "none beside until"),
    (part(until={"most": 9}, seeds=[4, 5]), "p.seeds", "as many as its last look takes, 9, got '2 seeds'"),
    (part(until={"mst": 9}), "p.until.mst", "nearest: most"),
]  # fmt: skip


@pytest.mark.parametrize(("node", "key", "says"), BAD)
def test_a_wrong_stage(node: dict[str, Any], key: str, says: str) -> None:
    with pytest.raises(InputError) as refused:
        sweep_file.read({"seeds": [0, 1], **node})
    assert refused.value.key in (f"sweep.parts.{key}", key)
    assert says in str(refused.value)


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


FILE = """# tuned
question: Is it so?
until: {margin: 0.1 points, first: 5, most: 7}
parts:
  p:
    experiments: [smoke/none, smoke/vat]
    overrides: [logger=none, steps=10, measure=none]
    metric: test/accuracy
    select: validation/accuracy
    tune:
      trials: 2
      seeds: [100]
      space: {"*": {optimizer.lr: [1e-3, 3e-2]}}
"""
OWN = ["train", "--config-dir", "mine", "sweep=own"]


@pytest.fixture
def mine(tmp_path: Path) -> None:
    path = tmp_path / "mine/sweep/own.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(FILE)


def stamps(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("summary.json")}


def told(folder: Path) -> Any:
    return json.loads((folder / "sweep.json").read_text())["parts"]


@pytest.mark.usefixtures("mine")
def test_both_stages_by_one_command(genreg: Genreg, tmp_path: Path) -> None:
    dry = genreg(*OWN, "--dry-run")
    assert "4 jobs: 0 finished, 4 to run" in dry.out
    assert not (tmp_path / "outputs").exists()
    made = genreg(*OWN)
    assert made.code == 0, made
    folder = tmp_path / "outputs/own"
    (one,) = told(folder)
    assert (one["looks"], one["planned"], one["margin"]) == (
        [5, 6, 7],
        True,
        {"value": 0.1, "unit": "points"},
    )
    for arm in one["arms"]:
        scores = {}
        for trial in arm["tuning"]["trials"]:
            run = json.loads((folder / trial["folder"] / "seed=100/summary.json").read_text())
            scores[trial["folder"]] = run["best"]["validation/accuracy"]
        assert len(scores) == 2
        assert scores[arm["folder"]] == max(scores.values())
        assert 100 not in arm.get("seeds", one["seeds"])
        assert sorted(int(path.name[5:]) for path in (folder / arm["folder"]).glob("seed=*")) == [
            *arm.get("seeds", one["seeds"]), 100]  # fmt: skip
    before = stamps(folder)
    again = genreg(*OWN)
    assert again.code == 0
    assert f"{len(before)} jobs: {len(before)} finished, 0 to run" in again.out
    assert "p: vat against none: " in again.out
    assert stamps(folder) == before
    report = json.loads(genreg("report", "outputs/own", "--format", "json").out)["parts"][0]
    assert report["question"] == "Is it so?"
    assert report["arms"][1]["verdict"] in again.out


@pytest.mark.usefixtures("mine")
def test_stopped_anywhere_it_ends_the_same(
    genreg: Genreg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In tuning, between the stages and between looks: nothing twice, nothing lost, the same verdict."""
    assert genreg(*OWN, "output_dir=whole").code == 0
    whole = {path.parent.relative_to(tmp_path / "whole") for path in stamps(tmp_path / "whole")}
    starts = 0
    original = cli_launch.batch.run_batch

    def interrupted(jobs: list[Any], run: Any, **options: Any) -> Any:
        nonlocal starts
        starts += 1
        few = jobs[: max(1, len(jobs) // 2)]
        original(few, run, **options)
        if len(few) < len(jobs):
            raise Interrupted("stopped")

    monkeypatch.setattr(cli_launch.batch, "run_batch", interrupted)
    codes = []
    made: dict[Path, int] = {}
    while not codes or (codes[-1] == 130 and starts < 60):
        codes.append(genreg(*OWN, "output_dir=parts").code)
        now = stamps(tmp_path / "parts")
        assert {path: now[path] for path in made} == made  # nothing twice
        made = now
        if starts > 50:
            monkeypatch.setattr(cli_launch.batch, "run_batch", original)
    monkeypatch.setattr(cli_launch.batch, "run_batch", original)
    assert genreg(*OWN, "output_dir=parts").code == 0
    assert codes.count(130) > 4
    assert {path.parent.relative_to(tmp_path / "parts") for path in stamps(tmp_path / "parts")} == whole
    first, second = (
        json.dumps(told(tmp_path / name)).replace(f"output_dir={name}", "") for name in ("whole", "parts")
    )
    assert first == second


@pytest.mark.slow
def test_killed_anywhere_it_ends_the_same(tmp_path: Path, mine: None) -> None:
    command = [sys.executable, "-m", "genreg", *OWN]
    ends: dict[str, Any] = {}
    for name, kills in (("whole", []), ("killed", [1, 3, 5, 9, 12])):
        for enough in kills:
            process = subprocess.Popen([*command, f"output_dir={name}"], cwd=tmp_path, start_new_session=True)
            while process.poll() is None and len(stamps(tmp_path / name)) < enough:
                time.sleep(0.02)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        subprocess.run([*command, f"output_dir={name}"], cwd=tmp_path, check=True)
        ends[name] = json.dumps(told(tmp_path / name)).replace(f"output_dir={name}", "")
    assert ends["whole"] == ends["killed"]


@pytest.mark.usefixtures("mine")
def test_seeds_raised_by_hand_are_named(genreg: Genreg, tmp_path: Path) -> None:
    path = tmp_path / "mine/sweep/own.yaml"
    plain = FILE.split("    tune:")[0].replace("until: {margin: 0.1 points, first: 5, most: 7}", "seeds: 5")
    path.write_text(plain)
    folder = tmp_path / "outputs/own"
    assert genreg(*OWN).code == 0
    assert told(folder)[0]["looks"] == []
    path.write_text(plain.replace("seeds: 5", "seeds: 7"))
    assert genreg(*OWN).code == 0
    for _ in range(2):  # also when it is started again
        assert (told(folder)[0]["looks"], told(folder)[0]["planned"]) == ([5, 7], False)
        assert genreg(*OWN).code == 0
    report = json.loads(genreg("report", "outputs/own", "--format", "json").out)["parts"][0]
    assert any(
        "changed by hand when results could be seen: looks at 5, 7" in note for note in report["notes"]
    )
    assert report["arms"][1]["verdict"] != "not decided"  # nothing goes on by itself


@pytest.mark.usefixtures("mine")
def test_a_limit_raised_by_hand_goes_on_and_is_named(genreg: Genreg, tmp_path: Path) -> None:
    limit = "sweep.until={margin: 0.001 points, most: 5}"
    assert genreg(*OWN, limit).code == 0
    folder = tmp_path / "outputs/own"
    assert (told(folder)[0]["looks"], told(folder)[0]["planned"]) == ([5], True)
    answer = genreg(*OWN, limit.replace("5", "6"))
    assert answer.code == 0
    assert (told(folder)[0]["looks"], told(folder)[0]["planned"]) == ([5, 6], False)
    assert "vat against none: no difference shown after 6 pairs" in answer.out


@pytest.mark.usefixtures("mine")
def test_wrong_commands(genreg: Genreg) -> None:
    for arguments, says in [
        (["sweep=smoke", "--until", "bored"], "--until: expected decided, got 'bored'"),
        (["--until", "decided"], "--until: expected a sweep file beside it"),
        (["sweep=own", "--config-dir", "mine", "optimizer.lr=1"], "sweep: expected no run twice"),
        (
            ["sweep=smoke", "--until", "decided", "sweep.until.margin=1"],
            "sweep.until.margin: expected a number",
        ),
    ]:
        answer = genreg("train", *arguments)
        assert (answer.code, says in answer.err) == (2, True), answer
        assert len(answer.err.strip().splitlines()) <= 2


def test_a_run_that_fails_in_tuning_is_the_worst_trial(genreg: Genreg, tmp_path: Path) -> None:
    path = tmp_path / "mine/sweep/own.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(FILE.replace("[1e-3, 3e-2]", "[1e-3, 1e30]"))
    answer = genreg(*OWN)
    (one,) = told(tmp_path / "outputs/own")
    for arm in one["arms"]:
        assert "optimizer.lr=0.001" in arm["command"]
    assert answer.code == 1  # what failed is told at the end
    assert "diverged" in answer.err


@pytest.mark.usefixtures("mine")
def test_what_was_done_by_hand_is_not_forgotten_by_a_kill(
    genreg: Genreg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = "sweep.until={margin: 0.001 points, most: 5}"
    for most in "56":
        assert genreg(*OWN, limit.replace("5", most)).code == 0
    before = (tmp_path / "outputs/own/sweep.json").read_bytes()

    def killed(*_: Any, **__: Any) -> Any:
        raise Interrupted("killed")

    monkeypatch.setattr("genreg.report.evaluate.evaluate", killed)  # while the first look is passed
    assert genreg(*OWN, limit.replace("5", "6")).code == 130
    assert (tmp_path / "outputs/own/sweep.json").read_bytes() == before
