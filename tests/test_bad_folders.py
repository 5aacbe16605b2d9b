"""Run folders that may come from anyone: one bad file is a remark, and everything else is reported."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Result
from synthetic import write_run, write_sweep

from genreg.report.output.numbers import as_table
from genreg.run import reader
from genreg.run.folder import RunFolder

Genreg = Callable[..., Result]

BOMB = "a: &a [x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)
DEEP, DIGITS = "[" * 5000 + "]" * 5000, "9" * 400
DONE = {"status": "done", "step": 20, "seconds": 3.0}
ROW = {"step": 20, "test/accuracy": 0.5}


def text(content: str) -> Callable[[Path], Any]:
    return lambda path: path.write_text(content)


def summary(**changes: Any) -> Callable[[Path], Any]:
    return lambda path: path.write_text(
        json.dumps({**DONE, "best": ROW, "last": ROW, "metrics": {}, **changes})
    )


def to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


FILES = [
    to_itself,
    a_pipe,
    a_folder,
    text(DEEP),
    text(DIGITS),
    text("\xff"),
    text("[1]"),
    text("{}"),
    text(""),
]
WHATEVER: dict[str, list[Callable[[Path], Any]]] = {
    "environment.json": [*FILES, *(text(json.dumps([start])) for start in (
        {"packages": [1], "data": 3, "code": [], "command": 5, "started": {}},
        {"code": {"model": 3}, "data": {"a": 3}, "commit": [1], "resumed": DIGITS}))],
    "config.yaml": [*FILES, text(BOMB), text("a: 2020-01-01\nb: !!binary aGk=\n1: 2\n"), text("a: " + DIGITS),
                    text("regularizer: 3\ndataset: [1]\nmodel: {_target_: 3}\nname: {}\ntask: x\n")],
    "summary.json": [*FILES, summary(best={"step": 20, "test/accuracy": 10**400}), summary(selection=[1, 2]),
                     summary(metrics={"accuracy": {"unit": 3}}), summary(baselines=3, items=[], reason=[1]),
                     summary(last={"step": 20, "features": [1]}), summary(seconds="3"),
                     summary(items={"test": "x"})],
    "metrics.jsonl": [*FILES, text(f'{{"step": 1, "test/accuracy": {DIGITS}}}\n{DEEP}\n')],
    "timing.jsonl": [*FILES, text(f'{{"step": {DIGITS}, "seconds": 3}}\n')],
    "replicas.npz": FILES,
}  # fmt: skip
CASES = [(name, k) for name, damages in WHATEVER.items() for k in range(len(damages))]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two arms of three runs."""
    for arm, value in (("none-00000000", 0.5), ("vat-00000000", 0.6)):
        for seed in range(3):
            more = seed**2 / 100 if arm.startswith("vat") else 0
            write_run(tmp_path / "out/digits" / arm / f"seed={seed}", value + more)
    return tmp_path / "out"


@pytest.mark.every(6)
@pytest.mark.parametrize(("name", "k"), CASES)
def test_one_bad_file_takes_nothing_else_down(genreg: Genreg, runs: Path, name: str, k: int) -> None:
    bad = runs / "digits/vat-00000000/seed=0"  # whose configuration stands for the arm's
    (bad / name).touch()
    WHATEVER[name][k](bad / name)
    (part,) = json.loads(genreg("report", str(runs), "--format", "json").out)["parts"]
    values = {arm["arm"]: [run["value"] for run in arm["runs"]] for arm in part["arms"]}
    assert values["none"] == [0.5, 0.5, 0.5]
    assert values["vat"][1:] == [0.61, 0.64]
    for verb in (
        ["report", str(runs)],
        ["ls", str(runs)],
        ["show", str(bad)],
        ["plan", str(runs), "--difference", "1"],
    ):
        answer = genreg(*verb)
        assert answer.code == 0, answer
        assert "Traceback" not in answer.err + answer.out


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_a_file_that_is_not_ours_to_read_is_named(
    genreg: Genreg, runs: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path, opened = runs / "digits/vat-00000000/seed=1/environment.json", os.open

    def refuse(name: Any, *more: Any, **options: Any) -> int:
        if str(name) == str(path):
            raise OSError(number, os.strerror(number), name)
        return opened(name, *more, **options)

    monkeypatch.setattr(os, "open", refuse)
    line = f"{path} cannot be read: {os.strerror(number)}"
    assert line in genreg("report", str(runs), "--format", "markdown").out.replace("\\", "")
    assert line in genreg("ls", str(runs)).err
    assert line in genreg("show", str(path.parent)).out
    with pytest.raises(OSError, match=os.strerror(number)):  # a start that went on would lose what it says
        RunFolder(path.parent).add_environment({})


def test_a_folder_whose_name_is_no_text(genreg: Genreg, runs: Path) -> None:
    os.rename(runs / "digits/vat-00000000", os.fsencode(runs / "digits") + b"/v\xff\x1b[31m-00000000")
    for verb in (["report"], ["ls"], ["ls", "--format", "csv"], ["report", "--format", "csv"]):
        answer = genreg(verb[0], str(runs), *verb[1:])
        assert answer.code == 0, answer
        assert "\x1b" not in answer.out
    page = (runs / "report.html").read_text()
    assert "v%FF%1B%5B31m-00000000/seed%3D1" in page
    assert "\x1b" not in page


SWEEPS = [{"looks": [5, 3, -1, 0]}, {"seeds": [0, 0]}, {"seeds": "12"},
          {"margin": {"value": -1, "unit": "points"}},
          {"arms": [{"name": "a", "folder": "x" * 300}]}, {"metric": DIGITS, "seeds": 10**400},
          {"arms": [{"name": "a", "folder": "a\0b"}]}]  # fmt: skip


@pytest.mark.every(3)
@pytest.mark.parametrize("wrong", SWEEPS)
def test_a_wrong_sweep_file_beside_a_right_one(genreg: Genreg, runs: Path, wrong: dict[str, Any]) -> None:
    arms = [{"name": arm, "folder": f"digits/{arm}-00000000"} for arm in ("none", "vat")]
    write_sweep(runs / "b", wrong.get("arms", arms), **{key: wrong[key] for key in wrong if key != "arms"})
    write_run(runs / "b/digits/none-00000000/seed=0", 0.3)
    write_sweep(runs, arms)
    answer = genreg("report", str(runs), "--format", "json")
    (part, *_) = json.loads(answer.out)["parts"]
    assert [arm["n"] for arm in part["arms"]] == [3, 3]
    assert genreg("report", str(runs / "b")).code in (0, 2)


def test_controls_of_a_terminal_reach_no_format(genreg: Genreg, runs: Path) -> None:
    evil = "\x1b]0;x\x07=1+1"
    folder = runs / "digits/vat-00000000/seed=1"
    row = {"step": 20, f"test/accuracy{evil}": 0.5, "test/accuracy": 0.4, "features": evil}
    summary(status=evil, best=row, last=row, reason=evil, metrics={"accuracy": {"unit": evil}})(
        folder / "summary.json"
    )
    (folder / "environment.json").write_text(
        json.dumps([{"commit": evil, "device": evil, "command": [evil]}])
    )
    (folder / "config.yaml").write_text(json.dumps({"name": evil, "dataset": {"_target_": evil}}))
    shown = [genreg("show", str(folder)), genreg("ls", str(runs)), genreg("ls", str(runs), "--format", "csv"),
             *(genreg("report", str(runs), "--format", f) for f in ("markdown", "latex", "csv", "summary")),
             genreg("report", str(runs))]  # fmt: skip
    for answer in shown:
        assert answer.code == 0
        assert not {"\x1b", "\x07"} & {*answer.out, *answer.err}
    assert not {"\x1b", "\x07"} & {*(runs / "report.html").read_text()}


def test_a_cell_is_no_formula() -> None:
    cells = {"a": "=1+1", "b": "+1", "c": "-x", "d": "@x", "e": "\t=1", "f": -1.5, "g": "a=1", "h": {"x": 1}}
    assert as_table([cells]).splitlines()[1] == """'=1+1,'+1,'-x,'@x,'�=1,-1.5,a=1,"{""x"": 1}\""""


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_no_file_locks_are_one_line_and_nothing_stays(
    genreg: Genreg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    given = ["dataset=two_moons", "model.widths=[4]", "steps=2", "logger=none", "quiet=true", "device=cpu"]
    answer = genreg("train", *given)
    assert answer.code == 1
    assert "has no file locks" in answer.err
    assert "output_dir=" in answer.err
    assert len(answer.err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_value_within_bounds_is_what_it_was() -> None:
    for value in ([1, -2.5, "a\n", None, True, {"a": {"b": []}}], 10**299, {"x": "é\t"}):
        assert reader.from_json(json.dumps(value).encode()) == value
    assert reader.from_yaml(b"a: '*x & y'\nb: 1.0e-06\n") == {"a": "*x & y", "b": 1e-6}
    for wrong in (b"1" * 301, b"[" * 60 + b"]" * 60, b"{", b"\xff"):
        with pytest.raises(reader.DamagedError):
            reader.from_json(wrong)


def test_the_last_resort_is_one_line(genreg: Genreg, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ArithmeticError("of nobody\nforeseen")

    monkeypatch.setattr("genreg.report.ls.plain_parts", fail)
    line = "genreg: ArithmeticError: of nobody\n  GENREG_DEBUG=1 shows the traceback\n"
    assert genreg("ls", str(runs)) == Result(1, "", line)
    monkeypatch.setenv("GENREG_DEBUG", "1")
    assert "Traceback" in genreg("ls", str(runs)).err
