"""A folder of one's own pictures: sizes, classes, broken files, the cache."""

import logging
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from genreg.dataset import emoji32, image_folder
from genreg.dataset.image_folder import decode
from genreg.errors import InputError

MODULE = import_module("genreg.dataset.image_folder")  # the package exports the function of that name


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "default_data_dir", lambda: tmp_path / "cache")


def save(path: Path, color: Any, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path)
    return path


def folder(tmp_path: Path) -> Path:
    """Ten pictures of each of two colours in two subfolders, one of which has subfolders of its own."""
    for i in range(10):
        save(tmp_path / "data" / "mine" / "zebra" / f"{i}.png", (i, 0, 0), size=(20 + i, 9))
        save(tmp_path / "data" / "mine" / "ant" / str(i % 2) / f"{i}.PNG", (0, 0, 100 + i), size=(5, 7 + i))
    (tmp_path / "data" / "mine" / "notes.txt").write_text("no picture")
    return tmp_path / "data"


OPTIONS: dict[str, Any] = {"path": "mine", "size": 6, "validation": 4, "test": 3}


def test_every_picture_lands_in_one_split_with_the_class_of_its_subfolder(tmp_path: Path) -> None:
    dataset = image_folder(data_dir=folder(tmp_path), **OPTIONS)
    assert [len(dataset.unlabeled), len(dataset.validation), len(dataset.test)] == [13, 4, 3]
    assert (dataset.input_shape, dataset.classes) == ([3, 6, 6], 2)
    x = torch.cat((dataset.labeled.x, dataset.validation.x, dataset.test.x))
    y = torch.cat((dataset.labeled.y, dataset.validation.y, dataset.test.y))
    flat = (x * 255).round().flatten(2)
    assert torch.equal(flat.amin(2), flat.amax(2))  # every picture has one colour, and keeps it
    colours = {tuple(map(int, row)) for row in flat[:, :, 0].tolist()}
    assert colours == {(i, 0, 0) for i in range(10)} | {(0, 0, 100 + i) for i in range(10)}
    assert torch.equal(y, (flat[:, 2, 0] < 50).long())  # ant before zebra
    again = image_folder(data_dir=tmp_path / "data", seed=7, **OPTIONS)
    assert torch.equal(again.test.x, dataset.test.x)


def test_some_labels_and_none(tmp_path: Path) -> None:
    data = folder(tmp_path)
    assert image_folder(data_dir=data, labeled=4, **OPTIONS).labeled.y.bincount().tolist() == [2, 2]
    save(data / "mine" / "stray.png", (9, 9, 9))
    dataset = image_folder(data_dir=data, **OPTIONS)
    assert (dataset.classes, len(dataset.labeled), len(dataset.unlabeled)) == (0, 0, 14)
    with pytest.raises(InputError, match=r"dataset\.labeled: expected null where no subfolders"):
        image_folder(data_dir=data, labeled=4, **OPTIONS)


def test_the_middle_square_is_resized(tmp_path: Path) -> None:
    """Left and right quarters are red: of the middle square nothing is."""
    wide = np.zeros((10, 20, 3), np.uint8)
    wide[:, 5:15] = (0, 200, 0)
    wide[:, :5] = wide[:, 15:] = (200, 0, 0)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    found = decode(tmp_path / "wide.png", 4, 3)
    assert not isinstance(found, str)
    assert found.reshape(-1, 3).tolist() == [[0, 200, 0]] * 16


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    for mode, color, seen in (("RGBA", (0, 0, 0, 0), [255] * 3), ("RGBA", (10, 20, 30, 255), [10, 20, 30])):
        found = decode(save(tmp_path / "p.png", color, mode=mode), 1, 3)
        assert not isinstance(found, str)
        assert found[0, 0].tolist() == seen
    grey = decode(save(tmp_path / "g.png", (0, 0), mode="LA"), 1, 1)
    assert not isinstance(grey, str)
    assert grey.tolist() == [[[255]]]


def test_broken_files_are_refused_or_listed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = folder(tmp_path)
    half = (data / "mine" / "zebra" / "0.png").read_bytes()[:50]
    (data / "mine" / "zebra" / "half.png").write_bytes(half)
    (data / "mine" / "zebra" / "text.jpg").write_text("no picture")
    save(data / "mine" / "zebra" / "grey.png", 9, mode="L")
    for _ in range(2):  # decoded, and from the cache
        with pytest.raises(InputError, match=r"dataset\.path: .*3 broken: zebra/grey\.png: mode L"):
            image_folder(data_dir=data, **OPTIONS)
    with caplog.at_level(logging.WARNING, "genreg"):
        dataset = image_folder(data_dir=data, broken="skip", **OPTIONS)
    assert len(dataset.unlabeled) == 13
    for name in ("zebra/grey.png", "zebra/half.png", "zebra/text.jpg"):
        assert name in caplog.text
    with pytest.raises(InputError, match=r"20 broken: .*mode RGB where channels=1"):
        image_folder(data_dir=folder(tmp_path / "colour"), channels=1, **OPTIONS)


def test_decoded_once_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = folder(tmp_path)
    calls: list[Path] = []

    def counted(file: Path, *more: Any) -> Any:
        calls.append(file)
        return decode(file, *more)

    monkeypatch.setattr(MODULE, "decode", counted)
    first = image_folder(data_dir=data, **OPTIONS)
    assert torch.equal(image_folder(data_dir=data, **OPTIONS).unlabeled, first.unlabeled)
    assert len(calls) == 20
    assert image_folder(data_dir=data, **{**OPTIONS, "size": 5}).input_shape == [3, 5, 5]
    save(data / "mine" / "zebra" / "3.png", (77, 0, 0), size=(40, 40))
    changed = image_folder(data_dir=data, **OPTIONS)
    assert len(calls) == 60
    assert changed.checksums != first.checksums


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"path": "nowhere"}, "an existing folder of pictures"),
        ({"path": "empty"}, r"a folder with pictures \(\.bmp"),
        ({"validation": 10, "test": 10}, r"more than 10 \+ 10 pictures .*got '20 in "),
    ],
)
def test_folders_of_no_use(tmp_path: Path, options: dict[str, Any], says: str) -> None:
    data = folder(tmp_path)
    (data / "empty").mkdir()
    with pytest.raises(InputError, match=rf"dataset\.path: expected {says}"):
        image_folder(data_dir=data, **{**OPTIONS, **options})


def test_emoji(data_dir: Path) -> None:
    dataset = emoji32(data_dir=data_dir)
    assert [len(dataset.unlabeled), len(dataset.validation), len(dataset.test)] == [2583, 500, 500]
    assert (dataset.input_shape, dataset.classes) == ([3, 32, 32], 0)
    whole = torch.cat((dataset.unlabeled, dataset.validation.x, dataset.test.x))
    with np.load(data_dir / "emoji32" / "noto_emoji_32x32_rgb.npz") as arrays:
        total = arrays["images"].sum(dtype=np.int64)
    assert (whole * 255).double().sum().round().item() == pytest.approx(total, rel=1e-7)
    pool = {row.numpy().tobytes() for row in dataset.unlabeled}
    assert dataset.test.clean.tolist() == [row.numpy().tobytes() not in pool for row in dataset.test.x]
    large = emoji32(data_dir=data_dir, size=64)
    assert large.input_shape == [3, 64, 64]
    smaller = torch.nn.functional.avg_pool2d(large.test.x, 2)
    assert (smaller - dataset.test.x).abs().mean() < 0.02
