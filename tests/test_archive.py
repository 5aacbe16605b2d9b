"""An archive of a study: the same bytes, the same report, and nothing of one that genreg did not write."""

import json
import os
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Result
from study import write_study
from synthetic import write_run, write_sweep

from genreg.report.pack import pack
from genreg.study import archive

Genreg = Callable[..., Result]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a whole study and its archive: tuning, claims, times, a landscape, failed runs."""
    place = tmp_path_factory.mktemp("packed")
    write_study(place / "study")
    pack(place / "study", place / "study.zip")
    return place


@pytest.fixture
def here(tmp_path: Path, genreg: Genreg) -> Path:
    """The current folder, with a small study and its archive."""
    arms = []
    for name, value in {"none": 0.5, "vat": 0.6}.items():
        for seed in range(3):
            write_run(tmp_path / "study" / name / f"seed={seed}", value + seed**2 / 100)
        (tmp_path / "study" / name / "seed=0/weights.pt").write_bytes(b"weights")
        arms.append({"name": name, "folder": name})
    write_sweep(tmp_path / "study", arms)
    assert genreg("pack", "study", "study.zip").code == 0
    return tmp_path


@pytest.fixture(autouse=True)
def unpacked(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Archives are unpacked in a folder of the test's own, in which nothing may stay."""
    place = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr("tempfile.tempdir", str(place))
    yield
    assert not list(place.iterdir())


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as found:
        return {name: found.read(name) for name in found.namelist()}


def written(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as found:
        for name, content in files.items():
            found.writestr(name, content)


def changed(path: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    files = members(path)
    (full,) = (one for one in files if one.endswith(name))
    written(path, files | {full: change(files[full])})


def test_the_same_folder_gives_the_same_bytes(genreg: Genreg, here: Path) -> None:
    first = (here / "study.zip").read_bytes()
    for path in here.rglob("*.json"):
        os.utime(path, (1e9, 1e9))
    shutil.copytree("study", "elsewhere/study")
    assert genreg("pack", "elsewhere/study", "again.zip").code == 0
    assert (here / "again.zip").read_bytes() == first
    assert genreg("pack", "study", "study.zip").code == 0  # as it is: nothing to replace
    names = members(here / "study.zip")
    rest = {"verdicts.json", "sweep.json", *archive.OF_A_RUN} - {"replicas.npz", "contours.npz"}
    assert {Path(name).name for name in names} == rest
    assert len(first) / 6 < 2500


def test_another_file_of_that_name_is_replaced_only_by_force(genreg: Genreg, here: Path) -> None:
    (here / "study.zip").write_text("mine")
    answer = genreg("pack", "study", "study.zip")
    assert answer.code == 2
    assert "--force replaces one of other content" in answer.err
    assert (here / "study.zip").read_text() == "mine"
    assert genreg("pack", "study", "study.zip", "--force").code == 0
    write_run(here / "study/vat/seed=3", 0.9)  # of a later version
    assert genreg("pack", "study", "study.zip").code == 2
    answer = genreg("pack", "study", "study.zip", "--force")
    assert answer.out.startswith("study.zip: 7 runs, ")
    assert not list(here.glob("*unfinished"))


@pytest.mark.full
@pytest.mark.parametrize("form", ["markdown", "summary", "json"])
def test_a_report_is_that_of_the_folder(
    genreg: Genreg, packed: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.chdir(packed)
    found, expected = (genreg("report", name, "--format", form) for name in ("study.zip", "study"))
    assert found.code == 0, found.err
    assert found.out.replace("study.zip/study/", "study/") == expected.out


def test_the_other_verbs_read_it(genreg: Genreg, here: Path) -> None:
    run = "study.zip/study/vat/seed=2"
    assert genreg("show", run).out.splitlines()[1:] == genreg("show", run[10:]).out.splitlines()[1:]
    ls, expected = (json.loads(genreg("ls", name, "--format", "json").out) for name in ("study.zip", "study"))
    assert [line["mean"] for line in ls] == [line["mean"] for line in expected]
    assert {line["touched"] for line in ls} == {None}
    names = ("study.zip", str(here / "study.zip"), "../" + here.name + "/study.zip", "study")
    assert len({genreg("plan", name, "--difference", "1").out for name in names}) == 1
    inner = genreg("report", "study.zip/study/vat", "--format", "csv")
    assert inner == genreg("report", "study/vat", "--format", "csv")
    assert genreg("report", "study.zip", "--baseline", "vat").out.endswith("page: study.html\n")
    page = (here / "study.html").read_text()
    assert "<td>study.zip/study/vat/seed=2</td>" in page
    assert "seed%3D" not in page  # no link into a file
    assert genreg("report", "study", "study.zip", "--output", "both.md").code == 0
    assert (here / "both.md").is_file()


def test_an_archive_of_runs_without_a_sweep_file(genreg: Genreg, here: Path) -> None:
    (here / "study/sweep.json").unlink()
    genreg("pack", "study", "plain.zip")
    found, expected = (genreg("report", name, "--format", "csv").out for name in ("plain.zip", "study"))
    assert found == expected
    assert genreg("check", "plain.zip").code == 0


@pytest.mark.parametrize("folder", ["study/vat", "study/vat/seed=0", "nowhere", "study.zip"])
def test_a_part_of_a_study_is_not_packed(genreg: Genreg, here: Path, folder: str) -> None:
    answer = genreg("pack", folder, "new.zip")
    assert answer.code == 2
    assert answer.err.startswith("genreg: FOLDER: expected ")
    assert not (here / "new.zip").exists()


def test_a_file_that_cannot_be_read_or_a_name_that_cannot_be_written(genreg: Genreg, here: Path) -> None:
    place = here / "study/vat/seed=2/config.yaml"
    place.unlink()
    os.mkfifo(place)
    assert "config.yaml: no regular file" in genreg("pack", "study", "new.zip").err
    place.unlink()
    write_run(Path(os.fsdecode(os.fsencode(here) + b"/study/v\xff/seed=1")), 0.5)
    assert genreg("pack", "study", "new.zip").err.startswith(
        "genreg: FOLDER: expected a study that an archive "
    )
    assert genreg("pack", "study", "new.txt").err.startswith(
        "genreg: ARCHIVE: expected a name that ends in .zip"
    )
    assert not list(here.glob("new*"))


def info(name: str, mode: int = stat.S_IFREG) -> zipfile.ZipInfo:
    found = zipfile.ZipInfo(name)
    found.external_attr = (mode | 0o644) << 16
    return found


def with_members(*more: tuple[Any, bytes]) -> Callable[[Path], None]:
    def add(path: Path) -> None:
        with zipfile.ZipFile(path, "a") as found:
            for name, content in more:
                found.writestr(name, content)

    return add


def without(end: str) -> Callable[[Path], None]:
    return lambda path: written(path, {k: v for k, v in members(path).items() if not k.endswith(end)})


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3000])


def turned(path: Path) -> None:
    """One byte of the content of a member is another."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def bomb(path: Path) -> None:
    """One that becomes 600 times as large."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as found:
        found.writestr("study/x/seed=0/metrics.jsonl", bytes(8 << 20))


def encrypted(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[6] |= 1  # of the first member, there and in the list at the end
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)


def packed_otherwise(path: Path) -> None:
    files = members(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as found:
        for name, content in files.items():
            found.writestr(name, content)


def said_larger(path: Path) -> None:
    """The list at the end says of a member that it is of 4 GB."""
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\x01\x02")
    content[place + 24 : place + 28] = (2**32 - 2).to_bytes(4, "little")
    path.write_bytes(content)


def far_away(path: Path) -> None:
    """The list begins where no file is."""
    content = path.read_bytes()
    path.write_bytes(content[:-6] + b"\xf0\xff\xff\xff" + content[-2:])


ROW = b'{"step": 1}\n'
BAD: dict[str, Callable[[Path], Any]] = {
    "text": lambda path: path.write_text("no zip"),
    "empty": lambda path: path.write_bytes(b""),
    "no members": lambda path: written(path, {}),
    "cut": cut, "a byte": turned, "bomb": bomb, "encrypted": encrypted, "lzma": packed_otherwise,
    "said larger": said_larger, "far away": far_away,
    "above": with_members(("../metrics.jsonl", ROW)),
    "far above": with_members(("study/../../../metrics.jsonl", ROW)),
    "absolute": with_members(("/tmp/marker/metrics.jsonl", ROW)),
    "backslash": with_members(("study\\..\\..\\metrics.jsonl", ROW)),
    "a drive": with_members(("C:/metrics.jsonl", ROW)),
    "no byte": with_members(("study/a\0b/metrics.jsonl", ROW)),
    "control": with_members(("study/\x1b[31m/metrics.jsonl", ROW)),
    "a link": with_members((info("study/x/metrics.jsonl", stat.S_IFLNK), b"/etc/passwd")),
    "a pipe": with_members((info("study/x/metrics.jsonl", stat.S_IFIFO), b"")),
    "a folder": with_members((info("study/x/"), b"")),
    "code": with_members(("study/own.py", b"open('marker', 'w')")),
    "weights": with_members(("study/vat/seed=0/weights.pt", b"x")),
    "twice": with_members(("study/vat/seed=0/metrics.jsonl", ROW)),
    "a file as a folder": with_members(("study/sweep.json/config.yaml", b"")),
    "two studies": with_members(("other/x/metrics.jsonl", ROW)),
    "no verdicts": without("verdicts.json"),
    "no sweep": without("sweep.json"),
    "no JSON": lambda path: changed(path, "verdicts.json", lambda _: b"{"),
    "a list": lambda path: changed(path, "verdicts.json", lambda _: b"[]"),
    "deep": lambda path: changed(path, "verdicts.json", lambda _: b"[" * 9999),
    "wrong verdicts": lambda path: changed(
        path, "verdicts.json", lambda _: b'{"sweeps": [], "verdicts": {"a": 3}}'
    ),
    "a sweep elsewhere": lambda path: changed(
        path, "verdicts.json", lambda _: b'{"sweeps": ["../../../etc/passwd"], "verdicts": {}}'
    ),
    "a wrong sweep": lambda path: changed(path, "sweep.json", lambda _: b'{"parts": 3}'),
    "a sweep that leaves": lambda path: changed(
        path, "sweep.json", lambda content: content.replace(b'"folder": "vat"', b'"folder": "/etc"')
    ),
}  # fmt: skip


@pytest.mark.every(3)
@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", BAD)
def test_a_bad_archive_is_one_line(
    genreg: Genreg, here: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "FREE", 1 << 20)
    BAD[name](here / "study.zip")
    for verb in (["check", "study.zip", "--rerun", "1"], ["report", "study.zip"], ["ls", "study.zip"]):
        if verb[0] == "ls" and "sweep" in name.removeprefix("no sweep"):
            continue  # it looks at no sweep file
        answer = genreg(*verb)
        assert answer.code == 2, (verb, answer)
        assert len(answer.err.strip().splitlines()) == 1, answer.err
        assert answer.err.startswith("genreg: study.zip"), answer.err
        assert "\x1b" not in answer.err
        assert not answer.out
    assert not Path("/tmp/marker").exists()
    assert {path.name for path in here.iterdir()} == {"study", "study.zip"}


def test_what_is_no_archive_is_said(genreg: Genreg, here: Path) -> None:
    for place in ("study", "nowhere.zip", "study/sweep.json", "study.zip/study"):
        answer = genreg("check", place)
        assert answer.code == 2
        assert answer.err.startswith("genreg: ARCHIVE: expected a file .zip that `genreg pack` wrote")
    assert genreg("report", "nowhere.zip").err.startswith("genreg: FOLDER: expected a folder of runs")
    assert genreg("show", "study.zip/study/nothing").err.startswith("genreg: RUN_FOLDER: expected a run's")
