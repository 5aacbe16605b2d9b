"""Methods that vat is published beside, against loops written by hand in float64."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import normal
from scipy import stats
from test_examples import RATE, SEED, STEPS, Weights, agrees, dropped, net, noise, task, weights
from torch import Tensor

from genreg import streams
from genreg.dataset import Batch
from genreg.errors import InputError
from genreg.regularizer import (
    CutMix,
    Flooding,
    MeanTeacher,
    Mixup,
    PiModel,
    PseudoLabel,
    Ramp,
    TemporalEnsembling,
    WeightAverage,
)
from genreg.regularizer.mixing import symmetric_beta


def beta(alpha: float, u: float, v: float) -> float:
    """Beta(alpha, alpha) from Student's t."""
    t = math.sqrt((1 - u) ** (-1 / alpha) - 1) * math.cos(2 * math.pi * v)
    return 0.5 + 0.5 * t / math.sqrt(1 + t * t)


def test_mixup_by_hand() -> None:
    def objective(step: int, w: Weights, x: Tensor, y: Tensor, pool: Tensor) -> Tensor:
        draw = noise("noise/mixup", step)
        share = beta(0.4, *torch.rand(2, generator=draw, dtype=torch.float64).tolist())
        order = torch.randperm(8, generator=draw)
        log_p = net(w, share * x + (1 - share) * x[order]).log_softmax(1)
        first, second = (log_p[torch.arange(8), c] for c in (y, y[order]))
        return -(share * first + (1 - share) * second).mean()

    agrees({"mixup": Mixup(alpha=0.4)}, objective)


@pytest.mark.full
@pytest.mark.parametrize("alpha", [1e-4, 0.2, 0.5, 1.0, 7.0])
def test_the_share_of_mixup_is_beta_distributed(alpha: float) -> None:
    draw = torch.Generator().manual_seed(0)
    shares = symmetric_beta(alpha, *torch.rand(2, 4000, dtype=torch.float64, generator=draw))
    if alpha < 0.01:  # nearly all mass is closer to 0 and 1 than floats can tell
        assert ((shares > 1e-3) & (shares < 1 - 1e-3)).sum() < 20
        assert abs(shares.mean() - 0.5) < 0.03
    else:
        assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > 0.01


@pytest.mark.parametrize("p", [1.0, 0.5])
def test_cutmix_by_hand(p: float) -> None:
    """A loop over pixels, as clovaai/CutMix-PyTorch, with a last batch of one picture."""
    height, width, found = 7, 4, []
    for seed in range(40):
        draw = torch.Generator().manual_seed(seed)
        e, y = normal(5, 2, height, width, seed=seed), torch.arange(5) % 3
        mixed = CutMix(alpha=0.7, p=p).batch(Batch(e, y, 3), draw)
        draw = torch.Generator().manual_seed(seed)
        u = torch.rand(5, generator=draw, dtype=torch.float64).tolist()
        order = torch.randperm(5, generator=draw).tolist()
        side = math.sqrt(1 - beta(0.7, u[0], u[1])) if u[4] < p else 0.0
        tall, wide = int(height * side), int(width * side)
        row, column = int(height * u[2]), int(width * u[3])
        rows = range(max(row - tall // 2, 0), min(row + tall // 2, height))
        columns = range(max(column - wide // 2, 0), min(column + wide // 2, width))
        expected, share = e.clone(), 1 - len(rows) * len(columns) / (height * width)
        for i in range(5):
            for r in rows:
                for c in columns:
                    expected[i, :, r, c] = e[order[i], :, r, c]
        assert torch.equal(mixed.e, expected)
        for i in range(5):
            targets = np.zeros(3)
            targets[y[i]] += share
            targets[y[order[i]]] += 1 - share
            np.testing.assert_allclose(mixed.y[i], targets, rtol=1e-12)
        found.append(share)
    assert min(found) < 0.6
    assert max(found) == 1
    assert len(set(found)) > 5


@pytest.mark.parametrize("level", [0.1, 0.6, 3.0])
def test_flooding_by_hand(level: float) -> None:
    """Far below the loss, among what it becomes, and far above."""

    def objective(step: int, w: Weights, x: Tensor, y: Tensor, pool: Tensor) -> Tensor:
        return (F.cross_entropy(net(w, x), y) - level).abs() + level

    agrees({"a": Flooding(level=level)}, objective)


@pytest.mark.parametrize("threshold", [0.0, 0.6, 1.0])
def test_pseudo_labels_by_hand(threshold: float) -> None:
    def objective(step: int, w: Weights, x: Tensor, y: Tensor, pool: Tensor) -> Tensor:
        terms = torch.zeros(len(pool), dtype=torch.float64)
        for i, logits in enumerate(net(w, pool)):
            p = logits.softmax(0)
            best = 0 if p[0] >= p[1] else 1
            terms[i] = -p[best].log() if p[best] > threshold else 0.0
        return F.cross_entropy(net(w, x), y) + 0.7 * terms.mean()

    agrees({"a": PseudoLabel(weight=0.7, threshold=threshold)}, objective)


@pytest.mark.parametrize("target", ["flow", "stop"])
def test_the_pi_model_by_hand(target: Any) -> None:
    def objective(step: int, w: Weights, x: Tensor, y: Tensor, pool: Tensor) -> Tensor:
        labeled, seed = (streams.derive(SEED, f"dropout/{b}", step) for b in ("labeled", "unlabeled"))
        p = dropped(w, pool, seed).softmax(1)
        q = dropped(w, pool, streams.derive(seed, "again", 1)).softmax(1)
        distance = ((p - (q.detach() if target == "stop" else q)) ** 2).sum() / 12
        return F.cross_entropy(dropped(w, x, labeled), y) + 3.0 * distance

    agrees({"a": PiModel(weight=3.0, target=target)}, objective, 0.4)


def test_the_pi_model_refuses_a_model_whose_passes_agree() -> None:
    with pytest.raises(InputError, match=r"regularizer\.a: .*a model whose passes agree"):
        task({"a": PiModel()})


@pytest.mark.parametrize("decay", [0.0, 0.6])
def test_temporal_ensembling_by_hand(decay: float) -> None:
    """An item's target is the mean of its earlier predictions, the last first by 1, decay, decay^2 ..."""
    made = task({"a": TemporalEnsembling(weight=2.0, decay=decay)}, 0.4, unlabeled_batch_size=17)
    shown: dict[int, list[Tensor]] = {}
    by_hand = [w.requires_grad_() for w in weights(made)]
    for step in range(11):  # of three epochs; some batches are of two, in which an item may come twice
        made.step(step)
        i, j = made.labeled_batch(step), made.unlabeled_batch(step)
        labeled, seed = (streams.derive(SEED, f"dropout/{b}", step) for b in ("labeled", "unlabeled"))
        p = dropped(by_hand, made.dataset.unlabeled[j], seed).softmax(1)
        terms = torch.zeros(len(j), dtype=torch.float64)
        for k, item in enumerate(j.tolist()):
            if earlier := shown.get(item):
                shares = [decay**age for age in reversed(range(len(earlier)))]
                target = sum(s * q for s, q in zip(shares, earlier, strict=True)) / sum(shares)
                terms[k] = ((p[k] - target) ** 2).sum()
        for k, item in reversed(list(enumerate(j.tolist()))):
            if j.tolist().index(item) == k:
                shown.setdefault(item, []).append(p[k].detach())
        x, y = made.dataset.labeled.x[i], made.dataset.labeled.y[i]
        loss = F.cross_entropy(dropped(by_hand, x, labeled), y) + 2.0 * terms.mean()
        for w, g in zip(by_hand, torch.autograd.grad(loss, by_hand), strict=True):
            w.data = w.data - RATE * g
    assert {len(earlier) for earlier in shown.values()} >= {2, 3}
    for mine, theirs in zip(weights(made), by_hand, strict=True):
        torch.testing.assert_close(mine, theirs.detach(), rtol=1e-10, atol=1e-14)


def test_temporal_ensembling_goes_on_from_its_averages() -> None:
    made, resumed = (task({"a": TemporalEnsembling(decay=0.6)}, 0.4) for _ in range(2))
    for step in range(8):  # five are an epoch of the pool
        made.step(step)
    resumed.load_state_dict(copy.deepcopy(made.state_dict()))
    for step in range(8, 12):
        assert made.step(step)["a"] == resumed.step(step)["a"] > 0
    assert all(map(torch.equal, weights(made), weights(resumed)))


def test_an_item_that_a_batch_holds_twice_moves_its_average_once() -> None:
    method = TemporalEnsembling(decay=0.6)
    method.attach(torch.nn.Identity())
    method.average, method.times = torch.zeros(3, 2), torch.zeros(3)
    p = torch.tensor([[0.1, 0.9], [0.5, 0.5], [0.3, 0.7]])
    method._shown = torch.tensor([2, 0, 2]), p
    method.project(torch.nn.Identity())
    torch.testing.assert_close(method.average, 0.4 * torch.stack([p[1], torch.zeros(2), p[0]]))
    assert method.times.tolist() == [1, 0, 1]


def test_mean_teacher_with_a_ramp_by_hand() -> None:
    teacher: Weights = []

    def objective(step: int, w: Weights, x: Tensor, y: Tensor, pool: Tensor) -> Tensor:
        now = [v.detach().clone() for v in w]
        teacher[:] = [0.8 * t + 0.2 * v for t, v in zip(teacher, now, strict=True)] if step else now
        labeled, seed = (streams.derive(SEED, f"dropout/{b}", step) for b in ("labeled", "unlabeled"))
        target = dropped(teacher, pool, streams.derive(seed, "again", 1)).softmax(1)
        distance = ((dropped(w, pool, seed).softmax(1) - target) ** 2).sum() / 12
        return F.cross_entropy(dropped(w, x, labeled), y) + step / 4 * 3.0 * distance

    ramp: Any = {"start": 0, "end": 3, "steps": 4}
    agrees({"a": MeanTeacher(weight=ramp, decay=0.8)}, objective, 0.4)
    assert MeanTeacher(weight=ramp).weight == Ramp(start=0.0, end=3.0, steps=4)


def plain(step: int, w: Weights, x: Tensor, y: Tensor, pool: Tensor) -> Tensor:
    return F.cross_entropy(net(w, x), y)


def test_the_average_of_weights_by_hand() -> None:
    """Training goes on as without it; what is judged is the average."""
    agrees({}, plain)
    made, without = task({"a": WeightAverage(decay=0.7)}), task({})
    expected = weights(without)
    for step in range(STEPS):
        made.step(step), without.step(step)
        now = [w.detach() for w in without.model.parameters()]
        expected = [0.7 * mean + 0.3 * w for mean, w in zip(expected, now, strict=True)]
    assert all(map(torch.equal, made.model.parameters(), without.model.parameters()))
    judged = list(made.weights().values())
    assert not torch.equal(judged[0], next(made.model.parameters()))
    for mine, theirs in zip(judged, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-15)
