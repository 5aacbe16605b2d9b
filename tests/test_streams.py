"""Common random numbers and batch order."""

import numpy as np
import pytest
import torch
from conftest import small_task
from seam import build, methods

from genreg import streams
from genreg.dataset import sampler
from genreg.dataset.sampler import Sampler
from genreg.regularizer import VAT, Entropy


def test_streams_differ_and_repeat() -> None:
    seeds = {streams.derive(s, name, k) for s in range(10) for name in ("model", "noise") for k in range(50)}
    assert len(seeds) == 1000
    first, again = (torch.randn(4, generator=streams.generator(3, "noise", 7)) for _ in range(2))
    assert torch.equal(first, again)


@pytest.mark.parametrize(("n", "batch"), [(7, 3), (10, 10), (5, 8), (1000, 64)])
def test_every_epoch_visits_every_item_once(n: int, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "BLOCK", 50)  # several blocks within a few epochs
    sample = Sampler(n, batch, seed=0, stream="batch/labeled", device="cpu")
    steps = 4 * n
    order = torch.cat([sample(step) for step in range(steps)]).numpy()
    assert len(order) == steps * min(n, batch)
    epochs = order[: len(order) // n * n].reshape(-1, n)
    assert (np.sort(epochs, 1) == np.arange(n)).all()
    assert len({tuple(epoch) for epoch in epochs[:20]}) > 1


@pytest.mark.parametrize(("n", "batch"), [(7, 3), (20, 6), (50, 16)])
def test_the_order_is_one_whatever_the_batch_and_no_epoch_repeats(
    n: int, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read an epoch at a time, where no batch crosses a block, and in batches that cross every block."""
    monkeypatch.setattr(sampler, "BLOCK", 50)
    of = {size: Sampler(n, size, seed=3, stream="batch/labeled", device="cpu") for size in (n, batch)}
    whole, cut = (torch.cat([of[size](k) for k in range(12 * n * batch // size)]) for size in (n, batch))
    assert torch.equal(whole, cut)
    epochs = {tuple(epoch) for epoch in whole[: 12 * n].view(12, n).tolist()}
    assert len(epochs) == 12  # of three blocks or more


def test_a_batch_depends_on_its_step_only() -> None:
    make = lambda: Sampler(997, 32, seed=5, stream="batch/unlabeled", device="cpu")  # noqa: E731
    through = make()
    batches = [through(step) for step in range(5000)]
    for step in (4999, 0, 2048, 2047, 31):
        assert torch.equal(make()(step), batches[step])
    assert not torch.equal(Sampler(997, 32, seed=6, stream="batch/unlabeled", device="cpu")(0), batches[0])


def test_arms_of_one_seed_share_weights_labels_and_batches() -> None:
    plain, vat = small_task(seed=4), small_task({"vat": VAT(), "entropy": Entropy()}, seed=4)
    other = small_task(seed=5)
    for a, b, c in zip(
        plain.weights().values(), vat.weights().values(), other.weights().values(), strict=True
    ):
        assert torch.equal(a, b)
        assert a.ndim < 2 or not torch.equal(a, c)
    assert torch.equal(plain.dataset.labeled.x, vat.dataset.labeled.x)
    assert not torch.equal(plain.dataset.labeled.x, other.dataset.labeled.x)
    for step in range(20):
        vat.step(step)
        assert torch.equal(plain.labeled_batch(step), vat.labeled_batch(step))


@pytest.mark.parametrize("task", ["classify", "wgan"])
def test_no_stream_of_an_evaluation_is_one_of_training(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that how often it is evaluated changes no run, and no run is judged on what it trained with."""
    names, derive = set[str](), streams.derive

    def note(seed: int, stream: str, counter: int = 0) -> int:
        names.add(stream)
        return derive(seed, stream, counter)

    made = build(task, methods(["vat"] if task == "classify" else ["gradient_penalty"]))
    monkeypatch.setattr(streams, "derive", note)
    made.step(0)
    training = set(names)
    names.clear()
    made.evaluate()
    assert not training & names
    batches = {"classify": {"batch/labeled", "batch/unlabeled"}, "wgan": {"batch/real"}}
    assert {name for name in training if name.startswith("batch/")} == batches[task]


def test_a_method_draws_from_its_own_stream_at_either_pass() -> None:
    """Whatever others have drawn, and whichever pass it asks."""
    forward = small_task({"entropy": Entropy()}).forward(2)
    others = [torch.rand(5, generator=f.draw) for f in (forward.of("b"), forward.of("b").unlabeled)]
    mine = [torch.rand(5, generator=f.draw) for f in (forward.of("a").unlabeled, forward.of("a"))]
    own = streams.generator(0, streams.of_method("a"), 2)
    assert torch.equal(torch.cat(mine), torch.rand(10, generator=own))
    assert not torch.equal(torch.cat(mine), torch.cat(others))
