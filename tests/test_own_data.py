"""Data of one's own: where they are looked for, and the line that is said of what was read."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import Result

from genreg.dataset.arrays import classes, short
from genreg.download import find
from genreg.errors import InputError

GIVEN = ["dataset=table", "dataset.path=mine.csv", "logger=none", "steps=2", "device=cpu", "model.widths=[4]"]
LINE = "mine.csv: 30 rows, 1 column; classes a: 15, b: 15; labeled 18, pool 18, validation 6, test 6"


def table(folder: Path, words: str = "ab") -> Path:
    folder.mkdir(exist_ok=True)
    rows = [f"{i},{words[i % 2]}" for i in range(30)]
    (folder / "mine.csv").write_text("\n".join(["x,target", *rows]))
    return folder


def started(tmp_path: Path) -> list[str]:
    """What the last start of each run below recorded of its data."""
    files = sorted(tmp_path.rglob("environment.json"))
    return [json.loads(file.read_text())[-1]["dataset"] for file in files]


@pytest.mark.full
def test_the_line_is_said_and_kept(genreg: Callable[..., Result], tmp_path: Path) -> None:
    table(tmp_path)
    answer = genreg("train", *GIVEN)
    assert answer.code == 0, answer.err
    assert LINE in answer.out + answer.err
    assert started(tmp_path) == [LINE]
    quiet = genreg("train", *GIVEN, "steps=3", "quiet=true")
    assert LINE not in quiet.out + quiet.err
    assert started(tmp_path) == [LINE, LINE]


@pytest.mark.full
def test_the_shells_folder_comes_first(genreg: Callable[..., Result], tmp_path: Path) -> None:
    data = table(tmp_path / "data", "cd")
    assert genreg("train", *GIVEN, f"data_dir={data}").code == 0
    table(tmp_path)
    assert genreg("train", *GIVEN, f"data_dir={data}", "steps=3").code == 0
    assert sorted(started(tmp_path)) == [LINE, LINE.replace("a: 15, b: 15", "c: 15, d: 15")]
    answer = genreg("train", *GIVEN, f"data_dir={data}", "dataset.path=other.csv")
    said = f"an existing file in {tmp_path} (here) or {data} (data_dir), got 'no such file: other.csv'"
    assert answer.err == f"genreg: dataset.path: expected {said}\n"
    assert answer.code == 2


def test_what_is_found_is_of_the_right_kind(tmp_path: Path) -> None:
    assert find(str(tmp_path), Path("elsewhere"), "folder") == tmp_path
    with pytest.raises(InputError, match="expected an existing file, got 'a folder: "):
        find(str(tmp_path), Path("elsewhere"))
    (tmp_path / "pictures.zip").touch()
    with pytest.raises(InputError, match=r"an existing folder of pictures, got 'a file: .*zip"):
        find("pictures.zip", tmp_path, "folder")
    with pytest.raises(InputError, match=r"expected an existing file, got 'no such file: /nowhere/a\.csv'"):
        find("/nowhere/a.csv", tmp_path)


def test_many_classes_are_counted_and_long_labels_cut() -> None:
    counts = torch.arange(1, 101).tolist()
    said = classes([f"c{i}" for i in range(100)], counts)
    assert said.startswith("100 classes of 1 to 100 items (c0: 1, c1: 2, ")
    assert said.endswith("c7: 8, ...)")
    assert short("one\ntwo\x1b[2J") == "one two [2J"
    assert len(short("long " * 100)) == 40
