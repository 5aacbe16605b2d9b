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
from genreg.run.find import find_runs
from genreg.run.identity import data_name, experiment_name, run_path

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
    (changed(9, 0, '"1'), {}, FILE,
     "cells that are separated and quoted, got 'a quotation mark that is never closed in line 9'"),
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
    with pytest.raises(InputError, match=r"separated by comma.*dataset\.delimiter=semicolon.*first line"):
        table(data_dir=tmp_path)
    (tmp_path / "table.xlsx").touch()
    with pytest.raises(InputError, match=r"a \.csv file \(separated by commas\), .* or dataset\.delimiter"):
        table(data_dir=tmp_path, path="table.xlsx")


def labels(folder: Path, cells: list[str], **options: Any) -> Dataset:
    """A table whose targets are the cells, in turn."""
    return made(folder, [[*row[:3], cells[i % len(cells)]] for i, row in enumerate(ROWS)], **options)


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["01", "1", "7"], "01: 14, 1: 13, 7: 13"),  # codes
        (["10", "02", "1"], "1: 13, 2: 13, 10: 14"),  # in the order of numbers, as in earlier versions
        (["1", "1.0", "+1", "1e0", "2"], "1: 32, 2: 8"),  # one number
        (["9007199254740992", "9007199254740993"], "9007199254740992: 20, 9007199254740993: 20"),
        (["100000000000000000001", "100000000000000000002"],
         "100000000000000000001: 20, 100000000000000000002: 20"),  # beyond 64 bits
        (["none", "mild"], "mild: 20, none: 20"),
        (["-1", "0", "1"], "-1: 14, 0: 13, 1: 13; -1 is a class"),
        (["-1", "1"], "-1: 20, 1: 20"),
    ],
)  # fmt: skip
def test_which_labels_are_one_class(tmp_path: Path, cells: list[str], classes: str) -> None:
    told = labels(tmp_path, cells).told
    assert (
        told == f"table.csv: 40 rows, 3 columns; classes {classes}; labeled 24, pool 24, validation 8, test 8"
    )


def test_the_label_of_a_class_that_has_too_few_items_is_said(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"^dataset\.labeled: expected at most 3 items of class 30, .*'6 of 20"
    ):
        labels(tmp_path, ["10", "10", "20", "20", "30"], labeled=20)


@pytest.mark.parametrize("mark", ["", "None", "#N/A", "<NA>", "NaN", "NULL", "#DIV/0!"])
def test_marks_of_no_value_are_no_class(tmp_path: Path, mark: str) -> None:
    with pytest.raises(InputError, match=rf"column target .*got '{mark or 'nothing'} in line 2'"):
        labels(tmp_path, [mark, "a", "b"])


@pytest.mark.full
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


@pytest.mark.full
def test_a_run_is_called_by_its_file_and_goes_on_where_an_earlier_version_began_it(
    genreg: Callable[..., Result], tmp_path: Path
) -> None:
    path = written(tmp_path, ROWS, name="my table.csv") / "my table.csv"
    given = ["dataset=table", f"dataset.path={path}", "logger=none", "steps=2", "device=cpu"]
    assert (answer := genreg("train", *given)).code == 0, answer.err
    (arm,) = (tmp_path / "outputs").glob("*/*")
    assert arm.relative_to(tmp_path / "outputs").as_posix().startswith("my_table/none-")
    assert genreg("ls").out.splitlines()[1].startswith("my_table/none-")
    assert genreg("ls", "--where", "name=my_table/none", "--where", "dataset=table").code == 0
    arm.parent.rename(tmp_path / "outputs/table")
    assert "finished already: " in genreg("train", *given).out
    assert genreg("train", *given, "seed=1").code == 0
    assert [p.name for p in sorted((tmp_path / "outputs/table" / arm.name).iterdir())] == ["seed=0", "seed=1"]
    assert [folder.name for folder in (tmp_path / "outputs").iterdir()] == ["table"]


@pytest.mark.parametrize(
    ("target", "path", "name"),
    [
        ("table", "/data/wine.csv", "wine"), ("npz", "wine.2024.npz", "wine_2024"),
        ("text_csv", "评论.jsonl", "评论"), ("image_folder", "/data/my cats.v2/", "my_cats_v2"),
        ("table", "seed=3.csv", "seed_3"),  # a folder of that name would be taken for a run
        ("table", "wine.before-2.csv", "wine_before-2"),  # and this for one that was set aside
        ("table", "../$(ls); rm.csv", "ls_rm"), ("table", "....csv", "table"),
        ("image_folder", "..", "image_folder"),
        ("table", "é" * 200 + ".csv", "é" * 120),
    ],
)  # fmt: skip
def test_names_of_files_are_names_of_folders(tmp_path: Path, target: str, path: str, name: str) -> None:
    config = {"dataset": {"_target_": f"genreg.dataset.{target}", "path": path}, "name": None, "seed": 0,
              "regularizer": {}, "output_dir": str(tmp_path)}  # fmt: skip
    assert experiment_name(config) == f"{name}/none"
    run_path(config).mkdir(parents=True)
    assert list(find_runs(tmp_path)) == [run_path(config)]


def test_a_function_of_ones_own_is_called_as_before() -> None:
    assert data_name({"_target_": "mine.stars", "path": "catalogue.csv"}) == "stars"
    assert data_name({"_target_": "genreg.dataset.mnist", "name": "fashion_mnist"}) == "fashion_mnist"
