"""What is kept of data is what was made of them: cut, exchanged, unfinished, or nowhere to be kept."""

import errno
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest
from PIL import Image

from genreg.dataset import cache, image_folder, texts
from genreg.dataset.texts import tokenizer
from genreg.dataset.zh_sentiment import read_texts
from genreg.dataset.zh_sentiment_ngram import cached_vectors, vectorize

Arrays = Mapping[str, np.ndarray]
Make = Callable[[], Arrays]
MADE = {"x": np.arange(12.0).reshape(6, 2), "y": np.arange(6)}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where genreg keeps things."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "genreg"


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The warnings since the last call."""
    caplog.set_level(logging.WARNING, "genreg")

    def messages() -> list[str]:
        found = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return found

    return messages


def kept(make: Make = lambda: MADE) -> Arrays:
    return cache.kept("things/abc", make)


def unasked() -> Arrays:
    pytest.fail("made anew")


def equal(a: Arrays, b: Arrays) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def turned(path: Path) -> None:
    """Turn the rows of every array round, in a file that is whole."""
    with np.load(path) as arrays:
        other = {name: np.flip(array) for name, array in arrays.items()}
    np.savez(path, **other)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def tokens(data_dir: Path) -> Arrays:
    lines = {"pool": ["good film", "bad film"], "test": ["a bad one", "film"]}
    return texts.cached(lines, tokenizer("words", lines["pool"], 1), 7)


def vectors(data_dir: Path) -> Arrays:
    texts = read_texts(data_dir / "zh_sentiment" / "sentiment.zip")
    few = {name: type(split)(split.texts[:60], split.y[:60]) for name, split in texts.items()}
    return cached_vectors(few, 5, "few")


def pictures(data_dir: Path) -> Arrays:
    at = Path(os.environ["XDG_CACHE_HOME"]) / "mine"
    if not at.exists():
        at.mkdir()
        for i in range(9):
            Image.new("RGB", (8, 8), (i, 0, 0)).save(at / f"{i}.png")
    dataset = image_folder(data_dir=at, path=str(at), size=4, validation=3, test=2)
    return {name: getattr(dataset, name).x.numpy() for name in ("validation", "test")}


@pytest.mark.every(9)
@pytest.mark.parametrize("damage", [cut, turned, empty])
@pytest.mark.parametrize("read", [tokens, vectors, pictures])
def test_a_damaged_file_is_made_again_with_one_warning(
    read: Callable[[Path], Arrays], damage: Callable[[Path], None], data_dir: Path, folder: Path,
    told: Callable[[], list[str]],
) -> None:  # fmt: skip
    first = read(data_dir)
    (path,) = folder.rglob("*.npz")
    assert told() == []
    damage(path)
    assert equal(read(data_dir), first)
    (said,) = told()
    assert str(path) in said
    assert "damaged" in said
    assert equal(read(data_dir), first)
    assert told() == []


def test_vectors_that_are_kept_are_those_that_are_made(data_dir: Path, folder: Path) -> None:
    texts = read_texts(data_dir / "zh_sentiment" / "sentiment.zip")
    few = {name: type(split)(split.texts[:60], split.y[:60]) for name, split in texts.items()}
    for _ in range(2):
        assert equal(vectors(data_dir), vectorize(few, 5))


def test_a_file_of_an_earlier_version_is_made_again_silently(
    folder: Path, told: Callable[[], list[str]]
) -> None:
    path = folder / "things" / "abc.npz"
    path.parent.mkdir(parents=True)
    np.savez(path, x=np.zeros(3))  # without a digest beside it
    assert equal(kept(), MADE)
    assert equal(kept(unasked), MADE)
    assert told() == []


def test_what_dead_processes_left_is_cleared(folder: Path) -> None:
    kept()
    left = [folder / "things" / name for name in ("abc.7.npz", "abc.npz.7.npz")]
    others = folder / "things" / "other.7.npz"  # whose process may live
    for path in (*left, others):
        path.write_bytes(b"half")
    kept(unasked)
    assert not any(path.exists() for path in left)
    assert others.exists()


def refuse(error: int) -> Callable[..., None]:
    def refusing(*_: Any, **__: Any) -> None:
        raise OSError(error, os.strerror(error))

    return refusing


def test_a_file_where_the_folder_should_be(folder: Path, told: Callable[[], list[str]]) -> None:
    folder.write_text("no folder")
    assert equal(kept(), MADE)
    (said,) = told()
    assert "cannot keep" in said
    assert folder.read_text() == "no folder"


@pytest.mark.parametrize("damaged", [False, True])
def test_a_folder_that_cannot_be_written(
    damaged: bool, folder: Path, told: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests may run as root, whom no mode stops: the lock's file is refused instead."""
    kept()
    if damaged:
        cut(folder / "things" / "abc.npz")
    monkeypatch.setattr(filelock.FileLock, "acquire", refuse(errno.EROFS))
    assert equal(kept((lambda: MADE) if damaged else unasked), MADE)
    assert len(told()) == damaged  # what is whole is read, and nothing said


@pytest.mark.parametrize("where", ["savez", "digest", "rename"])
def test_a_full_disk(
    where: str, folder: Path, told: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name = {"savez": (np, "savez"), "digest": (cache, "digest_beside"), "rename": (Path, "replace")}[
        where
    ]
    with monkeypatch.context() as full:
        full.setattr(owner, name, refuse(errno.ENOSPC))
        assert equal(kept(), MADE)
    (said,) = told()
    assert os.strerror(errno.ENOSPC) in said
    assert not list(folder.rglob("*.npz"))
    assert equal(kept(), MADE)
    assert equal(kept(unasked), MADE)
    assert told() == []


def test_what_cannot_be_read_is_computed(folder: Path, told: Callable[[], list[str]]) -> None:
    kept()
    path = folder / "things" / "abc.npz"
    path.unlink()
    path.mkdir()
    assert equal(kept(), MADE)
    assert len(told()) == 1


@pytest.mark.parametrize("usable", [True, False])
def test_an_error_of_what_makes_it_is_no_matter_of_the_cache(usable: bool, folder: Path) -> None:
    if not usable:
        folder.write_text("no folder")

    def failing() -> Arrays:
        raise FileNotFoundError("the texts are gone")

    with pytest.raises(FileNotFoundError, match="the texts are gone"):
        kept(failing)
    if usable:
        assert equal(kept(), MADE)


PROCESS = """
import sys, time, numpy as np
from pathlib import Path
from genreg.dataset import cache
def make():
    with Path(sys.argv[1]).open("a") as file:
        file.write("made\\n")
    time.sleep(0.5)
    return {"x": np.arange(200_000.0)}
assert cache.kept("things/abc", make)["x"].sum() == 199_999 * 100_000.0
"""


@pytest.mark.full
@pytest.mark.parametrize("damaged", [False, True])
def test_of_processes_at_once_one_makes_it(damaged: bool, folder: Path, tmp_path: Path) -> None:
    count = tmp_path / "count"
    command = [sys.executable, "-c", PROCESS, str(count)]
    if damaged:
        subprocess.run(command, check=True)
        turned(folder / "things" / "abc.npz")
        count.unlink()
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert count.read_text() == "made\n"
