"""Checkpoints and rows that were cut short, flipped or never finished."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from genreg.download import write_atomic
from genreg.errors import FolderInUseError
from genreg.run import checkpoint, holder
from genreg.run.folder import RunFolder
from genreg.run.rows import RowFile


def saved(folder: Path) -> list[Path]:
    for step in (10, 20, 30):
        checkpoint.save(folder, step, {"step": step, "w": torch.full((1000,), float(step))})
    return sorted(folder.glob("checkpoint-*.pt"))


def newest_step(folder: Path) -> int | None:
    _, state = next(checkpoint.valid(folder), (None, None))
    if state is None:
        return None
    assert (state["w"] == state["step"]).all()
    return state["step"]


def test_the_two_newest_are_kept(tmp_path: Path) -> None:
    assert [path.name.split("-")[1] for path in saved(tmp_path)] == ["000000020", "000000030"]
    assert newest_step(tmp_path) == 30
    assert newest_step(tmp_path / "elsewhere") is None


@pytest.mark.parametrize("keep", [0, 1, 100, -1])
def test_cut_short_the_one_before_is_used(tmp_path: Path, keep: int) -> None:
    newest = saved(tmp_path)[-1]
    newest.write_bytes(newest.read_bytes()[:keep])
    assert newest_step(tmp_path) == 20
    assert not newest.exists()


def test_any_flipped_byte_is_noticed(tmp_path: Path) -> None:
    newest = saved(tmp_path)[-1]
    payload = newest.read_bytes()
    for position in range(0, len(payload), len(payload) // 20):
        flipped = bytearray(payload)
        flipped[position] ^= 4
        newest.write_bytes(flipped)
        assert newest_step(tmp_path) == 20


def test_all_damaged_starts_again(tmp_path: Path) -> None:
    for path in saved(tmp_path):
        path.write_bytes(b"")
    assert newest_step(tmp_path) is None
    assert not list(tmp_path.glob("checkpoint-*"))


def test_a_failed_write_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    before = saved(tmp_path)
    with pytest.raises(TypeError, match="bytes"), write_atomic(before[-1]) as file:
        file.write("half")
    assert sorted(tmp_path.iterdir()) == before
    (tmp_path / "checkpoint-000000040-0.pt.unfinished").write_bytes(b"half")
    assert newest_step(tmp_path) == 30
    assert sorted(tmp_path.glob("checkpoint-*.pt")) == before
    RunFolder(tmp_path).drop_checkpoints()
    assert not list(tmp_path.iterdir())


def test_rows_are_cut_back_to_the_checkpoint(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    rows = RowFile(tmp_path / "metrics.jsonl")
    rows.append({"step": 1, "a": 0.1})
    size = rows.sync()
    rows.append({"step": 2, "a": 0.2})
    rows.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "a"')  # a kill in the middle of a write
    assert [row["step"] for row in folder.rows()] == [1, 2]
    resumed = RowFile(tmp_path / "metrics.jsonl", size)
    resumed.append({"step": 2, "a": 0.25})
    resumed.close()
    assert folder.rows() == [{"step": 1, "a": 0.1}, {"step": 2, "a": 0.25}]


def test_a_damaged_summary_is_no_summary(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_summary({"status": "done"})
    assert folder.summary() == {"status": "done"}
    (left := tmp_path / "summary.json.7-7.unfinished").write_bytes(b"half")
    with folder.lock():
        assert not left.exists()
    (tmp_path / "summary.json").write_text('{"status": "do')
    assert folder.summary() == {}


def test_every_start_is_kept(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.add_environment({"torch": "1"})
    folder.add_environment({"torch": "2"})
    assert json.loads((tmp_path / "environment.json").read_text()) == [{"torch": "1"}, {"torch": "2"}]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.lock(), pytest.raises(FolderInUseError, match="in use by another process"), folder.lock():
        pass
    with folder.lock():
        pass


@pytest.mark.parametrize(("changed", "words"), [
    ({}, r"in use by another process, PROCESS on .* since .*; wait for it to end, or stop it"),
    ({"host": "b", "here": "b"}, r"on b since .*, which wrote last 5 minutes ago; .*if b is down, delete"),
    ({"process": 2**22 + 1}, r"which has ended, but its file system holds the lock; delete .*/\.lock"),
    ({"boot": "before"}, r"which has ended, but its file system holds the lock"),
], ids=str)  # fmt: skip
def test_a_folder_in_use_says_by_whom_and_how_to_free_it(
    changed: dict[str, Any], words: str, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.lock():
        told = tmp_path / "run" / holder.FILE
        told.write_text(json.dumps({**json.loads(told.read_text()), **changed}))
        os.utime(told, (time.time() - 300, time.time() - 300))
        with pytest.raises(FolderInUseError, match=words.replace("PROCESS", str(os.getpid()))), folder.lock():
            pass
    assert not told.exists()
