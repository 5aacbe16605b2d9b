"""A folder of one's own pictures: sizes, classes, broken files, the cache."""

import logging
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Result
from PIL import Image

from genreg.dataset import emoji32, image_folder
from genreg.dataset.picture import decode
from genreg.errors import InputError

MODULE = import_module("genreg.dataset.image_folder")  # the package exports the function of that name


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


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
    assert found.pixels.reshape(-1, 3).tolist() == [[0, 200, 0]] * 16


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    for mode, color, seen in (("RGBA", (0, 0, 0, 0), [255] * 3), ("RGBA", (10, 20, 30, 255), [10, 20, 30])):
        found = decode(save(tmp_path / "p.png", color, mode=mode), 1, 3)
        assert found.pixels[0, 0].tolist() == seen
    grey = decode(save(tmp_path / "g.png", (0, 0), mode="LA"), 1, 1)
    assert grey.pixels.tolist() == [[[255]]]


def test_broken_files_are_refused_or_listed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = folder(tmp_path)
    half = (data / "mine" / "zebra" / "0.png").read_bytes()[:50]
    (data / "mine" / "zebra" / "half.png").write_bytes(half)
    (data / "mine" / "zebra" / "text.jpg").write_text("no picture")
    save(data / "mine" / "zebra" / "float.tiff", 9.0, mode="F")
    for _ in range(2):  # decoded, and from the cache
        with pytest.raises(InputError, match=r"dataset\.path: .*3 broken: zebra/float\.tiff: mode F"):
            image_folder(data_dir=data, **OPTIONS)
    with caplog.at_level(logging.WARNING, "genreg"):
        dataset = image_folder(data_dir=data, broken="skip", **OPTIONS)
    assert len(dataset.unlabeled) == 13
    for name in ("zebra/float.tiff", "zebra/half.png", "zebra/text.jpg"):
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


def test_other_kinds_are_converted_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = folder(tmp_path)
    mine = data / "mine" / "zebra"
    deep = np.full((8, 8), 40_000, np.uint16)
    kinds = {
        save(mine / "grey.png", 7, mode="L"): [7] * 3,
        save(mine / "palette.gif", (255, 0, 0)): None,
        save(mine / "ink.jpg", (0, 0, 0, 255), mode="CMYK"): [0] * 3,
    }
    for name in ("deep.png", "deep.tiff"):
        Image.fromarray(deep).save(mine / name)
        kinds[mine / name] = [156] * 3  # 40,000 of 65,535 is 156 of 255
    for file, color in kinds.items():
        found = decode(file, 4, 3)
        assert not found.fault
        assert color is None or found.pixels.reshape(-1, 3).tolist() == [color] * 16
    assert decode(mine / "deep.png", 1, 1).pixels.tolist() == [[[156]]]
    for _ in range(2):  # decoded, and from the cache
        caplog.clear()
        with caplog.at_level(logging.WARNING, "genreg"):
            dataset = image_folder(data_dir=data, **OPTIONS)
        assert len(dataset.unlabeled) == 18
        assert [record.message for record in caplog.records] == [
            "dataset.path: converted to channels=3: 1 CMYK, 1 grey, 1 palette, 2 16-bit"
        ]


def test_of_several_frames_the_first_is_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = folder(tmp_path)
    frames = [Image.new("RGB", (6, 6), color) for color in ((255, 0, 0), (0, 255, 0))]
    for name in ("moving.webp", "moving.png", "moving.tiff"):
        options: dict[str, Any] = {"lossless": True} if name.endswith("webp") else {}
        frames[0].save(data / "mine" / "ant" / name, save_all=True, append_images=frames[1:], **options)
        found = decode(data / "mine" / "ant" / name, 1, 3)
        assert (found.pixels.tolist(), found.several_frames) == ([[[255, 0, 0]]], True)
    with caplog.at_level(logging.WARNING, "genreg"):
        image_folder(data_dir=data, **OPTIONS)
    assert "dataset.path: 3 pictures have several frames: the first is used" in caplog.text


def test_what_is_named_like_a_picture_is_passed_over(tmp_path: Path) -> None:
    data = folder(tmp_path)
    before = image_folder(data_dir=data, **OPTIONS)
    for name in ("__MACOSX/zebra/._0.png", "zebra/._0.png", ".thumbnails/0.png"):
        file = data / "mine" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"none")
    (data / "mine" / "album.png").mkdir()
    (data / "mine" / "ant" / "gone.png").symlink_to("nowhere.png")
    after = image_folder(data_dir=data, **OPTIONS)
    assert after.checksums == before.checksums
    left_out = after.told.split("; ")[1].removeprefix("left out ").split(", ")
    assert sorted(left_out) == ["1 .txt", "1 dead link", "1 in __MACOSX", "2 hidden"]


def test_classes_that_are_none_are_said(
    tmp_path: Path, genreg: Callable[..., Result], caplog: pytest.LogCaptureFixture
) -> None:
    data = folder(tmp_path)
    (data / "mine" / "empty").mkdir()
    save(data / "mine" / "zoo" / "a.png", (1, 2, 3))
    with caplog.at_level(logging.WARNING, "genreg"):
        found = [image_folder(data_dir=data, **{**OPTIONS, "test": n}) for n in range(1, 14)]
    assert "dataset.path: 1 subfolders without a picture are no classes: empty" in caplog.text
    assert "dataset.path: classes of which no picture fell to training: 1 of zoo" in caplog.text
    assert {dataset.classes for dataset in found} == {3}
    save(data / "mine" / "stray.png", (9, 9, 9))
    with caplog.at_level(logging.WARNING, "genreg"):
        assert image_folder(data_dir=data, **OPTIONS).classes == 0
    assert "no labels, as 1 of 22 pictures lie in no subfolder: stray.png" in caplog.text
    given = [
        "dataset=image_folder",
        "dataset.validation=2",
        "dataset.test=2",
        "dataset.size=6",
        "logger=none",
    ]
    answer = genreg("train", *given, f"dataset.path={data}")  # all under `mine`
    assert answer.err.endswith(
        "genreg: dataset: expected two classes or more for task=classify, got 'one class'\n"
    )


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


@pytest.mark.full
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
