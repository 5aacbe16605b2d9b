"""A table of one's own: what it becomes, and what is said of a cell that is of no use."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Result

from genreg.dataset import Dataset, table
from genreg.errors import InputError

DRAW = np.random.default_rng(0)
X = DRAW.normal(5, 3, size=(40, 2)).round(3)
WORDS = ["zebra", "ant", "bee"]
ROWS = [[f"{a}", f"{b}", "7", WORDS[i % 3]] for i, (a, b) in enumerate(X)]
HEADER = ["one", "two", "same", "target"]


def written(folder: Path, rows: list[list[str]], header: list[str] = HEADER, name: str = "table.csv") -> Path:
    separator = "," if name.endswith("csv") else "\t"
    (folder / name).write_text("\n".join(separator.join(row) for row in [header, *rows]), encoding="utf-8")
    return folder


def made(folder: Path, rows: list[list[str]], header: list[str] = HEADER, **options: Any) -> Dataset:
    return table(data_dir=written(folder, rows, header), **options)


def by_hand(x: np.ndarray, pool: np.ndarray) -> np.ndarray:
    return (x - pool.mean(0)) / pool.std(0)


def test_words_are_classes_and_features_are_standardized(tmp_path: Path) -> None:
    dataset = made(tmp_path, ROWS)
    assert [len(dataset.unlabeled), len(dataset.validation), len(dataset.test)] == [24, 8, 8]
    assert (dataset.classes, dataset.input_shape) == (3, [3])
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0)).numpy()
    pool, test = X[order[16:]], X[order[8:16]]
    np.testing.assert_allclose(dataset.unlabeled[:, :2].numpy(), by_hand(pool, pool), atol=1e-6)
    np.testing.assert_allclose(dataset.test.x[:, :2].numpy(), by_hand(test, pool), atol=1e-6)
    assert not dataset.unlabeled[:, 2].any()  # a constant column
    assert dataset.test.y.tolist() == [sorted(WORDS).index(WORDS[i % 3]) for i in order[8:16]]
    assert torch.equal(made(tmp_path, ROWS, seed=3, labeled=6).test.x, dataset.test.x)
    (tmp_path / "table.csv").rename(tmp_path / "commas")
    written(tmp_path, ROWS, name="t.tsv")
    assert torch.equal(table(data_dir=tmp_path, path="t.tsv").unlabeled, dataset.unlabeled)


def test_quotes_blank_lines_and_a_byte_order_mark(tmp_path: Path) -> None:
    plain = made(tmp_path, ROWS)
    text = (tmp_path / "table.csv").read_text().replace("\n", "\r\n\r\n").replace("ant", '" ant"')
    (tmp_path / "table.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert torch.equal(table(data_dir=tmp_path).labeled.x, plain.labeled.x)
    assert torch.equal(table(data_dir=tmp_path).labeled.y, plain.labeled.y)


def test_real_targets_are_standardized_and_their_scale_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "genreg"):
        dataset = made(tmp_path, ROWS, target="two", columns=["one"], labeled=5)
    assert (dataset.classes, dataset.outputs, dataset.labeled.y.shape) == (0, 1, (5, 1))
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0)).numpy()
    pool, test = X[order[16:], 1:], X[order[8:16], 1:]
    np.testing.assert_allclose(dataset.test.y.numpy(), by_hand(test, pool), atol=1e-6)
    assert f"mse is in units of {pool.var():g}" in caplog.text
    assert made(tmp_path, ROWS, target="same", targets="real", columns=["one"]).outputs == 1


def test_a_column_of_splits(tmp_path: Path) -> None:
    names = ["train"] * 20 + ["validation"] * 6 + ["test"] * 9 + ["unlabeled"] * 5
    rows = [
        [*row[:3], "" if name == "unlabeled" else row[3], name] for row, name in zip(ROWS, names, strict=True)
    ]
    dataset = made(tmp_path, rows, [*HEADER, "part"], split="part", labeled=6)
    assert [len(dataset.unlabeled), len(dataset.validation), len(dataset.test)] == [25, 6, 9]
    pool = np.concatenate((X[:20], X[35:]))
    np.testing.assert_allclose(dataset.unlabeled[:, :2].numpy(), by_hand(pool, pool), atol=1e-6)
    assert dataset.labeled.y.bincount().tolist() == [2, 2, 2]
    two = [[*row, "train" if i < 30 else "test"] for i, row in enumerate(ROWS)]
    dataset = made(tmp_path, two, [*HEADER, "part"], split="part", validation=10)
    assert [len(dataset.unlabeled), len(dataset.validation), len(dataset.test)] == [20, 10, 10]


def changed(line: int, column: int, cell: str) -> list[list[str]]:
    """The table with another cell in a line of the file, whose first is the header."""
    rows = [list(row) for row in ROWS]
    rows[line - 2][column] = cell
    return rows


FILE = "dataset.path"
ENDS = [[*row, "train" if i < 30 else "test"] for i, row in enumerate(ROWS)]
WRONG: list[tuple[list[list[str]], dict[str, Any], str, str]] = [
    (changed(9, 1, ""), {}, FILE, "a value in every line of column two .*got 'nothing in line 9'"),
    (changed(9, 1, "NA"), {}, FILE, "a value in every line of column two .*got 'NA in line 9'"),
    (changed(9, 3, " "), {}, FILE, "a value in every line of column target .*got 'nothing in line 9'"),
    (changed(9, 0, "red"), {}, FILE, "numbers in column one .*dataset.columns.*'red' in line 9"),
    (changed(9, 0, "inf"), {}, FILE, "finite numbers .*'inf at line 9, column one'"),
    (ROWS, {"targets": "real"}, FILE, "numbers in column target .*'zebra' in line 2"),
    (changed(9, 0, "1"), {"target": "one", "columns": ["two"], "targets": "classes"}, FILE,
     r"words or whole numbers as labels \(or dataset\.targets=real\).* at line \d+, column one"),
    ([*ROWS[:-1], ROWS[-1][:3]], {}, FILE, "4 cells a line, .*got '3 in line 41'"),
    (changed(9, 0, '"1'), {}, FILE, "cells that are separated and quoted, got 'unexpected end of data"),
    (ROWS[:0], {}, FILE, "a line of column names and lines of values"),
    (ROWS, {"target": "targe"}, "dataset.target", "the name of a column, got 'targe'\n  nearest: target"),
    (ROWS, {"columns": ["tow"]}, "dataset.columns", "the name of a column, got 'tow'\n  nearest: two"),
    (ROWS, {"columns": ["one", "target"]}, "dataset.columns", "columns beside target and split"),
    (ROWS, {"columns": ["one", "one"]}, "dataset.columns", "columns beside target and split, each once"),
    (ROWS, {"split": "same"}, "dataset.split", "a column of train, validation, .*'7' in line 2"),
    (ROWS, {"test": 40}, "dataset.validation", r"validation \+ test below 40"),
    ([[*r[:4], "train"] for r in ENDS], {"split": "part"}, "dataset.split", "lines of train and of test"),
    ([*ENDS[:-1], [*ENDS[-1][:3], "cow", "test"]], {"split": "part"}, FILE,
     "classes of which training has items .*'cow' at line 41, column target"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "options", "key", "says"), WRONG, ids=[case[3][:40] for case in WRONG])
def test_tables_of_no_use(
    tmp_path: Path, rows: list[list[str]], options: dict[str, Any], key: str, says: str
) -> None:
    header = [*HEADER, "part"] if len(rows) and len(rows[0]) > 4 else HEADER
    with pytest.raises(InputError, match=rf"(?s)^{key}: expected {says}") as error:
        made(tmp_path, rows, header, **options)
    assert "\n" not in str(error.value).partition("\n  nearest")[0]


@pytest.mark.parametrize(
    ("header", "says"),
    [(["one", "one", "same", "target"], "every column name once, got 'one'"),
     (["", "two", "same", "target"], r"a name for every column \(pandas: to_csv\(index=False\)\)")],
)  # fmt: skip
def test_names_of_columns(tmp_path: Path, header: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        made(tmp_path, ROWS, header)


def test_other_files(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_bytes(b"one,target\n1,a\n2,\xe9\n")
    with pytest.raises(InputError, match=r"UTF-8 text .*'byte 0xe9 in line 3'"):
        table(data_dir=tmp_path)
    (tmp_path / "table.csv").write_text("one;target\n1;a\n")
    with pytest.raises(InputError, match=r"dataset\.target: .*got 'target'\n  nearest: one;target"):
        table(data_dir=tmp_path)
    for name in ("none.csv", "table.xlsx"):
        with pytest.raises(InputError, match=r"a \.csv file \(separated by commas\), or \.tsv"):
            table(data_dir=tmp_path, path=name)


def test_from_the_command_line(genreg: Callable[..., Result], tmp_path: Path) -> None:
    written(tmp_path, ROWS)
    given = ["dataset=table", f"data_dir={tmp_path}", "logger=none", "steps=2", "device=cpu"]
    assert genreg("train", *given).code == 0
    answer = genreg("train", *given, "dataset.target=two", "dataset.columns=[one]", "loss=mse")
    assert answer.code == 0, answer.err
    assert "mse is in units of" in answer.out
    answer = genreg("train", *given, "dataset.target=same")
    assert answer.err.startswith("genreg: dataset.path: expected numbers in column target")
    answer = genreg("train", *given, "dataset.target=same", "dataset.columns=[one]")
    assert answer.err.startswith("genreg: dataset: expected two classes or more")
