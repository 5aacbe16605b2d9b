"""What the user's cache remembers of files: never of a file that could have changed since."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from genreg import download

OLD = -3600.0  # of SETTLED: files that were written just now count as settled


@pytest.fixture(autouse=True)
def hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are read to be hashed, with a cache of one's own."""
    done: list[Path] = []
    like = download.digest_like
    monkeypatch.setattr(download, "default_data_dir", lambda: tmp_path / "cache")
    monkeypatch.setattr(download, "digest_like", lambda path, text: done.append(path) or like(path, text))
    monkeypatch.setattr(download, "SETTLED", OLD)
    return done


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some.csv"
    path.write_text("a,b\n1,2\n")
    return path


def test_a_file_is_read_once(file: Path, hashed: list[Path]) -> None:
    assert download.of_file(file) == download.of_file(file) == download.sha256(file)
    assert download.of_file(file, "md5:0") == download.of_file(file, "md5:1")
    assert download.of_file(file, "md5:0") == download.digest_like(file, "md5:0")
    assert hashed == [file, file, file]  # by sha256, by md5, and by this test


def test_an_edit_that_keeps_size_and_time_is_seen(file: Path) -> None:
    before, times = download.of_file(file), file.stat()
    file.write_text("a,b\n1,3\n")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert file.stat().st_mtime_ns == times.st_mtime_ns
    assert download.of_file(file) == download.sha256(file) != before


def test_a_file_that_was_touched_just_now_is_not_remembered(
    file: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "SETTLED", 3600.0)
    for _ in range(3):
        download.of_file(file)
    assert hashed == [file] * 3


def test_what_was_written_while_it_was_read_is_not_remembered(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "SETTLED", 0.0)
    began = time.time()
    file.write_text("other")
    download.keep("sha256", file, "of before", began)
    assert download.recall("sha256", file) is None


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"stamp": 1}', "\0" * 50])
def test_a_damaged_memory_is_made_anew(file: Path, tmp_path: Path, hashed: list[Path], damage: str) -> None:
    expected = download.of_file(file)
    (memory,) = (tmp_path / "cache" / "digests").iterdir()
    memory.write_text(damage)
    assert [download.of_file(file), download.of_file(file)] == [expected] * 2
    assert len(hashed) == 2


def test_a_cache_that_cannot_be_written_costs_time_only(
    file: Path, tmp_path: Path, hashed: list[Path]
) -> None:
    (tmp_path / "cache").write_text("a file, where a folder is to be made")
    assert [download.of_file(file), download.of_file(file)] == [download.sha256(file)] * 2
    assert hashed == [file] * 2


def test_many_at_once(file: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(download.of_file, [file] * 64))
    assert found == {download.sha256(file)}
    assert [path.suffix for path in (tmp_path / "cache" / "digests").iterdir()] == [".json"]


def test_a_folder_is_known_by_all_that_lies_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "a").mkdir(parents=True)
    names = [folder / "a" / "1.png", folder / "a" / "2.png", folder / "3.png"]
    for name in names:
        name.write_bytes(b"1")
    changes = [lambda: names[0].write_bytes(b"2"), names[1].unlink, lambda: (folder / "4.png").touch(),
               lambda: names[2].rename(folder / "a" / "3.png")]  # fmt: skip
    for change in changes:
        download.keep("pictures", folder, "digest", time.time())
        assert download.recall("pictures", folder) == "digest"
        assert download.recall("other pictures", folder) is None
        change()
        assert download.recall("pictures", folder) is None
    (folder / "gone.png").symlink_to(tmp_path / "nowhere")
    download.keep("pictures", folder, "digest", time.time())
    assert download.recall("pictures", folder) == "digest"
