"""Batches of texts of like length: what every step shows, and how wide."""

from itertools import pairwise

import pytest
import torch
from conftest import draw

from genreg.dataset.sampler import WINDOW, Buckets, Sampler, sampler
from genreg.dataset.tokenizer import Vocabulary

BATCH, N = 4, 2 * WINDOW * 4
LENGTHS = torch.randint(3, 60, (N,), generator=draw())
ROWS = (torch.arange(60) < LENGTHS[:, None]).int() * torch.arange(1, N + 1)[:, None]
"""Row i is LENGTHS[i] times i + 1, then padding."""


def buckets(lengths: torch.Tensor = LENGTHS, batch: int = BATCH, seed: int = 0) -> Buckets:
    return Buckets(lengths, batch, seed=seed, stream="batch/unlabeled", device="cpu")


def plain(n: int = N, batch: int = BATCH) -> Sampler:
    return Sampler(n, batch, seed=0, stream="batch/unlabeled", device="cpu")


@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_every_item_comes_once_an_epoch(epoch: int) -> None:
    made, steps = buckets(), range(epoch * N // BATCH, (epoch + 1) * N // BATCH)
    assert sorted(torch.cat([made(step) for step in steps]).tolist()) == list(range(N))


def test_a_window_shows_what_a_plain_order_shows_sorted() -> None:
    made, other = buckets(), plain()
    for window in range(4):
        steps = range(window * WINDOW, (window + 1) * WINDOW)
        mine, theirs = (torch.cat([order(step) for step in steps]) for order in (made, other))
        assert sorted(mine.tolist()) == sorted(theirs.tolist())
        ranges = sorted((LENGTHS[made(s)].min().item(), LENGTHS[made(s)].max().item()) for s in steps)
        assert all(a[1] <= b[0] for a, b in pairwise(ranges))
        widest = [int(LENGTHS[made(s)].max()) for s in steps]
        assert widest != sorted(widest)


@pytest.mark.parametrize("n", [N - 5, N + 37])
def test_windows_across_epochs_hold_what_a_plain_order_holds(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where neither epochs nor blocks end with a window; and batches of each come in an order of its own."""
    monkeypatch.setattr("genreg.dataset.sampler.BLOCK", n + 1)
    lengths = torch.randint(3, 60, (n,), generator=draw(1))
    made, other, orders = buckets(lengths), plain(n), set()
    for window in (0, 1, 2, 7, 3):
        steps = range(window * WINDOW, (window + 1) * WINDOW)
        shown = [made(step) for step in steps]
        assert sorted(torch.cat(shown).tolist()) == sorted(torch.cat([other(s) for s in steps]).tolist())
        orders.add(tuple(torch.stack([lengths[rows].double().mean() for rows in shown]).argsort().tolist()))
    assert len(orders) == 5


@pytest.mark.full
def test_a_step_is_the_same_whatever_came_before() -> None:
    forth = [buckets()(step).tolist() for step in range(100)]
    made = buckets()
    for step in torch.randperm(100, generator=draw()).tolist():
        assert made(step).tolist() == forth[step]
    assert [buckets(seed=1)(step).tolist() for step in range(100)] != forth


def test_batches_are_as_wide_as_their_longest_text() -> None:
    made = buckets()
    for step in (70, 3, 3, 31, 32):
        x, rows = made.take(ROWS, step), made(step)
        assert x.shape == (BATCH, int(LENGTHS[rows].max()))
        assert torch.equal(x, ROWS[rows][:, : x.shape[1]])
        assert (x != 0).sum(1).tolist() == LENGTHS[rows].tolist()


def test_fewer_than_a_window_are_not_sorted() -> None:
    few = WINDOW * BATCH - 1
    made, other = buckets(LENGTHS[:few]), plain(few)
    for step in range(100):
        assert torch.equal(made(step), other(step))
        assert made.take(ROWS[:few], step).shape[1] == LENGTHS[made(step)].max()
    assert buckets(LENGTHS[:3])(7).shape == (3,)


def test_little_is_padding() -> None:
    def padding(order: Sampler) -> float:
        shown = [order.take(ROWS, step) for step in range(2 * WINDOW)]
        return sum(int((x == 0).sum()) for x in shown) / sum(x.numel() for x in shown)

    assert padding(buckets()) < 0.1
    assert padding(plain()) > 0.4


def test_only_texts_are_sorted() -> None:
    vocabulary = Vocabulary(["[PAD]", "a"], torch.ones(2))
    assert type(sampler(ROWS, 4, None, 0, "batch/labeled")) is Sampler
    found = sampler(ROWS, 4, vocabulary, 0, "batch/unlabeled")
    assert [found(step).tolist() for step in range(9)] == [buckets()(step).tolist() for step in range(9)]
