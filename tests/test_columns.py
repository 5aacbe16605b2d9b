"""A column that is added to the one list of a table stands in every format."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Result
from study import QUALITY, write_study

from genreg.report import ls as listing
from genreg.report.command import FORMATS, report
from genreg.report.output import columns


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture
def largest(study: Path) -> Iterator[dict[str, float]]:
    """The largest value of each arm of the part of accuracies, as the runs wrote it; columns that show it."""
    columns.COLUMNS.append(columns.Column("largest", lambda arm: max(arm.values.values()), "largest value"))
    listing.COLUMNS.append(
        listing.Column("largest", lambda line: max(line.values["test/accuracy"]), "largest value")
    )
    yield {name: max(map(accuracy, (study / "vat_200" / name).glob("seed=*"))) for name in QUALITY}
    columns.COLUMNS.pop()
    listing.COLUMNS.pop()


def accuracy(run: Path) -> float:
    return float(json.loads((run / "summary.json").read_text())["best"]["test/accuracy"])


def written(study: Path, form: str, path: Path) -> str:
    columns = "arm,largest,verdict" if form == "latex" else None  # by itself it has those that fit a paper
    report([study], form=form, output=path / form, columns=columns)
    return (path / form).read_text()


def test_a_column_of_the_report(
    study: Path, largest: dict[str, float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report([study], output=tmp_path / "report.html")
    terminal = capsys.readouterr().out
    text = {form: written(study, form, tmp_path) for form in FORMATS}
    table = [row for row in csv.DictReader(io.StringIO(text["csv"])) if row["part"] == "vat_200"]
    assert {row["arm"]: float(row["largest"]) for row in table} == largest
    (part,) = [part for part in json.loads(text["json"])["parts"] if part["name"] == "vat_200"]
    assert {arm["arm"]: arm["largest"] for arm in part["arms"]} == largest
    marks = {"markdown": "| {} |", "latex": "& {} &", "summary": ", largest value {}"}
    lines = {form: text[form].splitlines() for form in marks} | {"terminal": terminal.splitlines()}
    for form, mark in {**marks, "terminal": "│ {} │"}.items():
        for arm, value in largest.items():
            said = mark.format(f"{100 * value:.2f}")
            name = arm if form != "summary" else f"{arm}: "
            assert any(said in " ".join(line.split()) and name in line for line in lines[form]), (form, arm)
        assert any("largest value" in line for line in lines[form])
    for value in largest.values():
        assert f"<dt>largest value</dt><dd>{100 * value:.2f}</dd>" in text["html"]


def test_a_column_of_ls(genreg: Callable[..., Result], study: Path, largest: dict[str, float]) -> None:
    folder = str(study / "vat_200")
    shown = {form: genreg("ls", folder, "--format", form).out for form in ("table", "csv", "json")}
    table = csv.DictReader(io.StringIO(shown["csv"]))
    assert {row["arm"]: float(row["largest"]) for row in table} == largest
    assert {row["arm"]: row["largest"] for row in json.loads(shown["json"])} == largest
    head, *lines = shown["table"].splitlines()
    assert "largest value" in head
    for arm, value in largest.items():
        assert any(line.startswith(arm) and f"  {value:.4g}  " in line for line in lines)
