"""Sweeps that tune first and add seeds until decided: what they make, and make again."""

import json
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

from genreg.cli import by_hydra as cli_launch
from genreg.errors import Interrupted

Genreg = Callable[..., Result]

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


@pytest.mark.full
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


@pytest.mark.full
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


@pytest.mark.full
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


@pytest.mark.full
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
        (["sweep=own", "--config-dir", "mine", "optimizer.lr=1"], "optimizer.lr: expected a key that part p"),
        (
            ["sweep=smoke", "--until", "decided", "sweep.until.margin=1"],
            "sweep.until.margin: expected a number",
        ),
    ]:
        answer = genreg("train", *arguments)
        assert (answer.code, says in answer.err) == (2, True), answer
        assert len(answer.err.strip().splitlines()) <= 2


@pytest.mark.full
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


@pytest.mark.full
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

    monkeypatch.setattr("genreg.report.evaluate.evaluate_all", killed)  # while the first look is passed
    assert genreg(*OWN, limit.replace("5", "6")).code == 130
    assert (tmp_path / "outputs/own/sweep.json").read_bytes() == before
