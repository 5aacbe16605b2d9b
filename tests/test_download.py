"""The real download code against a server on this machine."""

import functools
import gzip
import hashlib
import re
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest
import yaml
from conftest import Result, yaml_options

from genreg import CONFIGS, download
from genreg.dataset.emoji32 import SOURCE
from genreg.errors import GenregError, InputError
from genreg.run.factory import find_target
from genreg.run.sources import source_of

PAYLOAD = gzip.compress(b"pictures" * 1000)


class CountingHandler(SimpleHTTPRequestHandler):
    requests: list[str] = []  # noqa: RUF012
    failures = 0

    def do_GET(self) -> None:
        self.requests.append(self.path)
        if self.path.startswith("/elsewhere/"):
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
        elif len(self.requests) <= CountingHandler.failures:
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


@pytest.mark.parametrize("url", ["{server}elsewhere/", "file:///etc/", "nothing", "ftp:/x", ""])
def test_a_place_that_is_none_of_the_web(server: str, tmp_path: Path, url: str) -> None:
    """Among them one to which a server leads."""
    expected = r"^(cannot download .*set\.gz: |--url: expected an address)"
    with pytest.raises(GenregError, match=expected) as caught:
        download.fetch(published(url.format(server=server)), tmp_path)
    assert len(str(caught.value).splitlines()) <= 2
    assert not list(tmp_path.rglob("hostname"))


def test_a_wrong_download_is_not_kept(server: str, tmp_path: Path) -> None:
    with pytest.raises(GenregError, match="does not have sha256 " + "0" * 64):
        download.fetch(published(server, "0" * 64), tmp_path)
    assert not (tmp_path / "set" / "set.gz").exists()


def test_what_has_no_download_has_to_be_put_there(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"noto_emoji_32x32_rgb\.npz: .* no download: put it there, sha256 5e78"
    ):
        download.fetch(SOURCE, tmp_path)


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
    assert sorted(names(listed)) == yaml_options("dataset")
    assert "missing" in genreg("data", "list", "--data-dir", str(tmp_path)).out
    assert genreg("data", "verify", "--data-dir", str(data_dir)).out.count("ok ") == 12
    assert str(data_dir) in genreg("data", "fetch", "zh_sentiment", "--data-dir", str(data_dir)).out
    assert "rt-polarity.neg" in genreg("data", "fetch", "rt_polarity", "--data-dir", str(data_dir)).out
    wrong = genreg("data", "fetch", "mnits", "--data-dir", str(tmp_path))
    assert wrong.code == 2
    assert "nearest: mnist" in wrong.err


def names(listed: Result) -> list[str]:
    """The first column of a table, whose cells may go on in the next line."""
    rows = [line.split("│")[1:] for line in listed.out.splitlines() if line.startswith("│")]
    whole: list[str] = []
    for name, _, _, state, *_ in rows:
        new = state.strip().startswith(("present", "missing", "damaged", "nothing"))
        whole = [*whole, name.strip()] if new else [*whole[:-1], whole[-1] + name.strip()]
    return whole


@pytest.mark.parametrize("name", ["diabetes", "two_moons", "digits", "table", "none"])
def test_what_has_no_files(genreg: Callable[..., Result], tmp_path: Path, name: str) -> None:
    """Bundled, generated and one's own, also from a loader that declares nothing."""
    answer = genreg("data", "fetch", name, "--data-dir", str(tmp_path / "data"))
    assert (answer.code, answer.err) == (0, "")
    assert re.fullmatch(rf"{name}: .+, nothing to fetch\n", answer.out)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("option", [name for name in yaml_options("dataset") if name != "none"])
def test_what_is_read_of_a_loader_is_what_it_has(option: str) -> None:
    """Its text, read without an import, against the module that Python makes of it."""
    node = yaml.safe_load((CONFIGS / "dataset" / f"{option}.yaml").read_text())
    module = sys.modules[find_target(node, "dataset").__module__]
    declared = [getattr(module, "SOURCE", None), *getattr(module, "SOURCES", ())]
    found = source_of(node)
    assert found in declared
    assert found.name == option.removesuffix("_ngram")


RINGS = """
import torch
from genreg.download import Source

SOURCES = (
    Source("moons", 0.5, "none", "generated"),
    Source("rings", 1.5, "CC0", "{url}", {{"set.gz": "{digest}"}}),
)
raise ImportError("nothing of it is run")
"""


@pytest.fixture
def mine(server: str, tmp_path: Path) -> Path:
    """A folder with a loader of rings, handed on by its package, and with two options of it."""
    folder = tmp_path / "mine"
    for name in ("dataset", "my_sets"):
        (folder / name).mkdir(parents=True)
    source = published(server)
    text = RINGS.format(url=source.url, digest=source.files["set.gz"])
    (folder / "my_sets" / "loader.py").write_text(text)
    (folder / "my_sets" / "__init__.py").write_text("from .loader import rings as rings\n")
    (folder / "dataset" / "rings.yaml").write_text("_target_: my_sets.rings\nnoise: 0\n")
    (folder / "dataset" / "wide_rings.yaml").write_text("defaults: [rings]\nname: rings\nnoise: 1\n")
    return folder


def test_a_new_data_set_is_its_loader_and_its_yaml(
    genreg: Callable[..., Result], mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    given = ["--data-dir", str(tmp_path / "data"), "--config-dir", str(mine)]
    row = r"│ {} +│ +1\.5 │ CC0 +│ {} "
    listed = genreg("data", "list", *given).out
    for name in ("rings", "wide_rings"):
        assert re.search(row.format(name, "missing"), listed)
    assert genreg("data", "fetch", "rings", *given).out == f"rings: {tmp_path}/data/rings/set.gz\n"
    assert (tmp_path / "data" / "rings" / "set.gz").read_bytes() == PAYLOAD
    assert re.search(row.format("wide_rings", "present"), genreg("data", "list", *given).out)
    verified = genreg("data", "verify", *given)
    assert verified.code == 0
    assert verified.out.count("ok ") == 1
    monkeypatch.setenv("COMP_LINE", f"genreg data fetch --config-dir {mine} wide")
    assert genreg("-sc", "query=bash").out == "wide_rings \n"
    (tmp_path / "data" / "rings" / "set.gz").write_bytes(b"other")
    damaged = genreg("data", "verify", *given)
    assert (damaged.code, damaged.err.count("genreg data fetch rings")) == (2, 1)


@pytest.mark.parametrize(("text", "said"), [
    ("SOURCE = Source('rings', 1, 'CC0', URL)", r"loader\.py:1: expected Source\(.*\) of literals, got"),
    ("SOURCE = Source('rings')", r"loader\.py:1: expected Source\(.*\) of literals, got"),
    ("SOURCE = Source('rings'", r"loader\.py: expected a module of Python, got"),
])  # fmt: skip
def test_a_declaration_that_cannot_be_read(
    genreg: Callable[..., Result], mine: Path, text: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (mine / "my_sets" / "loader.py").write_text(text)
    answer = genreg("data", "list", "--config-dir", str(mine))
    assert answer.code == 2
    assert re.search(said, answer.err)
    assert answer.err.count("\n") == 1


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
