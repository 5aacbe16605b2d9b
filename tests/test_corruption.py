"""Wrong labels and corrupted copies of test: by hand, drawn by streams of their own, off unless asked."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from conftest import Result, draw, normal, small_task

from genreg.dataset import Split, corrupted, diabetes, digits, mislabeled, two_moons
from genreg.dataset.corruption import blur, noise, shift
from genreg.errors import InputError
from genreg.loss import MSE
from genreg.run.identity import experiment_hash
from genreg.task.classify import Classify

OFF = {"label_noise": 0.0, "corruption": {"noise": 0.0, "blur": 0.0, "shift": 0}}


def labels(n: int = 1000, classes: int = 5) -> Split:
    y = torch.randint(classes, (n,), generator=draw())
    return Split(torch.arange(n)[:, None].float(), y, torch.zeros(n, dtype=torch.bool))


@pytest.mark.parametrize("rate", [0.1, 0.333, 0.9])
def test_so_many_labels_are_wrong_and_each_other_class_as_often(rate: float) -> None:
    before = labels(10_000)
    after = mislabeled(before, 5, rate, seed=0)
    wrong = after.y != before.y
    assert int(wrong.sum()) == round(rate * 10_000)
    assert torch.equal(after.x, before.x)
    away = torch.bincount((after.y - before.y)[wrong] % 5, minlength=5)
    assert away[0] == 0
    expected = wrong.sum() / 4
    assert ((away[1:] - expected).abs() < 5 * (0.75 * expected).sqrt()).all()


def test_wrong_labels_are_the_seeds_and_stay_wrong_at_a_higher_rate() -> None:
    before = labels()
    low, high, again, other = (
        mislabeled(before, 5, rate, seed).y for rate, seed in ((0.2, 0), (0.5, 0), (0.2, 0), (0.2, 1))
    )
    assert torch.equal(low, again)
    assert not torch.equal(low, other)
    assert torch.equal(low[low != before.y], high[low != before.y])


def test_only_labeled_items_are_mislabeled() -> None:
    plain, wrong = small_task(seed=3), small_task(seed=3, label_noise=0.4)
    a, b = plain.dataset, wrong.dataset
    assert int((a.labeled.y != b.labeled.y).sum()) == 20
    for ours, theirs in ((a.validation, b.validation), (a.test, b.test)):
        assert torch.equal(ours.y, theirs.y)
        assert torch.equal(ours.x, theirs.x)
    assert torch.equal(a.labeled.x, b.labeled.x)
    assert torch.equal(plain.labeled_batch(7), wrong.labeled_batch(7))
    assert all(map(torch.equal, plain.weights().values(), wrong.weights().values()))
    assert wrong.sample.y is b.labeled.y


def test_noise_and_its_size() -> None:
    x = normal(200, 1, 8, 8)
    found = noise(x, 0.3, draw()) - x
    assert found.std().item() == pytest.approx(0.3, rel=0.03)
    assert found.mean().item() == pytest.approx(0, abs=0.01)


def test_blur_by_hand() -> None:
    """A point becomes the kernel, a plane stays one, and sums are kept within."""
    point = torch.zeros(1, 2, 15, 15, dtype=torch.float64)
    point[0, 0, 7, 7] = 1
    found = blur(point, 1.0, draw())
    row = torch.exp(-0.5 * torch.arange(-3.0, 4.0, dtype=torch.float64) ** 2)
    row = row / row.sum()
    torch.testing.assert_close(found[0, 0, 4:11, 4:11], row[:, None] * row[None], rtol=1e-12, atol=1e-15)
    assert not found[0, 1].any()
    flat = torch.full((2, 1, 5, 6), 0.7, dtype=torch.float64)
    torch.testing.assert_close(blur(flat, 2.0, draw()), flat, rtol=1e-12, atol=0)


def test_shift_by_hand() -> None:
    x = torch.arange(1.0, 601).reshape(10, 2, 5, 6)
    found, where = shift(x, 2, draw()), torch.randint(-2, 3, (2, 10, 1), generator=draw())
    for i in range(10):
        down, right = where[:, i, 0].tolist()
        expected = torch.zeros(2, 5, 6)
        for a in range(5):
            for b in range(6):
                if 0 <= a - down < 5 and 0 <= b - right < 6:
                    expected[:, a, b] = x[i, :, a - down, b - right]
        assert torch.equal(found[i], expected)
    assert len({tuple(pair) for pair in where[:, :, 0].T.tolist()}) > 4


def test_a_copy_is_the_seeds_and_does_not_depend_on_others() -> None:
    test = digits().test
    alone = corrupted(test, {"noise": 0.2}, 4, "k")["noise"].x
    beside = corrupted(test, {"shift": 1, "noise": 0.2, "blur": 0.0}, 4, "k")
    assert sorted(beside) == ["noise", "shift"]
    assert torch.equal(alone, beside["noise"].x)
    assert not torch.equal(alone, corrupted(test, {"noise": 0.2}, 5, "k")["noise"].x)
    assert torch.equal(beside["shift"].y, test.y)


def test_robustness_is_a_row_and_nothing_else_moves() -> None:
    plain, given = small_task(seed=1), {"noise": 0.4, "blur": 1.0, "shift": 2}
    made = small_task(seed=1, corruption=given)
    for step in range(60):
        plain.step(step)
        made.step(step)
    before, after = plain.evaluate(), made.evaluate()
    more = {f"test_{kind}/{name}" for kind in given for name in ("accuracy", "cross_entropy")}
    assert after.keys() - before.keys() == more
    assert all(after[key] == value for key, value in before.items())
    assert all(after[f"test_{kind}/accuracy"] < after["test/accuracy"] for kind in given)
    assert made.items == {**plain.items, **{f"test_{kind}": 500 for kind in given}}


def test_off_is_bit_for_bit_what_was_and_the_folder_stays() -> None:
    plain, off = small_task(), small_task(**OFF)
    assert plain.step(0) == off.step(0)
    assert plain.evaluate() == off.evaluate()
    before: dict[str, Any] = {"_target_": "genreg.task.classify.Classify", "batch_size": 32}
    whole = {"label_noise": 0, "corruption": {"noise": 0, "blur": 0, "shift": 0.0}}
    for same in (OFF, whole):
        assert experiment_hash({"task": before}) == experiment_hash({"task": {**before, **same}})
    for other in ({"label_noise": 0.1}, {"corruption": {"noise": 0.1, "blur": 0.0, "shift": 0}}):
        assert experiment_hash({"task": before}) != experiment_hash({"task": {**before, **OFF, **other}})


def real(**options: Any) -> Classify:
    return small_task(dataset=diabetes, loss=MSE(), **options)


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "real targets": (lambda: real(label_noise=0.1), "label_noise: expected 0 for a dataset without classes"),
    "blurred points": (
        lambda: small_task(dataset=partial(two_moons, labeled=8), corruption={"blur": 1.0}),
        "corruption.blur: expected 0 for data that are not pictures",
    ),
    "half a pixel": (
        lambda: small_task(corruption={"shift": 0.5}),
        "corruption.shift: expected a whole number",
    ),
    "off the picture": (
        lambda: small_task(corruption={"shift": 8}),
        "corruption.shift: expected a whole .* below 8",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_said_with_its_key(name: str) -> None:
    make, said = REFUSED[name]
    with pytest.raises(InputError, match=rf"task\.{said}"):
        make()


def test_real_targets_may_be_asked_under_noise() -> None:
    assert "test_noise/mse" in real(corruption={"noise": 0.5}).evaluate()


@pytest.mark.full
@pytest.mark.parametrize(("override", "said"), [
    ("task.label_noise=1.5", "task.label_noise"), ("task.corruption.noise=-1", "task.corruption.noise"),
    ("task.corruption.fog=1", "task.corruption.fog"), ("task.corruption.blur=much", "task.corruption.blur"),
])  # fmt: skip
def test_a_bad_value_is_one_line(genreg: Callable[..., Result], override: str, said: str) -> None:
    result = genreg("train", override, "steps=1", "logger=none")
    assert result.code == 2
    assert said in result.err
    assert len(result.err.strip().splitlines()) <= 2


@pytest.mark.full
def test_the_command_line_makes_such_rows(genreg: Callable[..., Result]) -> None:
    result = genreg("train", "task.label_noise=0.2", "task.corruption.noise=0.3", "steps=2", "eval_every=2",
                    "logger=none", "device=cpu")  # fmt: skip
    assert result.code == 0
    assert "test_noise/accuracy" in result.out
