"""Folders of one's own pictures: which files are read, and what their folders say of split and class."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from genreg import download
from genreg.dataset import Dataset, image_folder
from genreg.errors import InputError

OPTIONS: dict[str, Any] = {"path": "mine", "size": 4, "validation": 2, "test": 3}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "default_data_dir", lambda: tmp_path / "cache")


def save(folder: Path, n: int, first: int = 0, suffix: str = ".png") -> None:
    """Pictures, each of a red of its own, whose number is its name."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + n):
        Image.new("RGB", (5, 5), (i, 0, 0)).save(
            folder / f"{i}{suffix}", "JPEG" if suffix == ".jfif" else None
        )


def made(tmp_path: Path, **options: Any) -> Dataset:
    return image_folder(data_dir=tmp_path, **{**OPTIONS, **options})


def reds(x: Any) -> list[int]:
    return sorted((x[:, 0, 0, 0] * 255).round().int().tolist())


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "validation", "Testing")])
def test_folders_of_splits(tmp_path: Path, names: tuple[str, str, str]) -> None:
    for i, name in enumerate(names):
        save(tmp_path / "mine" / name / "cat", 10, 40 * i)
        save(tmp_path / "mine" / name / "dog", 5, 40 * i + 20)
    save(tmp_path / "mine", 1, 200)
    dataset = made(tmp_path)
    assert dataset.told == (
        "mine: 45 pictures; left out 1 in no folder of a split; classes cat: 30, dog: 15; "
        "labeled 15, pool 15, validation 15, test 15"
    )
    for i, x in enumerate((dataset.unlabeled, dataset.validation.x, dataset.test.x)):
        assert reds(x) == [40 * i + k for k in (*range(10), *range(20, 25))]
    assert reds(dataset.test.x[dataset.test.y == 0]) == list(range(80, 90))
    assert made(tmp_path, labeled=4).labeled.y.bincount().tolist() == [2, 2]


def test_a_picture_in_another_split_is_other_data(tmp_path: Path) -> None:
    """Also where neither the order of the pictures nor a class changes by that."""
    mine = tmp_path / "mine"
    for place, first in (("test/cat", 0), ("train/cat", 10), ("train/dog", 20), ("val/dog", 30)):
        save(mine / place, 4, first)
    before = made(tmp_path).checksums
    (mine / "val" / "dog" / "30.png").rename(mine / "train" / "dog" / "30.png")
    after = made(tmp_path).checksums
    assert {name for name in before if before[name] != after[name]} == {"splits"}


def test_splits_without_a_folder_are_drawn_from_training(tmp_path: Path) -> None:
    save(tmp_path / "mine" / "train" / "cat", 10)
    save(tmp_path / "mine" / "train" / "dog", 10, 10)
    save(tmp_path / "mine" / "val" / "cat", 4, 100)
    save(tmp_path / "mine" / "unlabeled", 6, 200)
    dataset = made(tmp_path)
    assert dataset.items == {"labeled": 17, "unlabeled": 23, "validation": 4, "test": 3}
    assert reds(dataset.validation.x) == [100, 101, 102, 103]
    assert sorted(reds(dataset.labeled.x) + reds(dataset.test.x)) == list(range(20))
    assert reds(dataset.unlabeled)[-6:] == list(range(200, 206))


def test_classes_beside_a_folder_without_labels(tmp_path: Path) -> None:
    save(tmp_path / "mine" / "cat", 10)
    save(tmp_path / "mine" / "train", 10, 10)  # a vehicle
    save(tmp_path / "mine" / "unlabeled", 6, 200)
    told = made(tmp_path).told
    assert told == "mine: 26 pictures; classes cat: 10, train: 10; labeled 15, pool 21, validation 2, test 3"


def test_folders_of_splits_without_classes(tmp_path: Path) -> None:
    for i, name in enumerate(("train", "test")):
        save(tmp_path / "mine" / name, 10, 20 * i)
    dataset = made(tmp_path)
    assert dataset.told == "mine: 20 pictures; no classes; labeled 0, pool 8, validation 2, test 10"
    assert reds(dataset.test.x) == list(range(20, 30))


@pytest.mark.parametrize(("others", "says"), [(["train", "test", "cat"], "alone, or of classes: move cat"),
                                              (["val", "test"], "a folder train beside")])  # fmt: skip
def test_folders_that_leave_open_what_they_are(tmp_path: Path, others: list[str], says: str) -> None:
    for name in others:
        save(tmp_path / "mine" / name, 3)
    with pytest.raises(InputError, match=rf"^dataset\.path: expected .*{says}"):
        made(tmp_path)


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    save(tmp_path / "mine" / "cat", 10)
    save(tmp_path / "elsewhere", 30, 100)
    (tmp_path / "mine" / "dog").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "mine" / "cat" / "up").symlink_to(tmp_path / "mine")
    (tmp_path / "elsewhere" / "again").symlink_to(tmp_path / "elsewhere")
    told = made(tmp_path).told
    assert told.startswith("mine: 40 pictures; left out 2 link back; classes cat: 10, dog: 30; ")


def test_files_of_other_kinds_are_counted(tmp_path: Path) -> None:
    save(tmp_path / "mine" / "cat", 10)
    save(tmp_path / "mine" / "dog", 10, 20, ".jfif")
    for name in ("cat/a.heic", "dog/b.HEIC", "dog/notes", "dog/Thumbs.db", "cat/.DS_Store"):
        (tmp_path / "mine" / name).write_bytes(b"none")
    told = made(tmp_path).told
    assert told.startswith("mine: 20 pictures; left out ")
    left_out = told.split("; ")[1].removeprefix("left out ").split(", ")
    assert sorted(left_out) == ["1 .db", "1 hidden", "1 without a suffix", "2 .heic"]
    for file in (tmp_path / "mine").rglob("*.*"):
        file.rename(file.with_suffix(".heic"))
    with pytest.raises(InputError, match=r"a folder with pictures .* with 23 \.heic, 1 without"):
        made(tmp_path)
