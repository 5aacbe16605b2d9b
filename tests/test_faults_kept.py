"""A fault at every file operation of what lies beside runs: caches, digests, downloads, records, exports."""

import functools
import hashlib
import json
import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Result
from faults import EVERY, content, full, parts, points, strike
from test_download import PAYLOAD, CountingHandler, published

from genreg import download
from genreg.dataset import cache
from genreg.errors import GenregError, explained
from genreg.study import record

Genreg = Callable[..., Result]
CASES = [("EIO", 5), ("kill", 5), ("ENOSPC", 5), *full(EVERY)]
MADE = {"x": np.arange(12.0).reshape(6, 2), "y": np.arange(6)}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/genreg"


def kept(make: Callable[[], Any] = lambda: MADE) -> dict[str, np.ndarray]:
    return cache.kept("things/abc", make)


def unasked() -> Any:
    pytest.fail("made anew")


def in_a_line(action: Callable[[], Any]) -> Any:
    """What an action gives, or the error that a user sees."""
    try:
        return action()
    except Exception as error:
        failure = explained(error)
        assert len(str(failure).splitlines()) <= 2, failure
        return failure


@pytest.mark.parametrize(("kind", "every"), CASES)
@pytest.mark.parametrize("damaged", [False, True])
def test_a_cache(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, damaged: bool, kind: str,
    every: int,
) -> None:  # fmt: skip
    def begin() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        if damaged:
            kept()
            (folder / "things/abc.npz").write_bytes(b"half")
        caplog.clear()

    begin()
    _, faults = strike(monkeypatch, folder, "EIO", 0, kept)
    for at in points(faults.count, every, kind):
        begin()
        found, struck = strike(monkeypatch, folder, kind, at, kept)
        if found is not None:
            assert all(np.array_equal(found[name], MADE[name]) for name in MADE), struck.struck
        assert len(caplog.messages) <= 1
        assert kind != "EIO" or not parts(folder), struck.struck
        for make in (lambda: MADE, unasked):
            again = kept(make)
            assert all(np.array_equal(again[name], MADE[name]) for name in MADE), struck.struck
        assert {path.suffix for path in (folder / "things").iterdir()} <= {".npz", ".sha256", ".lock"}


@pytest.mark.parametrize(("kind", "every"), CASES)
def test_a_digest(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, every: int
) -> None:
    (tmp_path / "file").write_bytes(b"content")
    monkeypatch.setattr(download, "SETTLED", -1e9)  # a file of this moment is remembered too
    right = hashlib.sha256(b"content").hexdigest()
    find = functools.partial(download.of_file, tmp_path / "file")
    _, faults = strike(monkeypatch, tmp_path, "EIO", 0, find)
    for at in points(faults.count, every, kind):
        shutil.rmtree(folder, ignore_errors=True)
        found, struck = strike(monkeypatch, tmp_path, kind, at, lambda: in_a_line(find))
        assert found in (None, right) or isinstance(found, GenregError), struck.struck
        assert [find(), find()] == [right, right]
        (remembered,) = (path for path in folder.rglob("*") if path.is_file())
        assert json.loads(remembered.read_bytes())["digest"] == right


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "server").mkdir()
    (tmp_path / "server/set.gz").write_bytes(PAYLOAD)
    CountingHandler.requests, CountingHandler.failures = [], 0
    http = HTTPServer(
        ("127.0.0.1", 0), functools.partial(CountingHandler, directory=str(tmp_path / "server"))
    )
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}/"
    http.shutdown()


@pytest.mark.parametrize(("kind", "every"), CASES)
def test_a_download(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, every: int
) -> None:
    source, folder = published(server), tmp_path / "data"
    fetch = functools.partial(download.fetch, source, folder)
    _, faults = strike(monkeypatch, folder, "EIO", 0, fetch)
    for at in points(faults.count, every, kind):
        shutil.rmtree(folder, ignore_errors=True)
        found, struck = strike(monkeypatch, folder, kind, at, lambda: in_a_line(fetch))
        path = folder / "set/set.gz"
        assert not path.exists() or path.read_bytes() == PAYLOAD, struck.struck
        assert found in (None, [path]) or isinstance(found, GenregError)
        assert fetch() == [path]
        assert {p.name for p in folder.rglob("*")} == {"set", "set.gz"}, struck.struck


# A sweep's record.

STUDY = {"sweep": "demo", "command": "genreg train sweep=demo", "question": "Is it so?", "parts": [{
    "name": "p", "baseline": "none", "metric": "test/accuracy", "mode": None, "select": "validation/accuracy",
    "seeds": [0, 1], "looks": [5, 7], "planned": False,
    "arms": [{"name": "none", "folder": "none", "values": {}, "command": "genreg train seed=N"}],
}]}  # fmt: skip


@pytest.mark.parametrize(("kind", "every"), CASES)
def test_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, every: int) -> None:
    """It is as it was, or as it is to be; looks that were taken by hand are not forgotten."""
    root, path = tmp_path / "study", tmp_path / "study" / record.FILE
    root.mkdir()
    path.write_text(json.dumps(STUDY))
    record.write(record.read(path))
    before, study = path.read_bytes(), record.read(path)
    study.parts[0].seeds = (0, 1, 2)

    def write() -> Any:
        record.seen_before(root)
        record.write(study)
        return record.read(path).parts[0].seeds

    _, faults = strike(monkeypatch, root, "EIO", 0, write)
    after = path.read_bytes()
    assert before != after
    for at in points(faults.count, every, kind):
        path.write_bytes(before)
        found, struck = strike(monkeypatch, root, kind, at, lambda: in_a_line(write))
        assert path.read_bytes() in (before, after), struck.struck
        assert found in (None, (0, 1, 2)) or isinstance(found, GenregError)
        assert write() == (0, 1, 2)
        assert content(root) == {record.FILE: after}


# An export.


@pytest.fixture
def bert(genreg: Genreg, tmp_path: Path) -> Path:
    """A run of a small encoder on 60 texts."""
    lines = [json.dumps({"text": f"word{k % 7} word{k % 5}", "label": k % 2}) for k in range(60)]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines))
    made = genreg(
        "train", "task=pretrain", "dataset=text_csv", f"dataset.path={tmp_path / 'texts.jsonl'}", "steps=2",
        "model=bert", "model.width=16", "model.heads=2", "model.layers=2", "dataset.tokenizer=words",
        "dataset.min_count=1", "logger=none", "device=cpu", "dataset.text=text", "dataset.label=label",
    )  # fmt: skip
    assert made.code == 0, made
    (run,) = tmp_path.glob("outputs/*/*/seed=0")
    return run


@pytest.mark.parametrize(("kind", "every"), full({"EIO": 1, "kill": 2, "ENOSPC": 3}))
def test_an_export(
    genreg: Genreg, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, every: int
) -> None:
    """Of 26 strikes eight left a half folder, which the next export refused."""
    logging.getLogger("transformers").setLevel("ERROR")
    out = tmp_path / "given/out"
    export = functools.partial(genreg, "export", str(bert), str(out))
    _, faults = strike(monkeypatch, out.parent, "EIO", 0, export)
    whole = content(out)
    refused = genreg("export", str(bert), "/proc/x")
    assert (refused.code, "/proc/x: No such file or directory" in refused.err) == (2, True)
    assert whole.keys() >= {"config.json", "model.safetensors", "tokenizer.json"}
    for at in points(faults.count, every, kind):
        shutil.rmtree(out.parent, ignore_errors=True)
        answer, struck = strike(monkeypatch, out.parent, kind, at, export)
        assert not out.exists() or content(out) == whole, struck.struck
        if answer and answer.code:
            assert len([line for line in answer.err.splitlines() if line.startswith("genreg: ")]) == 1, answer
            assert "Traceback" not in answer.err
        if not out.exists():
            assert export().code == 0
        assert content(out) == whole, struck.struck
        assert kind == "kill" or not parts(out.parent)
