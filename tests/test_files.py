"""Files that are whole or absent, and answers where nothing can be written or a file is no file."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import SMOKE, Result
from faults import DEAD, content, strike
from synthetic import write_run

from genreg import files

Genreg = Callable[..., Result]


@pytest.mark.parametrize("make", [files.write_atomic, files.write_folder])
def test_parts_of_dead_processes_are_cleared(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    dead, alive = (f"x.{files.HERE}-{pid}-1{files.UNFINISHED}" for pid in (DEAD, os.getppid()))
    other, old = (f"x.{host}-{DEAD}-1{files.UNFINISHED}" for host in ("elsewhere_1", "elsewhere_2"))
    (tmp_path / dead).mkdir()
    (tmp_path / dead / "half").touch()
    for name in (alive, other, old):
        (tmp_path / name).touch()
    os.utime(tmp_path / old, (0, 0))
    with make(tmp_path / "made"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"made", alive, other}


def test_two_threads_and_a_link(tmp_path: Path) -> None:
    """What another thread is writing stays, and a link goes on leading to its file."""
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with files.write_atomic(tmp_path / "other") as outer, files.write_atomic(tmp_path / "link") as inner:
        outer.write(b"1")
        inner.write(b"2")
    assert (tmp_path / "link").is_symlink()
    assert [(tmp_path / name).read_bytes() for name in ("other", "file")] == [b"1", b"2"]


def test_a_device_is_written_as_it_is(genreg: Genreg, tmp_path: Path) -> None:
    write_run(tmp_path / "runs/a/seed=0", 0.9)
    plain = genreg("report", "runs", "--format", "csv").out
    assert genreg("report", "runs", "--format", "csv", "--output", "/dev/stdout").out == plain
    assert genreg("report", "runs", "--format", "csv", "--output", "/dev/null").code == 0


NO_FILES = ("summary.json", "config.yaml", "environment.json", "metrics.jsonl", "replicas.npz")


@pytest.mark.parametrize("name", NO_FILES)
def test_a_pipe_in_the_place_of_a_file_holds_nothing(genreg: Genreg, tmp_path: Path, name: str) -> None:
    for seed in range(2):
        write_run(tmp_path / f"runs/a/seed={seed}", 0.9)
    path = tmp_path / "runs/a/seed=1" / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    for command in (["report", "runs"], ["ls", "runs"], ["show", "runs/a/seed=1"], ["sync", "runs/a/seed=1"]):
        answer = genreg(*command)
        assert "Traceback" not in answer.err
        assert len(answer.err.splitlines()) <= 1, answer


@pytest.mark.full
def test_a_finished_run_answers_where_nothing_can_be_written(
    genreg: Genreg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert genreg("train", *SMOKE, "logger=none").code == 0
    (run,) = tmp_path.glob("outputs/*/*/seed=0")
    (run / "curves.png").unlink()
    (run / "checkpoint-000000025-0.pt").touch()
    before = content(tmp_path)
    answer, struck = strike(monkeypatch, tmp_path, "EROFS", 1, lambda: genreg("train", *SMOKE, "logger=none"))
    assert answer.code == 0
    assert "finished already" in answer.out
    assert "curves.png is not drawn: " in answer.out
    assert os.strerror(30) in answer.out
    assert "Traceback" not in answer.out + answer.err
    assert content(tmp_path) == before
    assert struck.struck


def test_a_report_answers_where_nothing_can_be_written(
    genreg: Genreg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "runs/a/seed=0", 0.9)
    plain = genreg("report", "runs")
    (tmp_path / "runs/report.html").unlink()
    answer, _ = strike(monkeypatch, tmp_path, "EROFS", 1, lambda: genreg("report", "runs"))
    assert (answer.code, len(answer.err.splitlines())) == (0, 1)
    assert answer.out == plain.out.replace("page: runs/report.html\n", "")
    assert "report.html: Read-only file system" in answer.err
    for form in ("html", "csv"):  # there is no other answer
        given = ["report", "runs", "--format", form, "--output", "runs/x"]
        answer, _ = strike(monkeypatch, tmp_path, "EROFS", 1, lambda given=given: genreg(*given))
        assert (answer.code, len(answer.err.splitlines())) == (2, 1)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["data", "fetch", "mnist", "--url", "nothing"],
            "--url: expected an address, such as https://",
        ),
        (["data", "fetch", "mnist", "--data-dir", "/proc/x"], "/proc/x"),
        (["report", "runs", "--output", "/proc/x.html"], "--output: expected a file that can be written"),
        (["report", "/proc/x"], "FOLDER: expected a folder of runs"),
        (["ls", "/proc/x"], "/proc/x"),
        (["train", *SMOKE, "output_dir=/proc/x"], "output_dir: expected a folder that can be written"),
    ],
)
def test_an_error_names_path_and_cause_in_a_line(
    genreg: Genreg, tmp_path: Path, arguments: list[str], says: str
) -> None:
    write_run(tmp_path / "runs/a/seed=0", 0.9)
    answer = genreg(*arguments)
    assert answer.code in (1, 2), answer
    assert says in answer.err
    assert len(answer.err.splitlines()) == 1, answer
