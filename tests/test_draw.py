"""Drawn splits and subsets: none depends on the order in which a file has its items."""

import logging
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Result
from PIL import Image

from genreg.dataset import Dataset, image_folder, npz, table, text_csv
from genreg.dataset.base import assemble
from genreg.dataset.draw import apportioned, proportional, shuffled
from genreg.errors import InputError
from genreg.run.identity import experiment_hash

COUNTS = [20, 60, 120]
Y = np.repeat([0, 1, 2], COUNTS)
"""Class by class, as a sorted file has them."""


def largest_remainder(counts: list[int], n: int) -> list[int]:
    """Hamilton's method by fractions, for shares whose remainders all differ."""
    exact = [Fraction(n * count, sum(counts)) for count in counts]
    whole = [int(share) for share in exact]
    first = sorted(range(len(counts)), key=lambda c: exact[c] - whole[c], reverse=True)
    for c in first[: n - sum(whole)]:
        whole[c] += 1
    return whole


def test_largest_remainders() -> None:
    draw = torch.Generator().manual_seed(0)
    for counts, n in (([53, 29, 11, 7], 13), ([53, 29, 11, 7], 99), ([1000, 1, 2], 17)):
        assert apportioned(torch.tensor(counts), n, draw).tolist() == largest_remainder(counts, n)
    found = {tuple(apportioned(torch.tensor([10, 10, 10]), 4, draw).tolist()) for _ in range(30)}
    assert found == {(2, 1, 1), (1, 2, 1), (1, 1, 2)}  # equal remainders have no order


def test_a_proportional_subset_has_the_proportions_of_the_pool() -> None:
    y = torch.from_numpy(Y)
    chosen = proportional(y, 40, seed=0)
    assert y[chosen].bincount().tolist() == [4, 12, 24]
    assert len(chosen.unique()) == 40
    assert not torch.equal(chosen, proportional(y, 40, seed=1))
    rare = torch.tensor([0] * 97 + [1, 2, 2])
    assert rare[proportional(rare, 3, seed=0)].bincount().tolist() == [1, 1, 1]
    assert rare[proportional(rare, 10, seed=0)].bincount().tolist() == [8, 1, 1]
    assert sorted(proportional(rare, 100, seed=0).tolist()) == list(range(100))


def test_subset_proportional_of_a_data_set(data_dir: Path) -> None:
    y = torch.from_numpy(Y)
    split = assembled(y, 50).validation
    for n, counts in ((50, [5, 15, 30]), (4, [1, 1, 2])):
        assert assembled(y, n).labeled.y.bincount().tolist() == counts
    assert len(split) == len(y)
    with pytest.raises(InputError, match="from 3"):
        assembled(y, 2)


def assembled(y: torch.Tensor, labeled: int) -> Dataset:
    from genreg.dataset import Split

    whole = Split(y[:, None].float(), y, torch.ones(len(y), dtype=torch.bool))
    return assemble((whole.x, y), whole, whole, labeled=labeled, subset="proportional", seed=0)


def test_a_stratified_split_has_all_classes_in_their_proportions(caplog: pytest.LogCaptureFixture) -> None:
    parts = shuffled(len(Y), 37, 21, np.array(["c", "a", "b"])[Y])
    assert sorted(torch.cat(parts).tolist()) == list(range(len(Y)))
    assert [len(part) for part in parts] == [142, 37, 21]
    for part in parts:
        counts = np.bincount(Y[part], minlength=3)
        assert (abs(counts - len(part) * np.array(COUNTS) / len(Y)) < 1.01).all()
        assert (np.diff(Y[part]) < 0).any()  # in random order
    assert not caplog.messages


def test_a_class_of_few_items_is_in_training_first(caplog: pytest.LogCaptureFixture) -> None:
    labels = np.repeat(["many", "two", "one"], [40, 2, 1])
    pool, validation, test = shuffled(43, 12, 12, labels)
    assert set(labels[pool]) == {"many", "two", "one"}
    assert "two" in {*labels[validation], *labels[test]}
    with caplog.at_level(logging.WARNING, "genreg"):
        shuffled(43, 12, 12, labels)
    assert "2 of 3 classes have no item in validation or in test, being too few: one, two" in caplog.text


def test_without_classes_a_split_is_that_of_earlier_versions() -> None:
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    for labels in (None, np.zeros(50), np.arange(50)):  # the last: no class has an item to give away
        pool, validation, test = shuffled(50, 10, 15, labels)
        assert torch.equal(torch.cat((validation, test, pool)), order)
        assert (len(validation), len(test)) == (10, 15)


def sorted_npz(folder: Path, **options: Any) -> Dataset:
    np.savez(folder / "whole.npz", X=Y[:, None] + 0.5, y=Y)
    return npz(data_dir=folder, path="whole.npz", validation=40, test=50, labeled=None, **options)


def sorted_train_npz(folder: Path, **options: Any) -> Dataset:
    x = Y[:, None] + 0.5
    np.savez(folder / "train.npz", x_train=x, y_train=Y, x_test=x, y_test=Y)
    return npz(data_dir=folder, path="train.npz", validation=40, labeled=None, **options)


def sorted_table(folder: Path, **options: Any) -> Dataset:
    lines = [f"{i % 7},{'abc'[y]}" for i, y in enumerate(Y)]
    (folder / "table.csv").write_text("\n".join(["one,target", *lines]))
    return table(data_dir=folder, validation=0.2, test=0.25, **options)


def sorted_table_with_test(folder: Path, **options: Any) -> Dataset:
    lines = [f"{i % 7},{'abc'[y]},train" for i, y in enumerate(Y)] + [f"0,{c},test" for c in "abc"]
    (folder / "split.csv").write_text("\n".join(["one,target,part", *lines]))
    return table(data_dir=folder, path="split.csv", split="part", validation=40, **options)


def sorted_texts(folder: Path, **options: Any) -> Dataset:
    lines = [f"text {i},{'abc'[y]}" for i, y in enumerate(Y)] + ["text,"] * 30
    (folder / "texts.csv").write_text("\n".join(["text,label", *lines]))
    return text_csv(data_dir=folder, validation=40, test=50, **options)


def sorted_pictures(folder: Path, **options: Any) -> Dataset:
    draw = np.random.default_rng(0)
    for i, y in enumerate(Y):
        (folder / "pictures" / "abc"[y]).mkdir(parents=True, exist_ok=True)
        picture = draw.integers(256, size=(2, 2, 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / "pictures" / "abc"[y] / f"{i}.bmp")
    return image_folder(data_dir=folder, size=2, validation=40, test=50, **options)


@pytest.mark.parametrize("made", [sorted_npz, sorted_train_npz, sorted_table, sorted_table_with_test,
                                  sorted_texts, sorted_pictures])  # fmt: skip
def test_own_data_that_stand_class_by_class_are_split_by_class(
    made: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    dataset = made(tmp_path, stratify=True)
    assert dataset.validation.y.bincount().tolist() == [4, 12, 24]
    if len(dataset.test) == 50:
        assert dataset.test.y.bincount().tolist() == [5, 15, 30]
    before = made(tmp_path)
    assert before.validation.y.bincount(minlength=3).tolist() != [4, 12, 24]
    assert len(before.validation) == 40


def test_real_targets_of_a_sorted_file_are_drawn(tmp_path: Path) -> None:
    y = np.linspace(0, 1, 50)
    np.savez(tmp_path / "real.npz", x_train=y[:, None], y_train=y, x_test=y[:, None], y_test=y)
    options: dict[str, Any] = {"data_dir": tmp_path, "path": "real.npz", "validation": 10, "labeled": None}
    assert npz(**options).validation.y.min() > 0.8  # the last, as in earlier versions
    drawn = npz(**options, stratify=True)
    assert drawn.validation.y.min() < 0.3
    assert torch.equal(drawn.labeled.y, drawn.labeled.y.sort(0).values)  # the pool keeps its order


@pytest.mark.full
def test_runs_of_earlier_versions_are_found_again(genreg: Callable[..., Result], tmp_path: Path) -> None:
    """A configuration without the key is that of `stratify=false`; what is typed today is another run."""
    then: dict[str, Any] = {"dataset": {"_target_": "genreg.dataset.npz", "path": "a.npz"}, "seed": 0}
    with_key = [{**then, "dataset": {**then["dataset"], "stratify": value}} for value in (False, True)]
    assert experiment_hash(then) == experiment_hash(with_key[0]) != experiment_hash(with_key[1])
    sorted_train_npz(tmp_path)
    given = ["dataset=npz", "dataset.path=train.npz", f"data_dir={tmp_path}", "dataset.validation=10",
             "dataset.labeled=null", "model=linear", "steps=1", "logger=none", "device=cpu"]  # fmt: skip
    answer = genreg("train", *given, f"output_dir={tmp_path}/now")
    assert answer.code == 0, answer.err
    (config,) = tmp_path.glob("now/**/config.yaml")
    assert "stratify: true" in config.read_text()
    config.write_text(config.read_text().replace("  stratify: true\n", ""))  # as an earlier version wrote it
    answer = genreg("train", "--like", str(config.parent), f"output_dir={tmp_path}/again")
    assert answer.code == 0, answer.err
    (again,) = tmp_path.glob("again/**/config.yaml")
    answer = genreg("train", *given, "dataset.stratify=false", f"output_dir={tmp_path}/again")
    assert answer.out.startswith("finished already")
    assert [again] == list(tmp_path.glob("again/**/config.yaml"))
