"""The real download code against a server on this machine."""

import functools
import gzip
import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest
from conftest import Result

from genreg import download
from genreg.errors import GenregError, InputError

PAYLOAD = gzip.compress(b"pictures" * 1000)


class CountingHandler(SimpleHTTPRequestHandler):
    requests: list[str] = []  # noqa: RUF012
    failures = 0

    def do_GET(self) -> None:
        self.requests.append(self.path)
        if len(self.requests) <= CountingHandler.failures:
            self.send_error(503)
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / "set.gz").write_bytes(PAYLOAD)
    CountingHandler.requests, CountingHandler.failures = [], 0
    http = HTTPServer(("127.0.0.1", 0), functools.partial(CountingHandler, directory=str(folder)))
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}/"
    http.shutdown()


def published(url: str, digest: str | None = None) -> download.Source:
    digest = digest or hashlib.sha256(PAYLOAD).hexdigest()
    return download.Source("set", 0.1, "none", url, {"set.gz": digest})


def test_fetched_once_and_verified(server: str, tmp_path: Path) -> None:
    source = published(server)
    assert download.state(source, tmp_path) == "missing"
    (path,) = download.fetch(source, tmp_path)
    assert path.read_bytes() == PAYLOAD
    assert download.state(source, tmp_path) == "present"
    download.fetch(source, tmp_path)
    assert CountingHandler.requests == ["/set.gz"]


def test_a_failing_server_is_asked_again(server: str, tmp_path: Path) -> None:
    CountingHandler.failures = 1
    (path,) = download.fetch(published(server), tmp_path)
    assert path.read_bytes() == PAYLOAD
    assert len(CountingHandler.requests) == 2


def test_a_wrong_download_is_not_kept(server: str, tmp_path: Path) -> None:
    with pytest.raises(GenregError, match="does not have sha256 " + "0" * 64):
        download.fetch(published(server, "0" * 64), tmp_path)
    assert not (tmp_path / "set" / "set.gz").exists()


def test_what_has_no_download_has_to_be_put_there(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"noto_emoji_32x32_rgb\.npz: .* no download: put it there, sha256 5e78"
    ):
        download.fetch(download.source("emoji32"), tmp_path)


def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(GenregError, match=r"(?s)cannot download http://127.0.0.1:9/set.gz.*GENREG_DATA"):
        download.fetch(published("http://127.0.0.1:9/"), tmp_path)


def test_a_damaged_file_names_both_hashes_and_the_remedy(server: str, tmp_path: Path) -> None:
    source = published(server)
    (path,) = download.fetch(source, tmp_path)
    path.write_bytes(PAYLOAD[:-1] + bytes([PAYLOAD[-1] ^ 1]))
    assert download.state(source, tmp_path) == "damaged"
    with pytest.raises(InputError) as caught:
        download.fetch(source, tmp_path)
    for part in (
        str(path),
        download.sha256(path),
        source.files["set.gz"],
        "delete it",
        "genreg data fetch set",
    ):
        assert part in str(caught.value)
    assert len(CountingHandler.requests) == 1


def test_verbs(genreg: Callable[..., Result], data_dir: Path, tmp_path: Path) -> None:
    listed = genreg("data", "list", "--data-dir", str(data_dir))
    assert listed.code == 0
    assert listed.out.count("present") + listed.out.count("missing") == len(download.SOURCES)
    assert "missing" in genreg("data", "list", "--data-dir", str(tmp_path)).out
    assert genreg("data", "verify", "--data-dir", str(data_dir)).out.count("ok ") == 12
    assert str(data_dir) in genreg("data", "fetch", "zh_sentiment", "--data-dir", str(data_dir)).out
    assert "rt-polarity.neg" in genreg("data", "fetch", "rt_polarity", "--data-dir", str(data_dir)).out
    wrong = genreg("data", "fetch", "mnits", "--data-dir", str(tmp_path))
    assert wrong.code == 2
    assert "nearest: mnist" in wrong.err


def test_verify_finds_a_flipped_byte(genreg: Callable[..., Result], data_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "data" / "zh_sentiment" / "sentiment.zip"
    copy.parent.mkdir(parents=True)
    raw = bytearray((data_dir / "zh_sentiment" / "sentiment.zip").read_bytes())
    raw[1000] ^= 1
    copy.write_bytes(raw)
    answer = genreg("data", "verify", "--data-dir", str(tmp_path / "data"))
    assert answer.code == 2
    assert "866256a80e" in answer.err
    assert "damaged" in genreg("data", "list", "--data-dir", str(tmp_path / "data")).out
