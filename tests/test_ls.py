"""`genreg ls`: a line for each arm."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Result
from synthetic import write_run

from genreg.report.where import as_typed, is_like, option
from genreg.run.folder import RunFolder

Genreg = Callable[..., Result]
MLP = {"_target_": "genreg.model.MLP", "widths": [256, 256], "activation": "relu", "batch_norm": False,
       "dropout": 0.0}  # fmt: skip


def config(lr: float, *methods: str, **more: Any) -> dict[str, Any]:
    return {
        "name": None, "seed": 0, "device": "cpu", "dataset": {"_target_": "genreg.dataset.digits"},
        "model": MLP, "optimizer": {"_target_": "torch.optim.Adam", "lr": lr}, "scheduler": {},
        "regularizer": {method: {"_target_": "m.M", "epsilon": 0.3} for method in methods}, **more,
    }  # fmt: skip


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Two arms of vat that differ in lr, one with a failure, and one of none."""
    root = tmp_path / "outputs"
    arms = {"vat-0000000a": (0.9, config(1e-3, "vat", "entropy")), "vat-0000000b": (0.8, config(1e-2, "vat")),
            "none-0000000c": (0.7, config(1e-3))}  # fmt: skip
    for name, (test, given) in arms.items():
        for seed in range(3):
            folder = root / "digits" / name / f"seed={seed}"
            write_run(folder, test + seed / 100, config=yaml.safe_dump(given))
            (folder / "environment.json").write_text(json.dumps([{"commit": "abcdef0123456789"}]))
    write_run(root / "digits/vat-0000000b/seed=5", 0, status="failed", config=yaml.safe_dump(config(1e-2)))
    (root / "digits/vat-0000000b/seed=5/environment.json").write_text(json.dumps([{"commit": "1234567890"}]))
    return root


def listed(genreg: Genreg, *arguments: str) -> list[dict[str, Any]]:
    answer = genreg("ls", *arguments, "--format", "json")
    assert answer.code == 0, answer.err
    found: list[dict[str, Any]] = json.loads(answer.out)
    return found


def names(genreg: Genreg, *arguments: str) -> list[str]:
    return [row["arm"].removeprefix("digits/") for row in listed(genreg, *arguments)]


def test_what_stands_in_a_line(genreg: Genreg, outputs: Path) -> None:
    none, better, worse = listed(genreg)
    os.utime(outputs / "digits/vat-0000000b/seed=5/summary.json", (2e9, 2e9))
    assert none["arm"] == "digits/none-0000000c"
    assert (none["folder"], none["seeds"], none["status"]) == (
        "outputs/digits/none-0000000c",
        "0-2",
        {"done": 3},
    )
    assert (none["metric"], none["code"], none["values"]) == ("validation/accuracy", "abcdef01", {})
    assert [none[key] for key in ("mean", "sd", "test_mean", "test_sd", "seconds")] == pytest.approx(
        [0.71, 0.01, 0.71, 0.01, 3.0]
    )
    assert (worse["status"], worse["seeds"], worse["code"]) == ({"done": 3, "failed": 1}, "0-2,5", "mixed")
    assert worse["mean"] == pytest.approx(0.81)  # of those that are done
    assert worse["values"]["optimizer.lr"] == 0.01
    assert better["values"]["optimizer.lr"] == 0.001
    assert listed(genreg)[2]["touched"].startswith("2033-05-1")


def test_a_pipe_gets_whole_lines_and_a_narrow_terminal_all_words(
    genreg: Genreg, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = genreg("ls", "outputs").out.splitlines()
    assert len(lines) == 4
    assert lines[0].split()[:3] == ["arm", "values", "runs"]
    for text in ("digits/vat-0000000b", "lr=0.01", "3 done, 1 failed", "0-2,5", "81.00 (1.00)", "mixed"):
        assert text in lines[3]
    for width in ("40", "80"):
        monkeypatch.setenv("COLUMNS", width)
        out = genreg("ls", "outputs").out
        assert max(map(len, out.splitlines())) <= int(width)
        assert "…" not in out


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (["regularizer=vat"], ["vat-0000000a", "vat-0000000b"]),
        (["regularizer=entropy"], ["vat-0000000a"]),
        (["regularizer=none"], ["none-0000000c"]),
        (["optimizer.lr=1e-3"], ["none-0000000c", "vat-0000000a"]),
        (["optimizer.lr=0.0010", "regularizer=vat"], ["vat-0000000a"]),
        (["regularizer.vat.epsilon=0.3", "optimizer=adam", "model=mlp", "scheduler=none"],
         ["vat-0000000a", "vat-0000000b"]),
        (["model.widths=[256,256]", "model.batch_norm=false", "name=*/none"], ["none-0000000c"]),
        (["dataset=digits", "name=digits/*", "seed=5"], ["vat-0000000b"]),
        (["status=failed"], ["vat-0000000b"]),
        (["optimizer.lr=7"], []),
    ],
)  # fmt: skip
def test_where(genreg: Genreg, outputs: Path, where: list[str], found: list[str]) -> None:
    assert names(genreg, *(word for condition in where for word in ("--where", condition))) == found


def test_a_status_leaves_only_its_runs(genreg: Genreg, outputs: Path) -> None:
    (row,) = listed(genreg, "--where", "status=failed")
    assert (row["seeds"], row["status"], row["mean"]) == ("5", {"failed": 1}, None)
    assert genreg("ls", "--where", "status=paused").out.startswith("no run has status=paused\n")


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("test/accuracy", "abc"), ("-test/accuracy", "cba"), ("name", "cab"), ("-name", "bac"),
        ("seeds", "cab"), ("-seeds", "bca"), ("seconds", "cab"),
    ],
)  # fmt: skip
def test_sort(genreg: Genreg, outputs: Path, sort: str, order: str) -> None:
    assert "".join(name[-1] for name in names(genreg, "--sort", sort)) == order


def test_a_metric_that_is_not_shown_anyway_has_a_column(genreg: Genreg, outputs: Path) -> None:
    more = {"step": 20, "validation/accuracy": 0.5, "test/accuracy": 0.5, "test/loss": 0.25}
    write_run(
        outputs / "digits/l2-0000000d/seed=0", 0.5, best=more, config=yaml.safe_dump(config(1e-3, "l2"))
    )
    first, *others = listed(genreg, "--sort", "test/loss")
    assert (first["arm"], first["test/loss"]) == ("digits/l2-0000000d", 0.25)
    assert [row["test/loss"] for row in others] == [None] * 3
    assert "test/loss" in genreg("ls", "--sort", "test/loss").out
    header = genreg("ls", "--sort", "test/loss", "--format", "csv").out.splitlines()[0]
    assert header.endswith("code,touched,broken,test/loss")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "FOLDER: expected a folder with runs at or below it, got 'nowhere'"),
        (["--where", "optimizer.lt=1"], "optimizer.lr"),
        (["--where", "device=cpu"], "--where: expected a key"),
        (["--where", "vat"], "--where: expected KEY=VALUE, got 'vat'"),
        (["--sort", "test/acuracy"], "nearest: test/accuracy"),
        (["--format", "xml"], "--format: expected one of table, csv, json"),
    ],
)
def test_what_is_refused(genreg: Genreg, outputs: Path, arguments: list[str], message: str) -> None:
    answer = genreg("ls", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err


def test_damaged_and_foreign_folders_are_listed(genreg: Genreg, outputs: Path) -> None:
    for name, text in {"x-0000000e": "{", "y-0000000f": "[1]"}.items():
        folder = outputs / "digits" / name / "seed=0"
        folder.mkdir(parents=True)
        for file in ("summary.json", "environment.json", "config.yaml"):
            (folder / file).write_text(text)
    odd = "name: [1]\nregularizer: vat\nmodel: 3\noptimizer: {_target_: 4}\n"
    write_run(outputs / "odd\x1b/seed=0", 0.1, best={"step": 1}, config=odd)
    rows = {row["arm"]: row for row in listed(genreg)}
    assert rows["digits/x-0000000e"]["status"] == {"damaged": 1}
    assert rows["odd�"]["metric"] == "validation/accuracy"  # of the last row: no row was chosen by it
    assert "digits/vat-0000000a" in genreg("ls", "--where", "regularizer=vat").out


def test_options_are_told_by_target_and_values() -> None:
    fashion = {"_target_": "genreg.dataset.mnist", "name": "fashion_mnist", "labeled": 7}
    assert option("dataset", fashion) == "fashion_mnist"
    assert option("model", {**MLP, "widths": []}) == "linear"
    assert option("model", {**MLP, "widths": [64]}) == "mlp"  # as near to both
    assert option("optimizer", {"_target_": "torch.optim.SGD", "lr": 0.3, "momentum": 0.0}) == "gd"
    assert option("optimizer", {"_target_": "mine.Lion"}) == "lion"
    assert as_typed(config(1e-3, "vat", "entropy"))["regularizer"] == "entropy+vat"


@pytest.mark.parametrize(
    ("value", "asked", "like"),
    [
        (0.001, "1e-3", True), (1, "1.0", True), (True, "1", False), (True, "true", True),
        (None, "null", True),
        ("Adam", "adam", True), ("entropy+vat", "vat", True), ("entropy+vat", "va", False),
        ("entropy+vat", "entropy+vat", True), (1e-3, "1e*", False), ([1, 2], "[1,2]", True),
    ],
)  # fmt: skip
def test_values_are_compared_as_typed(value: Any, asked: str, like: bool) -> None:
    assert is_like(value, asked) is like


def test_a_value_that_no_run_has_is_said_with_the_nearest(genreg: Genreg, outputs: Path) -> None:
    assert genreg("ls", str(outputs), "--where", "regularizer=vta").out.splitlines() == [
        "no run has regularizer=vta", "  nearest: regularizer=vat"]  # fmt: skip
    assert "nearest: status=done, status=failed" in genreg("ls", str(outputs), "--where", "status=ok").out
    both = ["--where", "status=failed", "--where", "optimizer.lr=0.001"]  # each alone there is
    assert "nearest" not in genreg("ls", str(outputs), *both).out


def test_a_narrow_terminal_has_rows_below_one_another(
    genreg: Genreg, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    lines = genreg("ls", str(outputs)).out.splitlines()
    assert max(map(len, lines)) <= 60
    at = lines.index("digits/vat-0000000b")
    assert lines[at + 1].startswith("  values: lr=0.01")
    assert lines[at + 2 : at + 4] == ["  runs: 3 done, 1 failed", "  seeds: 0-2,5"]


def test_rm_says_what_it_would_remove_and_asks(
    genreg: Genreg, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only --yes, or y at a terminal, removes; what is left of an arm stays, an empty one goes."""
    ask = ["rm", str(outputs), "--where", "status=failed"]
    refused = genreg(*ask)
    assert (refused.code, "--yes: expected this flag" in refused.err) == (2, True)
    assert "digits/vat-0000000b: 1 run (1 failed), seeds 5" in refused.out
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    assert "nothing was removed" in genreg(*ask).out
    assert len(list(outputs.rglob("summary.json"))) == 10
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    asked = genreg(*ask)
    assert "remove 1 run folders" in asked.out
    assert sorted(path.name for path in (outputs / "digits/vat-0000000b").iterdir()) == [
        "seed=0", "seed=1", "seed=2"]  # fmt: skip
    assert genreg("rm", str(outputs), "--where", "regularizer=none", "--yes").code == 0
    assert not (outputs / "digits/none-0000000c").exists()
    assert len(list(outputs.rglob("summary.json"))) == 6


def test_rm_needs_a_condition_and_leaves_runs_in_use(genreg: Genreg, outputs: Path) -> None:
    assert "--where: expected a condition" in genreg("rm", str(outputs), "--yes").err
    assert "nearest: regularizer=vat" in genreg("rm", str(outputs), "--where", "regularizer=vta").out
    held = outputs / "digits/vat-0000000a/seed=0"
    with RunFolder(held).lock():
        result = genreg("rm", str(outputs), "--where", "regularizer=vat", "--yes")
    assert (result.code, "in use by another process" in result.err) == (1, True)
    assert (held / "summary.json").is_file()
    assert "6 runs were removed" in result.out


class Terminal(io.StringIO):
    """What a person types at a terminal."""

    def isatty(self) -> bool:
        return True
