"""`genreg sync`: what W&B's own reader, its server's side and TensorBoard's records say was written."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SMOKE, Result
from PIL import Image
from synthetic import write_run
from test_logger import offline_runs
from test_resume import COMMAND, checkpoints, finish, start, wait_until

from genreg.run.folder import RunFolder

Genreg = Callable[..., Result]
CONFIG = """
name: a/b
seed: 3
regularizer: {vat: {_target_: genreg.regularizer.VAT, xi: 1.0e-06, epsilon: 0.5}}
dataset: {_target_: genreg.dataset.two_moons}
"""


def write(folder: Path, seed: int = 3, **more: Any) -> Path:
    """A finished run of three rows with a picture at step 20."""
    write_run(folder, 0.8, config=CONFIG.replace("seed: 3", f"seed: {seed}"), **more)
    (folder / "samples").mkdir()
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(folder / "samples/step=20.png")
    return folder


def records(path: Path) -> list[dict[str, Any]]:
    """Every record of a .wandb file, as W&B reads it."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def content(path: Path) -> dict[str, Any]:
    """What a .wandb file says of its run, without the times and W&B's own keys."""
    found = records(path)
    (run,) = (record["run"] for record in found if "run" in record)
    rows = [record["history"]["item"] for record in found if "history" in record]
    summary: dict[str, Any] = {}
    for record in found:
        summary |= plain(record.get("summary", {}).get("update", {}))
    return {
        "id": run["run_id"], "group": run["run_group"], "tags": run["tags"], "project": run["project"],
        "config": plain(run["config"]["update"]), "summary": summary,
        "rows": [plain(row) for row in rows],
        "pictures": {row["step"]: row["samples.sha256"] for row in rows if "samples.sha256" in row},
        "files": {item["path"]: item["local_path"] for record in found if "artifact" in record
                  for item in record["artifact"]["manifest"]["contents"]},
    }  # fmt: skip


def plain(item: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if not key.startswith(("_", "samples."))}


@pytest.mark.full
def test_the_runs_of_training_and_of_sync_are_one(genreg: Genreg, tmp_path: Path) -> None:
    """One id, and the same rows, configuration, group, tags and summary in both files."""
    assert genreg("train", *SMOKE, "logger=wandb").code == 0
    (theirs,) = map(content, offline_runs(tmp_path))
    answer = genreg("sync", "outputs", "--mode", "offline")
    assert (answer.code, answer.err) == (0, "")
    (ours,) = map(content, offline_runs(tmp_path))
    (aside,) = tmp_path.rglob("replaced/*/*.wandb")
    assert content(aside) == theirs
    assert ours == theirs
    (folder,) = (RunFolder(path.parent) for path in tmp_path.rglob("metrics.jsonl"))
    assert ours["rows"] == folder.rows()
    assert ours["id"] == f"{folder.path.parent.name.rsplit('-', 1)[1]}-0"
    assert ours["summary"]["best/validation/accuracy"] == folder.summary()["best"]["validation/accuracy"]
    assert ours["summary"]["status"] == "done"


@pytest.mark.full
def test_numbers_of_the_configuration_stay_numbers(genreg: Genreg, tmp_path: Path) -> None:
    write(tmp_path / "arm/seed=3")
    assert genreg("sync", str(tmp_path)).code == 0
    (run,) = map(content, offline_runs(tmp_path))
    assert run["config"]["regularizer"] == {
        "vat": {"_target_": "genreg.regularizer.VAT", "xi": 1e-6, "epsilon": 0.5}
    }


@pytest.mark.full
def test_twice_is_once_and_new_rows_are_the_same_run(genreg: Genreg, tmp_path: Path) -> None:
    folder = write(tmp_path / "arm/seed=3")
    assert genreg("sync", str(tmp_path)).out.startswith("synced ")
    (first,) = offline_runs(tmp_path)
    for again in ([str(tmp_path)], [str(folder), str(folder.parent)]):
        answer = genreg("sync", *again)
        assert (answer.code, answer.out.splitlines()[1:]) == (0, ["1 unchanged"])
    assert offline_runs(tmp_path) == [first]
    before = content(first)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "validation/accuracy": 0.3}\n')
    assert genreg("sync", str(tmp_path)).out.endswith(" --mode online` sends it\n")
    (after,) = map(content, offline_runs(tmp_path))
    assert after["id"] == before["id"]
    assert after["rows"] == RunFolder(folder).rows()
    picture = (folder / "samples/step=20.png").read_bytes()
    assert after["pictures"] == {20: hashlib.sha256(picture).hexdigest()}


@pytest.mark.full
def test_another_project_and_artifacts_are_something_new(genreg: Genreg, tmp_path: Path) -> None:
    write(tmp_path / "seed=3")
    for more, result in (([], "synced"), (["--artifacts"], "synced"), ([], "unchanged"),
                         (["--project", "b"], "synced"), ([], "synced")):  # fmt: skip
        assert genreg("sync", str(tmp_path), *more).out.startswith(f"{result} ")
        (run,) = map(content, offline_runs(tmp_path))
        assert run["project"] == (more[1] if len(more) == 2 else "genreg")


@pytest.mark.full
def test_the_environment_names_another_place(
    genreg: Genreg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "seed=3")
    for variable in ("", "WANDB_PROJECT", "WANDB_ENTITY"):
        if variable:
            monkeypatch.setenv(variable, "other")
        for result in ("synced", "unchanged"):
            assert genreg("sync", str(tmp_path)).out.startswith(f"{result} "), variable
    (run,) = map(content, offline_runs(tmp_path))
    assert run["project"] == "other"


@pytest.mark.full
def test_killed_and_resumed(genreg: Genreg, tmp_path: Path) -> None:
    """Synced after the kill, and again when the run is done: every step once, as the folder has it."""
    process = start(tmp_path)
    wait_until(lambda: len(checkpoints(tmp_path)) >= 2)
    process.kill()
    process.communicate()
    assert genreg("sync", str(tmp_path)).code == 0
    (killed,) = map(content, offline_runs(tmp_path))
    assert killed["summary"]["status"] == "interrupted"
    folder = finish(tmp_path, COMMAND)
    assert genreg("sync", str(tmp_path)).code == 0
    (done,) = map(content, offline_runs(tmp_path))
    assert done["rows"] == folder.rows()
    assert done["rows"][-1]["step"] == 1200
    assert done["id"] == killed["id"]


def test_tensorboard_shows_each_step_once(genreg: Genreg, tmp_path: Path) -> None:
    folder = write(tmp_path / "seed=3")
    for rows in (3, 3, 4):
        if rows == 4:
            with (folder / "metrics.jsonl").open("a") as file:
                file.write('{"step": 40, "validation/accuracy": 0.3}\n')
        assert genreg("sync", str(tmp_path), "--to", "tensorboard").code == 0
        values, pictures = events(tmp_path)
        shown = [(row["step"], row["validation/accuracy"]) for row in RunFolder(folder).rows()]
        assert values == [(step, pytest.approx(value)) for step, value in shown]
        assert len(values) == rows
        assert pictures == [20]
        for path in tmp_path.rglob("events.out.tfevents.*"):
            path.rename(f"{path}.{rows}")  # two files of one second would have one name


def events(folder: Path) -> tuple[list[tuple[int, float]], list[int]]:
    """Validation accuracies with their steps, and the steps of pictures, of all event files below."""
    from tensorboardX.proto.event_pb2 import Event

    values, pictures = [], []
    for path in sorted(folder.rglob("events.out.tfevents.*")):
        raw, at = path.read_bytes(), 0  # frames of size (8), checksum (4), payload, checksum (4)
        while at < len(raw):
            size = int.from_bytes(raw[at : at + 8], "little")
            event = Event.FromString(raw[at + 12 : at + 12 + size])
            at += 16 + size
            for value in event.summary.value:
                if value.tag == "validation/accuracy":
                    values.append((event.step, value.simple_value))
                elif value.tag == "samples":
                    pictures.append(event.step)
    return values, pictures


@pytest.mark.full
def test_artifacts_hold_weights_curves_pictures_and_configuration(genreg: Genreg, tmp_path: Path) -> None:
    folder = write(tmp_path / "seed=3")
    for name in ("weights.pt", "curves.png"):
        (folder / name).write_bytes(b"content of " + name.encode())
    assert genreg("sync", str(tmp_path), "--artifacts").code == 0
    (run,) = map(content, offline_runs(tmp_path))
    names = ("config.yaml", "curves.png", "samples/step=20.png", "weights.pt")
    assert run["files"] == {name: str(folder / name) for name in names}


@pytest.mark.full
def test_hostile_names(genreg: Genreg, tmp_path: Path) -> None:
    """Odd letters go through, line breaks and colours never reach the terminal, a bad name is refused."""
    good = write(tmp_path / "a [b] 'c' \"d\" %s\n\x1b[31mé/seed=3")
    bad = write(tmp_path / "bad/seed=3")
    config = CONFIG + "'<script>': \"${oc.env:HOME}\\n'\"\n"
    (good / "config.yaml").write_text(config)
    (bad / "config.yaml").write_text(CONFIG.replace("a/b", "../../b"))
    answer = genreg("sync", str(tmp_path))
    assert answer.code == 1
    assert "\x1b" not in answer.out + answer.err
    assert len(answer.out.splitlines()) == 3
    assert answer.err.splitlines() == [f"genreg: {bad}: name: expected letters, digits and ._+=- in parts "
                                       "divided by /, got '../../b'"]  # fmt: skip
    (run,) = map(content, offline_runs(tmp_path))
    assert run["config"]["<script>"] == "${oc.env:HOME}\n'"
    assert run["rows"] == RunFolder(good).rows()


def damage(folder: Path) -> dict[str, Path]:
    """Run folders of which none can be synced, by what the one line says."""
    broken = {
        "config.yaml": write(folder / "no_config/seed=0"),
        "config.yaml: expected the configuration": write(folder / "no_run/seed=0"),
        "summary.json: expected": write(folder / "summary/seed=0"),
        "metrics.jsonl: expected a row": write(folder / "row/seed=0"),
        "metrics.jsonl: expected rows with rising": write(folder / "twice/seed=0"),
    }
    (folder / "no_config/seed=0/config.yaml").unlink()
    (folder / "no_run/seed=0/config.yaml").write_text("- 1\n")
    (folder / "summary/seed=0/summary.json").write_text('{"status": "do')
    (folder / "row/seed=0/metrics.jsonl").write_text('{"step": 1}\n{"st\n')
    (folder / "twice/seed=0/metrics.jsonl").write_text('{"step": 1}\n{"step": 1}\n')
    return broken


def test_damaged_folders_are_told_and_the_others_go_on(genreg: Genreg, tmp_path: Path) -> None:
    broken = damage(tmp_path / "runs")
    answer = genreg("sync", str(tmp_path))
    assert answer.code == 2
    assert len(answer.err.splitlines()) == len(broken)
    for reason, path in broken.items():
        assert re.search(f"^genreg: {re.escape(str(path))}: .*{reason}", answer.err, re.MULTILINE), reason
    assert offline_runs(tmp_path) == []
    write(tmp_path / "runs/whole/seed=3")
    answer = genreg("sync", str(tmp_path))
    assert answer.code == 1
    assert len(offline_runs(tmp_path)) == 1
    assert answer.out.splitlines()[-1].startswith(f"{len(broken)} failed, 1 synced")


def test_a_live_run_is_passed_over(genreg: Genreg, tmp_path: Path) -> None:
    folder = write(tmp_path / "seed=3")
    with RunFolder(folder).lock():
        answer = genreg("sync", str(tmp_path))
    assert (answer.code, answer.out.splitlines()[-1]) == (0, "1 running")
    assert offline_runs(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["."], "FOLDER: expected a folder with runs at or below it, got '.'"),
        (["nowhere"], "FOLDER: expected a folder with runs at or below it, got 'nowhere'"),
        ([".", "--to", "wandbb"], "--to: expected an option of the group logger, got 'wandbb'"),
        ([".", "--to", "tensorboard", "--artifacts"], "--artifacts: expected a logger that takes files"),
        ([".", "--mode", "of"], "mode: expected 'auto', 'online' or 'offline', got 'of'"),
    ],
)
def test_bad_input(genreg: Genreg, arguments: list[str], line: str) -> None:
    answer = genreg("sync", *arguments)
    assert answer.code == 2
    assert answer.err.startswith(f"genreg: {line}")
