"""Splits, labeled subsets and the leak, on real data where there are any."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import small_task
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from genreg.dataset import (
    Dataset,
    Split,
    breast_cancer,
    digits,
    gaussian_grid,
    gaussian_ring,
    mnist,
    rt_polarity_ngram,
    swiss_roll,
    two_moons,
    zh_sentiment_ngram,
)
from genreg.dataset.base import drawn
from genreg.dataset.draw import balanced, shuffled, stratified
from genreg.dataset.images import _bundled_digits
from genreg.errors import InputError
from genreg.run.build import dataset_of


def rows(x: torch.Tensor) -> set[bytes]:
    return {row.numpy().tobytes() for row in x}


def check_splits(dataset: Dataset) -> None:
    """Labeled items come from the pool; `clean` is exactly "not in the pool"."""
    pool = rows(dataset.unlabeled)
    assert rows(dataset.labeled.x) <= pool
    for split in (dataset.validation, dataset.test):
        assert split.clean.tolist() == [row.numpy().tobytes() not in pool for row in split.x]
        assert split.x.dtype == torch.float32
        assert split.y.dtype == torch.int64


def test_digits_are_those_of_load_digits_cut_as_by_train_test_split() -> None:
    """Without the import of scikit-learn, number for number; and of random classes too, with ties."""
    pictures, y = load_digits(return_X_y=True)
    table = _bundled_digits()
    assert (table[:, :-1] == pictures).all()
    assert (table[:, -1] == y).all()
    draw = np.random.default_rng(0)
    for number in range(40):
        n = int(draw.integers(40, 300))
        y, held = draw.integers(0, draw.integers(2, 6), n), int(draw.integers(8, n // 2))
        theirs = train_test_split(np.arange(n), test_size=held, stratify=y, random_state=number)
        for ours, other in zip(stratified(y, held, number), theirs, strict=True):
            assert (ours == other).all()


def test_digits_is_a_partition_of_the_bundled_data() -> None:
    dataset = digits(labeled=50, seed=1)
    check_splits(dataset)
    assert [len(dataset.unlabeled), len(dataset.validation), len(dataset.test)] == [997, 300, 500]
    whole = torch.cat((dataset.unlabeled, dataset.validation.x, dataset.test.x))
    assert len(rows(whole)) == 1797
    assert dataset.labeled.y.bincount().tolist() == [5] * 10
    assert 0 <= whole.min() < whole.max() == 1


def test_two_moons_are_the_same_points_for_every_seed() -> None:
    a, b = two_moons(seed=0), two_moons(seed=1)
    check_splits(a)
    assert torch.equal(a.unlabeled, b.unlabeled)
    assert not torch.equal(a.labeled.x, b.labeled.x)


@pytest.mark.full
@pytest.mark.parametrize(("data", "modes", "neighbours"), [
    (gaussian_ring, 8, 2 * math.sqrt(2) * math.sin(math.pi / 8)),  # a chord
    (gaussian_grid, 25, 1 / math.sqrt(2)),  # spacing 2 over 2.828, as in the toy of WGAN-GP's code
    (gaussian_grid, 100, math.sqrt(12 / 99)),
])  # fmt: skip
def test_mixtures_are_what_their_modes_say(data: Any, modes: int, neighbours: float) -> None:
    dataset = data(modes=modes, seed=0)
    check_splits(dataset)
    truth = dataset.modes
    gaps = torch.pdist(truth.centers)
    assert gaps.min().item() == pytest.approx(neighbours, rel=1e-5)
    pool = dataset.unlabeled
    torch.testing.assert_close(pool.std(0), torch.ones(2), atol=0.02, rtol=0)
    y = torch.cdist(pool, truth.centers).argmin(1)
    assert y.bincount().min() > 0.7 * len(pool) / modes
    around = (pool - truth.centers[y]) / truth.sigma
    torch.testing.assert_close(around.std(0), torch.ones(2), atol=0.02, rtol=0)
    assert torch.equal(torch.cdist(dataset.test.x, truth.centers).argmin(1), dataset.test.y)
    assert dataset.labeled.y.bincount(minlength=modes).min() == 1000 // modes
    assert torch.equal(pool, data(modes=modes, seed=1).unlabeled)


def test_mixtures_have_the_published_widths() -> None:
    """PacGAN's standard deviations, 0.01 at radius 1 and 0.05 at spacing 2, here at other scales."""
    ring, grid = gaussian_ring().modes, gaussian_grid().modes
    assert ring is not None
    assert grid is not None
    assert ring.sigma / ring.centers[0].norm().item() == pytest.approx(0.01)
    assert grid.sigma / torch.pdist(grid.centers).min().item() == pytest.approx(0.05 / 2)


def test_swiss_roll_lies_on_its_spiral_and_has_no_labels() -> None:
    dataset = swiss_roll(noise=0.0, items=1000)
    x, z = (7.5 * dataset.unlabeled.double()).T  # t cos t, t sin t
    t = torch.hypot(x, z)
    torch.testing.assert_close(torch.stack((x, z)), t * torch.stack((t.cos(), t.sin())), atol=1e-4, rtol=0)
    assert 4.71 < t.min() < t.max() < 14.14
    assert (dataset.classes, len(dataset.labeled), dataset.input_shape) == (0, 0, [2])
    assert 0.8 < swiss_roll().unlabeled.std() < 1.0
    check_splits(dataset)


@pytest.mark.parametrize("modes", [1, 24])
def test_a_grid_has_a_square_number_of_modes(modes: int) -> None:
    with pytest.raises(InputError, match=r"dataset\.modes: expected a square number from 4"):
        gaussian_grid(modes=modes)


def test_data_without_labels_cannot_be_classified() -> None:
    with pytest.raises(InputError, match="dataset: expected one with labels"):
        small_task(dataset=swiss_roll)


@pytest.mark.full
def test_a_frame_of_zeros(data_dir: Path) -> None:
    dataset, framed = (mnist(data_dir=data_dir, labeled=20, size=size) for size in (28, 32))
    assert framed.unlabeled.shape == (50_000, 1, 32, 32)
    assert torch.equal(framed.unlabeled[:, :, 2:-2, 2:-2], dataset.unlabeled)
    assert framed.unlabeled.sum(dtype=torch.float64) == dataset.unlabeled.sum(dtype=torch.float64)
    for size in (26, 31):
        with pytest.raises(InputError, match=r"dataset\.size: expected an even number from 28"):
            mnist(data_dir=data_dir, size=size)


def test_balanced_differs_by_at_most_one_and_by_seed() -> None:
    y = torch.tensor([0] * 50 + [1] * 5 + [2] * 45)
    for n in range(3, 15):
        chosen = balanced(y, n, seed=n)
        counts = y[chosen].bincount(minlength=3)
        assert len(set(chosen.tolist())) == n
        assert counts.max() - counts.min() <= 1
    assert not torch.equal(balanced(y, 12, seed=0), balanced(y, 12, seed=1))
    with pytest.raises(InputError, match="at most 5 items of class 1"):
        balanced(y, 30, seed=0)


def test_which_classes_have_one_item_more_is_drawn_by_the_seed() -> None:
    """As any other item: each class and each item as often as the others, by Pearson's chi-square."""
    y = torch.tensor([0, 1, 2] * 4)
    chosen = [balanced(y, 5, seed) for seed in range(600)]
    more = sum((y[c].bincount(minlength=3) == 2).long() for c in chosen)
    items = torch.cat(chosen).bincount(minlength=12)
    assert int(more.sum()) == 2 * 600  # type: ignore[union-attr]
    for counts in (more, items):
        assert stats.chisquare(counts).pvalue > 0.001


def test_few_items_of_a_split_are_drawn_from_all_of_it() -> None:
    split = Split(torch.arange(12.0)[:, None], torch.arange(12), torch.arange(12) % 2 == 0)
    chosen = [drawn(split, "k", 5, seed) for seed in range(600)]
    assert all(torch.equal(c.x[:, 0].long(), c.y) and torch.equal(c.clean, c.y % 2 == 0) for c in chosen)
    assert all(len(c.y.unique()) == 5 for c in chosen)
    assert stats.chisquare(torch.cat([c.y for c in chosen]).bincount(minlength=12)).pvalue > 0.001


def test_pool_validation_and_test_have_no_item_in_common() -> None:
    parts = shuffled(20, validation=5, test=7)
    assert [len(part) for part in parts] == [8, 5, 7]
    assert sorted(torch.cat(parts).tolist()) == list(range(20))


@pytest.mark.parametrize("labeled", [0, 9, 998])
def test_too_few_or_too_many_labels(labeled: int) -> None:
    with pytest.raises(InputError, match=r"dataset.labeled: expected a number from 10 .* to 997"):
        digits(labeled=labeled)


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "first", "counts"),
    [
        ("mnist", [5, 0, 4, 1, 9], [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]),
        ("fashion_mnist", [9, 0, 0, 3, 0], [1000] * 10),
    ],
)
def test_mnist_files(name: str, first: list[int], counts: list[int], data_dir: Path) -> None:
    dataset = mnist(data_dir=data_dir, name=name, labeled=20, subset="first")
    assert dataset.unlabeled.shape == (50_000, 1, 28, 28)
    assert dataset.labeled.y[:5].tolist() == first
    assert torch.equal(dataset.labeled.x, dataset.unlabeled[:20])
    assert dataset.test.y.bincount().tolist() == counts
    assert len(dataset.validation) == len(dataset.test) == 10_000
    check_splits(dataset)


def test_zh_sentiment_leaks_as_documented(data_dir: Path) -> None:
    dataset = zh_sentiment_ngram(data_dir=data_dir, labeled=168, subset="first")
    assert [len(dataset.unlabeled), len(dataset.validation), len(dataset.test)] == [16_883, 2_111, 2_111]
    assert int((~dataset.validation.clean).sum()) == 668
    assert int((~dataset.test.clean).sum()) == 680
    assert torch.equal(dataset.labeled.x, dataset.unlabeled[:168])
    lengths = dataset.unlabeled.norm(dim=1)
    assert dataset.unlabeled.shape[1] == 300
    torch.testing.assert_close(lengths[lengths > 0.5], torch.ones(int((lengths > 0.5).sum())))


def test_zh_sentiment_vectors_carry_the_class(data_dir: Path) -> None:
    """A linear model on 16,883 labels comes near the 93.1 % of the unreduced TF-IDF; on 200 it does not."""
    dataset = zh_sentiment_ngram(data_dir=data_dir, labeled=16_883, subset="first")

    def score(n: int) -> float:
        model = LogisticRegression(max_iter=1000, C=10.0)
        model.fit(dataset.labeled.x[:n].numpy(), dataset.labeled.y[:n].numpy())
        return float(np.mean(model.predict(dataset.test.x.numpy()) == dataset.test.y.numpy()))

    assert 0.86 < score(16_883) < 0.95
    assert 0.65 < score(200) < 0.82


@pytest.mark.parametrize("more", [{}, {"data_dir": "/nowhere"}])
def test_only_a_loader_that_reads_files_is_given_their_folder(more: dict[str, str], tmp_path: Path) -> None:
    """A folder among the data set's own keys changes nothing, as in earlier versions."""
    config = {
        "dataset": {"_target_": "genreg.dataset.digits", "labeled": 30, **more},
        "data_dir": str(tmp_path),
    }
    assert len(dataset_of(config)(seed=1).labeled) == 30
    config["dataset"] = {"_target_": "genreg.dataset.npz", "path": "mine.npz", "labeled": 2, **more}
    np.savez(tmp_path / "mine.npz", X=np.eye(20), y=np.arange(20) % 2)
    assert len(dataset_of({**config, "dataset": {**config["dataset"], "validation": 4}})(seed=1).test) == 4
    config["dataset"] = {"_target_": "test_dataset.anything", **more}
    assert dataset_of(config)(seed=1).outputs == 10


def anything(**given: Any) -> Dataset:
    """A loader of one's own that takes whatever it is given."""
    assert given["data_dir"].is_dir()
    return digits(seed=given["seed"])


def test_rt_polarity_vectors_carry_the_class(data_dir: Path) -> None:
    dataset = rt_polarity_ngram(data_dir=data_dir, labeled=8_530, subset="first")
    assert [len(dataset.unlabeled), len(dataset.validation), len(dataset.test)] == [8_530, 1_066, 1_066]
    lengths = dataset.unlabeled.norm(dim=1)
    torch.testing.assert_close(lengths[lengths > 0.5], torch.ones(int((lengths > 0.5).sum())))
    model = LogisticRegression(max_iter=1000).fit(dataset.labeled.x.numpy(), dataset.labeled.y.numpy())
    assert 0.67 < model.score(dataset.test.x.numpy(), dataset.test.y.numpy()) < 0.8


def test_breast_cancer_is_standardized_in_the_pool_and_can_be_learned() -> None:
    dataset = breast_cancer(labeled=20, seed=3)
    assert [len(dataset.unlabeled), len(dataset.validation), len(dataset.test)] == [269, 100, 200]
    torch.testing.assert_close(dataset.unlabeled.mean(0), torch.zeros(30), atol=1e-5, rtol=0)
    torch.testing.assert_close(dataset.unlabeled.std(0, correction=0), torch.ones(30), atol=1e-5, rtol=0)
    everything = torch.cat((dataset.unlabeled, dataset.validation.x, dataset.test.x))
    assert len(everything.unique(dim=0)) == 569  # no item twice, in a split or across
    assert dataset.labeled.y.bincount().tolist() == [10, 10]
    whole = breast_cancer(labeled=269, subset="first")
    model = LogisticRegression(max_iter=1000).fit(whole.labeled.x.numpy(), whole.labeled.y.numpy())
    assert model.score(whole.test.x.numpy(), whole.test.y.numpy()) > 0.94
