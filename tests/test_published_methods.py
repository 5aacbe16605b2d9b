"""Methods that vat is published beside, against loops written by hand in float64."""

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import normal
from scipy import stats
from test_examples import SEED, STEPS, Weights, agrees, dropped, net, noise, task, weights
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
