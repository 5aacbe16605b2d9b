"""A run knows the data that it was made with: other data are said, refused, or made anew."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from data_ways import RUN, WAYS, Genreg, Way, Ways
from own_files import write_folder, write_table

from genreg import download
from genreg.run import data, display
from genreg.run.folder import RunFolder
from genreg.task.classify import Classify
from genreg.task.wgan import WGAN

ANEW = "--again starts from the beginning"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's cache of its own; files that were written just now count as settled; no time for curves."""
    monkeypatch.setattr(display, "draw", lambda _rows, _summary, path: path.touch())
    monkeypatch.setattr(download, "default_data_dir", lambda: tmp_path / "cache")
    monkeypatch.setattr(download, "SETTLED", -3600.0)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files that are hashed, and `build` for each time that data are built to be looked at."""
    done: list[str] = []
    like, build = download.digest_like, data._checksums

    def hashed(path: Path, expected: str) -> str:
        done.append(path.name)
        return like(path, expected)

    def built(*given: Any) -> dict[str, str]:
        done.append("build")
        return build(*given)

    monkeypatch.setattr(download, "digest_like", hashed)
    monkeypatch.setattr(data, "_checksums", built)
    return done


@pytest.fixture
def way(request: pytest.FixtureRequest, genreg: Genreg, tmp_path: Path, monkeypatch: Any) -> Way:
    made: Way = getattr(Ways(genreg, tmp_path, monkeypatch), request.param)()
    return made


def interrupt(monkeypatch: pytest.MonkeyPatch, at: int) -> Callable[[], None]:
    """Let a run get Ctrl-C at a step; what is returned ends that."""
    steps = {task: task.step for task in (Classify, WGAN)}
    for task, step in steps.items():

        def stopped(self: Any, k: int, step: Any = step) -> Any:
            if k == at:
                os.kill(os.getpid(), signal.SIGINT)
            return step(self, k)

        monkeypatch.setattr(task, "step", stopped)
    return lambda: [monkeypatch.setattr(task, "step", step) for task, step in steps.items()] and None


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.every(6)
@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_a_finished_run_says_that_its_data_are_other(way: Way, genreg: Genreg, work: list[str]) -> None:
    first = genreg("train", *way.typed)
    assert first.code == 0, first.err
    work.clear()
    again = genreg("train", *way.typed)
    assert "finished already: " in again.out, again
    assert "data" not in again.out.partition("\n")[0], again
    own = way.name.startswith("own_")  # what it reads is known to nobody else
    published = way.name.endswith(".gz")  # a start verifies it, and remembers nothing
    assert work == ["build"] * own + [way.name] * published
    way.change()
    other = genreg("train", *way.typed)
    assert "finished already, with other data of " in other.out, other
    assert way.name in other.out.partition("--again repeats it")[0]
    way.back()
    assert "finished already: " in genreg("train", *way.typed).out


@pytest.mark.every(6)
@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_an_unfinished_run_does_not_go_on_with_other_data(
    way: Way, genreg: Genreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = interrupt(monkeypatch, at=2)
    assert genreg("train", *way.typed).code == 130
    go_on()
    folder = max(Path("outputs").rglob("checkpoint-*.pt")).parent
    before = content(folder)
    way.change()
    refused = genreg("train", *way.typed)
    assert refused.code == 2, refused
    assert refused.err.count("genreg: ") == 1
    assert way.name in refused.err
    assert content(folder) == before
    way.back()
    assert genreg("train", *way.typed).code == 0
    assert len(RunFolder(folder).environments()) == 2


def labels_turned(file: Path) -> None:
    text = file.read_text()
    file.write_text(text.replace(",a", ",c").replace(",b", ",a").replace(",c", ",b"))


def test_the_refusal_names_both_remedies(genreg: Genreg, tmp_path: Path, monkeypatch: Any) -> None:
    file = write_table(tmp_path) / "table.csv"
    typed = ["train", "dataset=table", f"data_dir={tmp_path}", "model.widths=[4]", *RUN]
    go_on = interrupt(monkeypatch, at=2)
    assert genreg(*typed).code == 130
    go_on()
    labels_turned(file)
    (folder,) = tmp_path.glob("outputs/*/*/seed=0")
    refused = genreg(*typed)
    place = folder.relative_to(tmp_path)
    assert refused.err == (
        f"genreg: table.csv: expected what {place} began with (put it back, or {ANEW}), got 'other data'\n"
    )
    assert genreg(*typed, "--again").code == 0
    assert (folder.with_name("seed=0.before-1") / "metrics.jsonl").exists()
    assert [start["resumed"] for start in RunFolder(folder).environments()] == [False]
    assert "finished already: " in genreg(*typed).out


@pytest.mark.full
def test_a_sweep_counts_and_again_makes_anew(genreg: Genreg, tmp_path: Path, monkeypatch: Any) -> None:
    file = write_table(tmp_path) / "table.csv"
    typed = ["dataset=table", f"data_dir={tmp_path}", "model.widths=[4]", *RUN]
    assert genreg("train", *typed).code == 0
    go_on = interrupt(monkeypatch, at=2)
    assert genreg("train", *typed, "seed=1").code == 130
    go_on()
    labels_turned(file)
    sweep = ["train", "-m", *typed, "seed=range(3)"]
    said = ["3 jobs: 1 finished, 2 to run",
            "1 finished with other data of table.csv: --again repeats them",
            "1 begun with other data of table.csv, and go no further: --again makes them anew"]  # fmt: skip
    assert genreg(*sweep, "--dry-run").out.splitlines()[:3] == said
    partly = genreg(*sweep)
    assert partly.out.splitlines()[:3] == said
    assert (partly.code, "1 of 3 jobs failed" in partly.err) == (2, True), partly
    assert f"put it back, or {ANEW}" in partly.err
    assert "3 jobs: 1 finished, 2 to run" in genreg(*sweep, "--again").out
    assert genreg(*sweep).out.splitlines()[0] == "3 jobs: 3 finished, 0 to run"
    starts = [RunFolder(path).environments() for path in tmp_path.glob("outputs/*/*/seed=?")]
    assert {start["data"]["table.csv"] for found in starts for start in found} == {download.sha256(file)}


@pytest.mark.full
def test_code_and_data_are_said_in_one_line(genreg: Genreg, tmp_path: Path) -> None:
    file = write_table(tmp_path) / "table.csv"
    typed = ["dataset=table", f"data_dir={tmp_path}", "model.widths=[4]", *RUN]
    genreg("train", *typed)
    (folder,) = tmp_path.glob("outputs/*/*/seed=0")
    (start,) = RunFolder(folder).environments()
    start["code"]["model"]["digest"] = "0"
    (folder / "environment.json").write_text(json.dumps([start]))
    labels_turned(file)
    both = "other code of model (genreg/model/mlp.py) and other data of table.csv: --again repeats "
    assert f"finished already, with {both}it: " in genreg("train", *typed).out
    assert f"1 finished with {both}them" in genreg("train", "-m", *typed).out
    like = genreg("train", "--like", str(folder))
    assert f"data table.csv was {start['data']['table.csv']}, is {download.sha256(file)}" in like.out
    assert "--like: data" not in genreg("train", "--like", str(next(Path("outputs/again").rglob("seed=0"))),
                                        "output_dir=third").out  # fmt: skip


def test_a_file_that_may_not_be_read_is_said(genreg: Genreg, tmp_path: Path, monkeypatch: Any) -> None:
    typed = ["train", "dataset=table", f"data_dir={write_table(tmp_path)}", "model.widths=[4]", *RUN]
    assert genreg(*typed).code == 0

    def refused(path: Path, like: str) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(download, "of_file", refused)
    answer = genreg(*typed)
    assert (answer.code, "finished already: " in answer.out) == (0, True)
    assert "its data cannot be compared: [Errno 13] Permission denied: " in answer.out


@pytest.mark.full
def test_data_that_are_gone_are_said(genreg: Genreg, tmp_path: Path) -> None:
    write_folder(tmp_path)
    for typed, gone in ((["dataset=table"], write_table(tmp_path) / "table.csv"),
                        (["dataset=image_folder", "dataset.size=8", "dataset.validation=5",
                          "dataset.test=5"], tmp_path / "pictures")):  # fmt: skip
        typed = ["train", *typed, f"data_dir={tmp_path}", "model.widths=[4]", *RUN]
        assert genreg(*typed).code == 0
        gone.rename(gone.with_name("elsewhere"))
        answer = genreg(*typed)
        assert (answer.code, "finished already: " in answer.out) == (0, True)
        assert f"its data cannot be compared: {gone} is not there" in answer.out
        gone.with_name("elsewhere").rename(gone)


@pytest.mark.full
@pytest.mark.parametrize("way", ["table", "image_folder", "encoder"], indirect=True)
def test_what_is_forgotten_or_touched_is_looked_at_once(
    way: Way, genreg: Genreg, tmp_path: Path, work: list[str]
) -> None:
    assert genreg("train", *way.typed).code == 0
    looked = {"table.csv": [1, 1], "pictures": [1, 1]}.get(
        way.name, [4, 1]
    )  # of an encoder its tokenizer too
    for times in looked:
        way.back()
        if times == looked[0]:
            shutil.rmtree(tmp_path / "cache" / "digests")
        work.clear()
        for _ in range(2):
            answer = genreg("train", *way.typed)
            assert "finished already: " in answer.out
            assert "other data" not in answer.out
        assert len(work) == times, work


def test_a_folder_without_checksums_is_silent(genreg: Genreg, tmp_path: Path) -> None:
    file = write_table(tmp_path) / "table.csv"
    typed = ["train", "dataset=table", f"data_dir={tmp_path}", "model.widths=[4]", *RUN]
    genreg(*typed)
    (folder,) = tmp_path.glob("outputs/*/*/seed=0")
    (start,) = RunFolder(folder).environments()
    labels_turned(file)
    for found in (None, {"table.csv": 3, "what": "nobody knows"}):
        (folder / "environment.json").write_text(json.dumps([start | {"data": found}]))
        assert genreg(*typed).out.startswith("finished already: ")
