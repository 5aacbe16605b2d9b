"""Shifts and flips of pictures, against torch's own padding and slicing."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import draw, small_task
from torch import Tensor

from genreg import streams
from genreg.dataset import Batch, digits
from genreg.model import MLP
from genreg.regularizer import VAT, Mirror, RandomAffine, RandomCrop
from genreg.regularizer.augmentation import reflected

MLP_OF_PICTURES = partial(MLP, widths=[16])


def batch(n: int = 400, channels: int = 3, height: int = 7, width: int = 9) -> Batch:
    return Batch(torch.rand(n, channels, height, width, generator=draw()), torch.arange(n) % 3, classes=3)


@pytest.mark.parametrize("pixels", [1, 2, 5])
def test_every_crop_is_a_slice_of_the_padded_picture_and_all_come_up(pixels: int) -> None:
    given = batch()
    found = RandomCrop(pixels=pixels).batch(given, draw(1))
    assert torch.equal(found.y, given.y)
    padded = F.pad(given.e, (pixels,) * 4, mode="reflect")
    places = [place(cropped, whole) for cropped, whole in zip(found.e, padded, strict=True)]
    sides = 2 * pixels + 1
    counts = torch.zeros(sides, sides)
    for row, column in places:
        counts[row, column] += 1
    expected = len(places) / sides
    for shifts in (counts.sum(0), counts.sum(1)):  # each is uniform
        assert (shifts - expected).abs().max() < 4 * expected**0.5
    assert torch.corrcoef(torch.tensor(places).double().T)[0, 1].abs() < 0.2  # and neither follows the other


def place(cropped: Tensor, padded: Tensor) -> tuple[int, int]:
    """Where a picture was cut out of a larger one: exactly one place."""
    _, height, width = cropped.shape
    windows = padded.unfold(1, height, 1).unfold(2, width, 1)  # (C, rows, columns, H, W)
    equal = (windows == cropped[:, None, None]).all(4).all(3).all(0)
    assert equal.sum() == 1
    row, column = equal.nonzero()[0].tolist()
    return row, column


@pytest.mark.parametrize(("n", "shift", "expected"), [
    (4, 0, [0, 1, 2, 3]), (4, 1, [1, 0, 1, 2]), (4, -2, [2, 3, 2, 1]), (4, 5, [1, 2, 3, 2]),
    (1, 4, [0]), (2, 3, [1, 0]),
])  # fmt: skip
def test_a_shift_beyond_the_picture_is_reflected_again(n: int, shift: int, expected: list[int]) -> None:
    assert reflected(torch.tensor([[shift]]), n).tolist() == [expected]


@pytest.mark.parametrize("p", [0.5, 0.1, 1.0])
def test_a_picture_is_flipped_whole_or_not_at_all(p: float) -> None:
    given = batch()
    found = Mirror(p=p).batch(given, draw(1)).e
    kept = (found == given.e).flatten(1).all(1)
    flipped = (found == given.e.flip(3)).flatten(1).all(1)
    assert torch.equal(kept, ~flipped)
    assert flipped.double().mean().item() == pytest.approx(p, abs=0.08)


def test_labeled_pictures_change_and_nothing_else_does() -> None:
    methods = {"crop": RandomCrop(pixels=2), "mirror": Mirror(), "vat": VAT()}
    task = small_task(methods, dataset=digits, model=MLP_OF_PICTURES)
    bare = small_task({"vat": VAT()}, dataset=digits, model=MLP_OF_PICTURES)
    assert not torch.equal(task.forward(0).embedding, bare.forward(0).embedding)
    assert not torch.equal(task.forward(0).embedding, task.forward(1).embedding)
    assert torch.equal(task.forward(0).embedding, task.forward(0).embedding)
    assert torch.equal(task.forward(0).unlabeled.embedding, bare.forward(0).unlabeled.embedding)
    assert torch.equal(task.dataset.test.x, bare.dataset.test.x)


@pytest.mark.parametrize(
    "method", [RandomCrop(pixels=2), Mirror(), RandomAffine()], ids=lambda m: type(m).__name__
)
def test_unlabeled_pictures_change_by_draws_of_their_own(method: Any) -> None:
    """By the hook itself, and the labeled batch as without them."""
    both = replace(method, unlabeled=True)
    bare, one, two = (
        small_task({"vat": VAT(), **more}, dataset=digits, model=MLP_OF_PICTURES)
        for more in ({}, {"a": method}, {"a": both})
    )
    assert torch.equal(one.forward(1).embedding, two.forward(1).embedding)
    pool = bare.forward(1).unlabeled.batch
    assert torch.equal(one.forward(1).unlabeled.embedding, pool.e)
    expected = method.batch(pool, streams.generator(two.seed, "noise/a/unlabeled", 1)).e
    assert not torch.equal(expected, pool.e)
    assert torch.equal(two.forward(1).unlabeled.embedding, expected)
