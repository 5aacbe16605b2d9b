"""Texts of one's own: what they become, and what is said of a line that is of no use."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Result

from genreg.dataset import Dataset, text_csv
from genreg.errors import InputError

N = 40
LABELS = ["zebra", "ant"]
ROWS: list[dict[str, Any]] = [
    {"text": f'text, "{"ab"[i % 2]}" no. {i}', "label": LABELS[i % 2]} for i in range(N)
]
ORDER = torch.randperm(N, generator=torch.Generator().manual_seed(0)).tolist()


@pytest.fixture(autouse=True)
def _no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def written(folder: Path, rows: list[dict[str, Any]], name: str = "texts.jsonl") -> Path:
    """The rows as lines of JSON, or as a table with the cells of the first row's keys, quoted."""
    if name.endswith("jsonl"):
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    else:
        separator = "\t" if name.endswith("tsv") else ","
        cells = [list(rows[0]), *(["" if v is None else str(v) for v in row.values()] for row in rows)]
        lines = [separator.join('"' + cell.replace('"', '""') + '"' for cell in line) for line in cells]
    (folder / name).write_text("\n".join(lines), encoding="utf-8")
    return folder


def made(folder: Path, rows: list[dict[str, Any]], name: str = "texts.jsonl", **options: Any) -> Dataset:
    return text_csv(data_dir=written(folder, rows, name), path=name, **options)


def read(dataset: Dataset, rows: torch.Tensor) -> list[str]:
    """The texts that rows of token numbers stand for."""
    vocabulary = dataset.vocabulary
    assert vocabulary is not None
    return [
        "".join(vocabulary.tokens[i] for i in row if i not in vocabulary.special) for row in rows.tolist()
    ]


@pytest.mark.parametrize("name", ["texts.csv", "texts.TSV", "texts.tab", "texts.jsonl"])
def test_texts_and_classes(tmp_path: Path, name: str) -> None:
    if name == "texts.tab":
        written(tmp_path, ROWS, "texts.tsv").joinpath("texts.tsv").rename(tmp_path / name)
        dataset = text_csv(data_dir=tmp_path, path=name, min_count=1)
    else:
        written(tmp_path, ROWS, name.lower()).joinpath(name.lower()).rename(tmp_path / name)
        dataset = text_csv(data_dir=tmp_path, path=name, min_count=1)
    assert dataset.items == {"labeled": 24, "unlabeled": 24, "validation": 8, "test": 8}
    assert read(dataset, dataset.unlabeled) == [ROWS[i]["text"] for i in ORDER[16:]]
    assert dataset.test.y.tolist() == [1 - i % 2 for i in ORDER[8:16]]  # ant before zebra
    again = text_csv(data_dir=tmp_path, path=name, min_count=1, seed=3, labeled=6)
    assert torch.equal(again.test.x, dataset.test.x)
    assert again.labeled.y.bincount().tolist() == [3, 3]


def test_names_of_columns(tmp_path: Path) -> None:
    rows = [{"id": i, "review": row["text"], "stars": i % 2} for i, row in enumerate(ROWS)]
    dataset = made(tmp_path, rows, text="review", label="stars", tokenizer="words")
    assert (dataset.classes, dataset.input_shape) == (2, [10])
    for name in ("texts.jsonl", "texts.csv"):
        with pytest.raises(InputError, match=r"^dataset\.text: .* column, got 'text'\n  nearest: id, rev"):
            made(tmp_path, rows, name, label="stars")
        with pytest.raises(InputError, match=r"^dataset\.label: .* column, got 'star'\n  nearest: stars"):
            made(tmp_path, rows, name, text="review", label="star")
        with pytest.raises(InputError, match=r"^dataset\.split: .* column, got 'part'"):
            made(tmp_path, rows, name, text="review", label="stars", split="part")


@pytest.mark.parametrize("name", ["texts.csv", "texts.jsonl"])
def test_lines_without_a_label_are_unlabeled(tmp_path: Path, name: str) -> None:
    more = [{"text": f"more {i}", "label": None if i else ""} for i in range(5)]
    dataset = made(tmp_path, [*more, *ROWS], name)
    assert dataset.items == {"labeled": 24, "unlabeled": 29, "validation": 8, "test": 8}
    found = f"{name}: 45 texts, 5 without a label (empty: 5); classes ant: 20, zebra: 20; "
    assert dataset.told == found + "labeled 24, pool 29, validation 8, test 8"
    texts = read(made(tmp_path, [*more, *ROWS], name, min_count=1), dataset.unlabeled)
    assert len(texts) == 29
    if name == "texts.jsonl":
        keyless = [*({"text": row["text"]} for row in more), *ROWS]
        assert torch.equal(made(tmp_path, keyless, name).unlabeled, dataset.unlabeled)


def test_a_table_of_tabs_has_no_quotes(tmp_path: Path) -> None:
    """A text that begins with a mark once swallowed the lines to the next one that ends with a mark."""
    texts = [f"text no. {i}" for i in range(120)]
    texts[10], texts[90], texts[50], texts[60] = '"text', 'no."', '"text"', '"text ""no"""'
    lines = ["text\tlabel", *(f"{text}\t{i % 2}" for i, text in enumerate(texts))]
    (tmp_path / "texts.tsv").write_text("\r\n".join(lines), encoding="utf-8-sig", newline="")
    dataset = text_csv(data_dir=tmp_path, path="texts.tsv", min_count=1)
    assert dataset.told.startswith("texts.tsv: 120 texts; classes 0: 60, 1: 60; ")
    found = [read(dataset, split) for split in (dataset.unlabeled, dataset.validation.x, dataset.test.x)]
    texts[50], texts[60] = "text", 'text "no"'  # as programs write single cells
    assert sorted(text for split in found for text in split) == sorted(texts)


@pytest.mark.parametrize("name", ["texts.csv", "texts.tsv"])
def test_cells_of_several_lines_are_said(tmp_path: Path, name: str) -> None:
    rows = changed(6, text="one\n\ntwo")
    told = made(tmp_path, rows, name).told
    assert told.startswith(
        f"{name}: 40 texts, 1 of several lines (the longest: lines 8 to 10); classes ant: 20"
    )
    assert made(tmp_path, rows).told.startswith("texts.jsonl: 40 texts; ")


@pytest.mark.parametrize("mark", ["None", "#N/A", "<NA>", "#na"])
def test_marks_of_no_label(tmp_path: Path, mark: str) -> None:
    told = made(tmp_path, [{**ROWS[0], "label": mark}, *ROWS[1:]]).told
    assert told.startswith(
        f"texts.jsonl: 40 texts, 1 without a label ({mark}: 1); classes ant: 20, zebra: 19;"
    )


def parts(names: list[tuple[str, int]], rows: list[dict[str, Any]] = ROWS) -> list[dict[str, Any]]:
    each = [name for name, n in names for _ in range(n)]
    return [{**row, "part": name} for row, name in zip(rows, each, strict=True)]


def test_a_column_of_splits(tmp_path: Path) -> None:
    rows = parts([("train", 20), ("validation", 6), ("test", 9), ("unlabeled", 5)])
    rows[0]["label"] = rows[1]["label"] = None
    dataset = made(tmp_path, rows, split="part", min_count=1)
    assert dataset.items == {"labeled": 18, "unlabeled": 25, "validation": 6, "test": 9}
    assert read(dataset, dataset.unlabeled)[18:] == [rows[i]["text"] for i in (0, 1, *range(35, 40))]
    two = made(tmp_path, parts([("train", 30), ("test", 10)]), split="part", validation=10)
    assert two.items == {"labeled": 20, "unlabeled": 20, "validation": 10, "test": 10}


def test_classes_are_numbers_in_their_order(tmp_path: Path) -> None:
    rows = [{**row, "label": [10, 9, "2"][i % 3]} for i, row in enumerate(ROWS)]
    dataset = made(tmp_path, rows)
    assert dataset.test.y.tolist() == [2 - i % 3 for i in ORDER[8:16]]
    rows[0]["label"] = True  # a word: 10 stands before 2 then
    assert made(tmp_path, rows).classes == 4


def changed(i: int, **values: Any) -> list[dict[str, Any]]:
    return [{**row, **values} if i == k else row for k, row in enumerate(ROWS)]


FILE = r"dataset\.path: expected"
TESTED = parts([("train", 20), ("validation", 10), ("test", 10)])
WRONG: list[tuple[list[dict[str, Any]], dict[str, Any], str]] = [
    (changed(6, text=None), {}, rf"{FILE} a text in every line of text, got 'None in line 7'"),
    (changed(6, text=3), {}, rf"{FILE} a text in every line of text, got '3 in line 7'"),
    (changed(6, label=["a"]), {}, rf"{FILE} words or numbers in label, got '\[\"a\"\] in line 7'"),
    ([{**row, "label": i / 2} for i, row in enumerate(ROWS)], {},
     rf"{FILE} words or whole numbers as labels, got '\d+\.5 at line \d+, column label'"),
    ([{**row, "label": None} for row in ROWS], {}, rf"{FILE} a label in some lines, got 'none in 40 lines'"),
    ([*TESTED[:-1], {**TESTED[-1], "label": "cow"}], {"split": "part"},
     rf"{FILE} classes of which training has items \(shuffle the rows, or leave these out\), "
     "got \"'cow' at line 40, column label\""),
    ([*TESTED[:-1], {**TESTED[-1], "label": None}], {"split": "part"},
     rf"{FILE} a value in every line of column label .*got 'nothing in line 40'"),
    ([*TESTED[:-1], ROWS[-1]], {"split": "part"}, r"dataset\.split: .*got 'None in line 40'"),
    ([{**row, "part": "train"} for row in ROWS], {"split": "part"},
     r"dataset\.split: expected lines of train and of test, got '40 and 0'"),
    (ROWS, {"test": 40}, r"dataset\.validation: expected validation \+ test below 40"),
    (ROWS, {"labeled": 30}, r"dataset\.labeled: expected a number from 2 \(classes\) to 24"),
    (ROWS, {"max_length": 2}, r"dataset\.max_length: expected 3 or more: a start, a token and an end, got 2"),
    (ROWS, {"min_count": 1000, "tokenizer": "words"},
     r"dataset\.min_count: expected at most 48, as often as the most frequent of words .*, got 1000"),
    ([{**row, "text": " "} for row in ROWS], {}, r"dataset\.min_count: expected at most 0"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "options", "says"), WRONG, ids=[case[2][-50:] for case in WRONG])
def test_lines_of_no_use(
    tmp_path: Path, rows: list[dict[str, Any]], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError, match=rf"^{says}") as error:
        made(tmp_path, rows, **options)
    assert "\n" not in str(error.value)


BROKEN = [
    ("texts.jsonl", b'{"text": "a", "label": 1}\n\n{"text" "b"}',
     "a JSON object a line, got \"Expecting ':' delimiter at character 9 of line 3\""),
    ("texts.jsonl", b'{"text": "a"}\n["b", 1]', r"a JSON object a line, got '\[\"b\", 1\] in line 2'"),
    ("texts.jsonl", b'{"text": "a"}\n' + b"[" * 100_000, "a JSON object a line, got '.* in line 2'"),
    ("texts.jsonl", b'{"text": "a", "x": ' + b"1" * 9999 + b"}", "a JSON object a line, got '.* in line 1"),
    ("texts.jsonl", b'{"text": "\\ud83d", "label": 1}', r"whole characters in text, got .*in line 1"),
    ("texts.jsonl", b"\n \n", "a JSON object a line, got 'none in "),
    ("texts.jsonl", b'{"text": "a"}\n{"text": "\xff"}', "UTF-8 text .*'byte 0xff in line 2'"),
    ("texts.csv", b"text,label\na,1\n\xe9,1", "UTF-8 text .*'byte 0xe9 in line 3'"),
    ("texts.csv", b"text,label\nno, never,1", "2 cells a line, as many as column names, got '3 in line 2'"),
    ("texts.csv", b"text,label\n", "a line of column names and lines of values"),
    ("texts.doc", b"a", r"a \.csv file .* or dataset\.delimiter"),
    ("", b"", r"an existing file in .*, got 'no such file: none.csv'"),
    ("texts.csv", b'text,label\na,1\n"b,1\nc,1\n', "cells .* got 'a quotation mark .* closed in line 3'"),
    ("texts.csv", b'text,label\na,1\n"b,1\nc "d",1\n', "cells that are separated .* in lines 3 to 4"),
    ("texts.tsv", b'text\tlabel\n"b\t1\nc\t1\n\td"\t1\n', "2 cells a line, .* got '3 in line 4'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "says"), BROKEN, ids=[case[2][:40] for case in BROKEN])
def test_files_of_no_use(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    if name:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"^{FILE} {says}") as error:
        text_csv(data_dir=tmp_path, path=name or "none.csv")
    assert "\n" not in str(error.value)


def test_texts_may_be_long_or_empty(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = changed(ORDER[-1], text="many words " * 20_000)
    rows[ORDER[-2]] = {"text": "", "label": "ant"}
    for name in ("texts.csv", "texts.jsonl"):
        caplog.clear()
        with caplog.at_level(logging.INFO, "genreg"):
            dataset = made(tmp_path, rows, name, tokenizer="words", labeled=2, subset="first")
        assert dataset.unlabeled.shape == (24, 128)
        assert caplog.messages[:2] == [
            "dataset.max_length: 1 of 40 texts (2.5 %) are cut to 128 tokens",
            "dataset: 1 of 40 texts are empty, and are read as a start and an end",
        ]


def test_a_class_that_no_labeled_line_has(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = parts([("train", 30), ("test", 10)], [*ROWS[::2], *ROWS[1::2]])
    made(tmp_path, rows, split="part", labeled=3, subset="first", validation=1)
    assert caplog.messages == ["dataset.labeled: 1 of 2 classes have no labeled item: ant"]


@pytest.mark.full
def test_from_the_command_line(genreg: Callable[..., Result], tmp_path: Path) -> None:
    written(tmp_path, ROWS)
    given = ["dataset=text_csv", "dataset.path=texts.jsonl", f"data_dir={tmp_path}", "model=transformer",
             "model.width=8", "logger=none", "steps=2", "device=cpu"]  # fmt: skip
    answer = genreg("train", *given, "regularizer=vat", "dataset.max_length=12")
    assert answer.code == 0, answer.err
    assert "dataset.max_length: 40 of 40 texts (100 %) are cut to 12 tokens" in answer.out
    assert genreg("train", "task=pretrain", *given).code == 0
    answer = genreg("train", *given, "dataset.label=text")
    assert answer.err.startswith("genreg: dataset.path: expected classes of which training has items")
    written(tmp_path, [{**row, "label": "one"} for row in ROWS])
    answer = genreg("train", *given)
    assert answer.err == "genreg: dataset: expected two classes or more for task=classify, got 'one class'\n"
