"""Texts as rows of token numbers, on real data where there are any; what is said of them in the log."""

import logging
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genreg import download
from genreg.dataset import Dataset, rt_polarity, zh_sentiment
from genreg.dataset import texts as token_rows
from genreg.dataset.rt_polarity import SOURCE
from genreg.dataset.texts import Texts, text_dataset, tokenizer
from genreg.dataset.tokenizer import Tokenizer, Vocabulary
from genreg.dataset.zh_sentiment import read_texts
from genreg.errors import InputError

POOL = ["good film", "bad film", "a good one", "a bad one"]
HELD_OUT = ["good", "bad one"]


@pytest.fixture(autouse=True)
def _no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def texts(lines: list[str]) -> Texts:
    """Classes 0 and 1 in turn."""
    return Texts(lines, np.arange(len(lines)) % 2)


def made(pool: list[str] = POOL, test: list[str] = HELD_OUT, **options: Any) -> Dataset:
    given = {"by": "words", "min_count": 1, "max_length": 9, "labeled": None, "subset": "balanced"}
    splits = (texts(pool), texts(HELD_OUT), texts(test))
    return text_dataset(*splits, seed=0, checksums={}, **{**given, **options})  # type: ignore[arg-type]


def known(dataset: Dataset) -> Vocabulary:
    assert dataset.vocabulary is not None
    return dataset.vocabulary


def told(dataset: Dataset, x: torch.Tensor) -> list[list[str]]:
    """The tokens of rows, without padding."""
    vocabulary = known(dataset)
    return [[vocabulary.tokens[i] for i in row if i != vocabulary.pad] for row in x.tolist()]


@pytest.fixture
def reviews(data_dir: Path) -> Dataset:
    return zh_sentiment(data_dir=data_dir, min_count=1, max_length=512)


@pytest.mark.full
def test_characters_say_the_text_again(reviews: Dataset, data_dir: Path) -> None:
    train = read_texts(data_dir / "zh_sentiment" / "sentiment.zip")["train"].texts
    for text, tokens in zip(train, told(reviews, reviews.unlabeled), strict=True):
        assert (tokens[0], tokens[-1]) == ("[CLS]", "[SEP]")
        assert "".join(tokens[1:-1]) == text[:510]


@pytest.mark.full
def test_what_stands_in_the_pool_too_is_not_clean(reviews: Dataset) -> None:
    assert [len(reviews.unlabeled), len(reviews.validation), len(reviews.test)] == [16_883, 2_111, 2_111]
    assert (reviews.items["validation_clean"], reviews.items["test_clean"]) == (1_443, 1_431)
    seen = {tuple(row) for row in reviews.unlabeled.tolist()}
    leaked = torch.tensor([tuple(row) in seen for row in reviews.test.x.tolist()])
    assert not reviews.test.clean[leaked].any()


@pytest.mark.full
def test_a_vocabulary_is_read_from_the_pool_alone(data_dir: Path) -> None:
    dataset = zh_sentiment(data_dir=data_dir)
    split = read_texts(data_dir / "zh_sentiment" / "sentiment.zip")
    seen = {character for text in split["train"].texts for character in text}
    only = {character for text in split["test"].texts for character in text} - seen
    assert only
    assert not only & set(known(dataset).tokens)
    for text, tokens in zip(split["test"].texts, told(dataset, dataset.test.x), strict=True):
        for character, token in zip(text, tokens[1:-1], strict=False):
            assert token in (character, "[UNK]")
            assert token == "[UNK]" or character not in only
    assert known(dataset).frequencies.sum().item() == pytest.approx(1)


@pytest.mark.full
def test_rt_polarity_is_split_once_and_for_all(data_dir: Path) -> None:
    dataset, other = (rt_polarity(data_dir=data_dir, seed=seed) for seed in (0, 1))
    assert dataset.items == {"labeled": 100, "unlabeled": 8_530, "validation": 1_066, "test": 1_066}
    assert torch.equal(dataset.test.x, other.test.x)
    assert torch.equal(dataset.unlabeled, other.unlabeled)
    assert not torch.equal(dataset.labeled.x, other.labeled.x)
    again = rt_polarity(data_dir=data_dir, seed=0, subset="balanced")
    assert torch.equal(dataset.labeled.x, again.labeled.x)
    for split, n in ((dataset.labeled, 50), (dataset.validation, 533), (dataset.test, 533)):
        assert split.y.bincount().tolist() == [n, n]
    assert dataset.validation.clean.all()
    assert dataset.test.clean.all()
    order = torch.randperm(5331, generator=torch.Generator().manual_seed(0)).tolist()
    lines = (data_dir / "rt_polarity" / "rt-polarity.pos").read_text("utf-8").split("\n")
    assert dataset.test.y[1] == 1
    (tokens,) = told(dataset, dataset.test.x[1:2])
    pattern = "".join(".+" if token == "[UNK]" else re.escape(token) for token in tokens[1:-1])
    assert re.fullmatch(pattern, lines[order[533]].replace(" ", ""))


@pytest.mark.full
def test_labeled_texts_are_the_same_whatever_reads_them(data_dir: Path) -> None:
    read = partial(rt_polarity, data_dir=data_dir, min_count=1, max_length=400)
    a, b = (read(tokenizer=name) for name in ("characters", "words"))
    spoken, words = (["".join(tokens[1:-1]) for tokens in told(d, d.labeled.x)] for d in (a, b))
    assert [text.replace(" ", "") for text in spoken] == words


@pytest.mark.parametrize("by", ["characters", "words"])
def test_what_is_kept_is_what_is_made(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = [*POOL, "a new film"]
    lines = {"pool": pool, "validation": HELD_OUT, "test": ["", "a strange film"]}
    cut = tokenizer(by, pool, 2)
    fresh, first = token_rows.encode(lines, cut, 7), token_rows.cached(lines, cut, 7)
    others = [token_rows.cached(lines, tokenizer(by, pool, 1), 7), token_rows.cached(lines, cut, 4)]
    assert all(other["pool"].tolist() != fresh["pool"].tolist() for other in others)
    monkeypatch.setattr(token_rows, "encode", lambda *_: pytest.fail("made anew"))
    second = token_rows.cached(lines, cut, 7)
    for name, array in fresh.items():
        assert array.dtype == first[name].dtype == second[name].dtype
        assert np.array_equal(array, first[name])
        assert np.array_equal(array, second[name])


def test_lengths_and_padding() -> None:
    dataset = made()
    assert told(dataset, dataset.unlabeled) == [["[CLS]", *line.split(), "[SEP]"] for line in POOL]
    assert dataset.unlabeled.shape == (4, 5)
    assert dataset.test.x.shape == (2, 5)
    assert dataset.unlabeled.dtype == torch.int32
    assert dataset.unlabeled[0, 4] == known(dataset).pad
    assert told(dataset, made(max_length=4).unlabeled[2:3]) == [["[CLS]", "a", "good", "[SEP]"]]
    assert known(dataset).tokens[5:] == ["a", "bad", "film", "good", "one"]
    assert known(dataset).counts.tolist() == [2, 0, 0, 4, 4, 2, 2, 2, 2, 2]
    assert told(dataset, made(["good film good", "film"]).unlabeled)[1][1] in known(dataset).tokens


def test_spaces_around_a_text_do_not_make_it_clean() -> None:
    assert made(test=[" good film\t", "good film !"]).test.clean.tolist() == [False, True]


def test_what_is_cut_or_empty_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "genreg"):
        made(max_length=5)
        assert not caplog.records
        dataset = made([*POOL, "long " * 20_000, ""], max_length=5)
    assert dataset.unlabeled.shape == (6, 5)
    assert told(dataset, dataset.unlabeled[5:]) == [["[CLS]", "[SEP]"]]
    assert caplog.messages == [
        "dataset.max_length: 1 of 10 texts (10 %) are cut to 5 tokens",
        "dataset: 1 of 10 texts are empty, and are read as a start and an end",
    ]


@pytest.mark.parametrize(("names", "absent"), [((), "1"), (("bad", "good"), "good")])
def test_a_class_without_a_labeled_item_is_named(
    names: tuple[str, ...], absent: str, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = (Texts(POOL, np.array(y)) for y in ([0, 0, 1, 1], [0, 1, 0, 1]))
    dataset = text_dataset(one, two, two, by="words", min_count=1, max_length=9, labeled=2, subset="first",
                           seed=0, checksums={}, names=names)  # fmt: skip
    assert dataset.classes == 2
    assert caplog.messages == [f"dataset.labeled: 1 of 2 classes have no labeled item: {absent}"]


def test_names_of_no_tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for name, says in ((tmp_path / "file", "the name of an encoder on the hub, or a folder"),
                       (tmp_path, "a folder that save_pretrained wrote")):  # fmt: skip
        with pytest.raises(InputError, match=f"dataset.tokenizer: expected characters, words or {says}"):
            made(by=str(name))
    monkeypatch.setitem(sys.modules, "transformers", None)
    says = r"words or transformers, which `pip install -e '.\[text\]'` in the checkout brings, got 'wrods'"
    with pytest.raises(InputError, match=f"dataset.tokenizer: expected characters, {says}"):
        made(by="wrods")


def test_how_often_a_token_must_stand() -> None:
    assert known(made(["a b", "a c"], min_count=2)).tokens[5:] == ["a"]
    says = r"at most 2, as often as the most frequent of words stands in the pool, got 3"
    with pytest.raises(InputError, match=rf"dataset\.min_count: expected {says}"):
        made(min_count=3)
    with pytest.raises(InputError, match=r"dataset\.max_length: expected 3 or more"):
        made(max_length=2)


class Letters(Tokenizer):
    """An encoder's tokenizer in small: letters are their places in the alphabet."""

    tokens = ("[PAD]", *"abcdefghijklmnopqrstuvwxyz", "[END]")
    pad, mask, special, identity = 0, None, frozenset({0, 27}), "letters"

    def __call__(self, texts: Any, longest: int) -> list[list[int]]:
        return [[*(ord(c) - 96 for c in text[: longest - 1]), 27] for text in texts]


def test_a_tokenizer_of_its_own_needs_no_min_count(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("genreg.dataset.texts.EncoderTokenizer", lambda name: Letters())
    with caplog.at_level(logging.INFO, "genreg"):
        dataset = made(["abc", "abcd", "b", "c"], ["xyz"], by="letters", min_count=100, max_length=4)
    assert told(dataset, dataset.test.x) == [["x", "y", "z", "[END]"]]
    assert caplog.messages[0].startswith("dataset.max_length: 3 of 7 texts")
    assert known(dataset).special == {0, 27}


def test_a_damaged_file_is_named(data_dir: Path, tmp_path: Path) -> None:
    for name in ("rt-polarity.neg", "rt-polarity.pos"):
        (tmp_path / "rt_polarity").mkdir(exist_ok=True)
        raw = (data_dir / "rt_polarity" / name).read_bytes()
        (tmp_path / "rt_polarity" / name).write_bytes(raw + b"x" * name.endswith("pos"))
    with pytest.raises(InputError, match=r"rt-polarity\.pos: expected sha256 4134882974"):
        rt_polarity(data_dir=tmp_path)
    assert download.state(SOURCE, tmp_path) == "damaged"
