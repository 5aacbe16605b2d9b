"""Tables and texts as they come: without names of columns, other delimiters, decimal commas, comments."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_wine

from genreg.dataset import Dataset, npz, table, text_csv
from genreg.errors import InputError
from genreg.measure.generation import tell_few

X, Y = load_wine(return_X_y=True)
HEADER = [f"c{i}" for i in range(X.shape[1])]
DRAWN = {"stratify": True}


@pytest.fixture
def plain(tmp_path: Path) -> Dataset:
    """The wines as a table of commas with names."""
    pd.DataFrame(X, columns=HEADER).assign(target=Y).to_csv(tmp_path / "plain.csv", index=False)
    return table(data_dir=tmp_path, path="plain.csv", **DRAWN)


@pytest.mark.parametrize(
    ("name", "as_pandas", "options"),
    [
        ("a.csv", {"sep": ";", "decimal": ","}, {"delimiter": "semicolon", "decimal": "comma"}),
        ("a.csv", {"sep": ";"}, {"delimiter": "semicolon"}),
        ("a.csv", {"header": False}, {"header": None, "target": 13}),
        ("a.csv", {"header": False}, {"header": None, "target": -1, "columns": list(range(13))}),
        ("a.data", {"header": False, "sep": " "}, {"header": None, "target": -1, "delimiter": "blanks"}),
        ("a.txt", {"sep": "\t"}, {}),
        ("a.txt", {"sep": "|"}, {"delimiter": "bar"}),
        ("a.tsv", {"sep": ","}, {"delimiter": "comma"}),
        ("a.csv", {"sep": ";", "quoting": csv.QUOTE_NONNUMERIC}, {"delimiter": "semicolon"}),
    ],
)  # fmt: skip
def test_a_table_as_pandas_writes_it(
    tmp_path: Path, plain: Dataset, name: str, as_pandas: dict[str, Any], options: dict[str, Any]
) -> None:
    pd.DataFrame(X, columns=HEADER).assign(target=Y).to_csv(tmp_path / name, index=False, **as_pandas)
    found = table(data_dir=tmp_path, path=name, **options, **DRAWN)
    assert torch.equal(found.unlabeled, plain.unlabeled)
    assert torch.equal(found.test.x, plain.test.x)
    assert torch.equal(found.test.y, plain.test.y)


def test_lines_of_comments_are_left_out_and_lines_keep_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("# made by hand\na,target\n1,x\n# two\n2,y\n3,x\noops,y\n")
    with pytest.raises(InputError, match="'oops' in line 7"):
        table(data_dir=tmp_path, path="a.csv", comment="#")


def test_a_column_with_a_comma_in_its_name(tmp_path: Path) -> None:
    pd.DataFrame(X, columns=HEADER).assign(**{"kind, of wine": Y}).to_csv(tmp_path / "a.csv", index=False)
    assert table(data_dir=tmp_path, path="a.csv", target="kind, of wine").classes == 3


def test_texts_behind_a_tab_without_names(tmp_path: Path) -> None:
    """The layout of a well-known collection of short messages: the class, a tab, the text with its marks."""
    rows = [f'{"ham" if i % 2 else "spam"}\tcall "{i}" now; it\'s number, {i % 7}' for i in range(60)]
    (tmp_path / "a.txt").write_text("\n".join(rows))
    found = text_csv(data_dir=tmp_path, path="a.txt", header=None, label=0, text=1, tokenizer="words")
    assert (found.classes, sum(found.items[name] for name in ("unlabeled", "validation", "test"))) == (2, 60)
    assert {"call", '"', ";"} <= set(found.vocabulary.tokens if found.vocabulary else ())


@pytest.mark.parametrize(
    ("name", "content", "options", "says"),
    [
        ("a.csv", "a;target\n1,5;x\n", {}, "separated by comma.*dataset.delimiter=semicolon"),
        ("a.csv", "a\ttarget\n1\tx\n", {}, "dataset.delimiter=tab"),
        ("a.tsv", "a,target\n1,x\n", {}, "separated by tab.*dataset.delimiter=comma"),
        ("a.data", "a,target\n1,x\n", {}, r"a .csv file .* or dataset.delimiter"),
        ("a.csv", "1,2\n3,4,5\n", {"header": None, "target": 0}, "2 cells a line, as many as the first has"),
        ("a.csv", "1,2\n", {"header": None, "target": 2}, "dataset.target: expected a number below 2, got 2"),
        ("a.csv", "1,2\n", {"header": None, "target": -3}, "dataset.target: expected a number below 2"),
        ("a.csv", "1,2\n", {"header": None, "target": 1, "columns": [7]}, "dataset.columns: expected a numb"),
        ("a.csv", "a;target\n1.500;x\n", {"delimiter": "semicolon", "decimal": "comma"},
         r"decimal comma \(dataset.decimal=point for points\), got '1.500 in line 2'"),
    ],
)  # fmt: skip
def test_what_another_layout_would_read_is_named(
    tmp_path: Path, name: str, content: str, options: dict[str, Any], says: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=says):
        table(data_dir=tmp_path, path=name, **options)


@pytest.mark.parametrize(
    ("column", "values", "warns"),
    [
        ("Id", np.random.default_rng(0).permutation(len(Y)), True),
        ("wine", np.arange(1, len(Y) + 1), True),
        ("Id", np.arange(len(Y)) % 7, False),
        ("wine", np.arange(len(Y)) // 2, False),
    ],
)
def test_a_column_that_numbers_the_rows_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, column: str, values: np.ndarray, warns: bool
) -> None:
    frame = pd.DataFrame(X, columns=HEADER).assign(**{column: values, "target": Y})
    frame.to_csv(tmp_path / "a.csv", index=False)
    table(data_dir=tmp_path, path="a.csv")
    assert (f"{column} looks like an index of the rows" in caplog.text) == warns
    caplog.clear()
    table(data_dir=tmp_path, path="a.csv", columns=[*HEADER])
    assert "index of the rows" not in caplog.text


def arrays(folder: Path, **found: np.ndarray) -> Path:
    np.savez(folder / "a.npz", **found)
    return folder


BYTES = np.random.default_rng(0).integers(256, size=(60, 8, 8), dtype=np.uint8)
CLASSES = np.arange(60) % 3


@pytest.mark.parametrize(
    ("names", "standard"),
    [
        (["train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels"],
         ["x_train", "y_train", "x_validation", "y_validation", "x_test", "y_test"]),
        (["train_data", "train_target", "test_data", "test_target"],
         ["x_train", "y_train", "x_test", "y_test"]),
        (["images", "labels"], ["X", "y"]),
        (["data", "target"], ["X", "y"]),
    ],
)  # fmt: skip
def test_arrays_of_the_names_that_other_programs_give(
    tmp_path: Path, names: list[str], standard: list[str]
) -> None:
    parts = [part for x, y in zip(np.split(BYTES, 3), np.split(CLASSES, 3), strict=True) for part in (x, y)]
    given = {"path": "a.npz", "labeled": None, "validation": 5, "stratify": True}
    made = dict(zip(names, parts, strict=False))
    found = npz(data_dir=arrays(tmp_path, **made), **given)
    plain = npz(data_dir=arrays(tmp_path, **dict(zip(standard, made.values(), strict=True))), **given)
    assert found.digest == plain.digest


def test_names_that_were_left_out_beside_known_ones_still_are(tmp_path: Path) -> None:
    made = {"X": BYTES, "y": CLASSES, "val_images": BYTES, "val_labels": CLASSES}
    found = npz(data_dir=arrays(tmp_path, **made), path="a.npz", labeled=None, validation=0.2)
    assert "left out 2 of other names (val_images, val_labels)" in found.told


def test_pictures_as_floats_up_to_255_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    given = {"path": "a.npz", "labeled": None, "validation": 0.2}
    npz(data_dir=arrays(tmp_path, X=BYTES.astype(np.float32), y=CLASSES), **given)
    assert "X has whole numbers up to 255, which stay as they are" in caplog.text
    caplog.clear()
    npz(data_dir=arrays(tmp_path, X=BYTES / 255, y=CLASSES), **given)
    npz(data_dir=arrays(tmp_path, X=BYTES, y=CLASSES), **given)
    assert not caplog.text


def test_names_of_classes_come_from_a_second_file(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("ant\nbee\ncat\n")
    given: dict[str, Any] = {"path": "a.npz", "labeled": None, "validation": 0.2, "class_names": "names.txt"}
    for first in (0, 1):
        found = npz(data_dir=arrays(tmp_path, X=BYTES, y=CLASSES + first), **given)
        assert "classes ant: 20, bee: 20, cat: 20" in found.told
    with pytest.raises(
        InputError, match="class_names: expected a line for each label up to 4, got '3 lines'"
    ):
        npz(data_dir=arrays(tmp_path, X=BYTES, y=CLASSES + 2), **given)
    with pytest.raises(InputError, match="class_names: expected labels that are numbers"):
        npz(data_dir=arrays(tmp_path, X=BYTES, y=np.array(["a", "b", "c"])[CLASSES]), **given)


def test_a_frechet_distance_of_few_pictures_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    tell_few.cache_clear()
    for _ in range(2):
        tell_few(5, 64)
    tell_few(2000, 64)
    assert caplog.text.count("since 5 items are no more than the 64 features") == 1
