"""Methods of every kind, of the package and of examples/, against loops written by hand in float64."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from focal_loss import FocalLoss
from mean_teacher import MeanTeacher
from mixup import Mixup, symmetric_beta
from scipy import stats
from torch import Tensor

from genreg import streams
from genreg.dataset import Dataset, Split, two_moons
from genreg.model import MLP
from genreg.regularizer import (
    Entropy,
    HiddenNoise,
    InputNoise,
    LabelSmoothing,
    NoiseConsistency,
    Ramp,
    RDrop,
    Regularizer,
    WeightNoise,
)
from genreg.task.classify import Classify

SEED, STEPS, RATE, DROPOUT = 3, 5, 0.5, 0.4

Weights = list[Tensor]
"""w, b of the hidden layer, then of the output."""
Objective = Callable[[int, Weights, Tensor, Tensor, Tensor], Tensor]
"""From step, weights, labeled x and y and the pool's x to what is minimized."""


def moons(seed: int) -> Dataset:
    data = two_moons(labeled=20, items=60, seed=seed)
    splits = [Split(s.x.double(), s.y, s.clean) for s in (data.labeled, data.validation, data.test)]
    return Dataset(splits[0], data.unlabeled.double(), splits[1], splits[2], data.classes)


def task(methods: dict[str, Regularizer], dropout: float = 0.0) -> Classify:
    def model(**shape: Any) -> MLP:
        return MLP(widths=[6], activation="tanh", dropout=dropout, **shape).double()

    sgd = partial(torch.optim.SGD, lr=RATE)
    sizes = {"batch_size": 8, "unlabeled_batch_size": 12, "seed": SEED}
    return Classify(dataset=moons, model=model, optimizer=sgd, regularizer=methods, **sizes)  # type: ignore[arg-type]


def weights(of: Classify) -> Weights:
    named = {
        name.replace("parametrizations.weight.original", "weight"): w.clone()
        for name, w in of.model.state_dict().items()
    }
    return [named[name] for name in sorted(named, key=lambda name: (name.split(".")[1], "bias" in name))]


def agrees(methods: dict[str, Regularizer], objective: Objective, dropout: float = 0.0) -> None:
    """The task's weights after some updates are those of plain gradient descent on `objective`."""
    ours = task(methods, dropout)
    by_hand = [w.requires_grad_() for w in weights(ours)]
    data = ours.dataset
    for step in range(STEPS):
        ours.step(step)
        i, j = ours.labeled_batch(step), ours.unlabeled_batch(step)
        loss = objective(step, by_hand, data.labeled.x[i], data.labeled.y[i], data.unlabeled[j])
        for w, g in zip(by_hand, torch.autograd.grad(loss, by_hand), strict=True):
            w.data = w.data - RATE * g
    for mine, theirs in zip(weights(ours), by_hand, strict=True):
        torch.testing.assert_close(mine, theirs.detach(), rtol=1e-10, atol=1e-14)


def net(w: Weights, x: Tensor) -> Tensor:
    return torch.tanh(x @ w[0].T + w[1]) @ w[2].T + w[3]


def dropped(w: Weights, x: Tensor, seed: int) -> Tensor:
    """The network with the dropout mask that torch draws after `seed`."""
    torch.manual_seed(seed)
    return F.dropout(torch.tanh(x @ w[0].T + w[1]), DROPOUT) @ w[2].T + w[3]


def noise(stream: str, step: int) -> torch.Generator:
    return streams.generator(SEED, stream, step)


def of_layer(batch: str, step: int, layer: str, *shape: int) -> Tensor:
    """Standard normal numbers of an attached layer in the pass over a batch."""
    draw = streams.generator(streams.derive(SEED, f"dropout/{batch}", step), f"layer/{layer}")
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


def test_mixup_by_hand() -> None:
    alpha = 0.4

    def objective(step: int, w: Weights, x: Tensor, y: Tensor, pool: Tensor) -> Tensor:
        draw = noise("noise/mixup", step)
        u, v = torch.rand(2, generator=draw, dtype=torch.float64).tolist()
        t = math.sqrt((1 - u) ** (-1 / alpha) - 1) * math.cos(2 * math.pi * v)
        share = 0.5 + 0.5 * t / math.sqrt(1 + t * t)
        order = torch.randperm(8, generator=draw)
        log_p = net(w, share * x + (1 - share) * x[order]).log_softmax(1)
        first, second = (log_p[torch.arange(8), c] for c in (y, y[order]))
        return -(share * first + (1 - share) * second).mean()

    agrees({"mixup": Mixup(alpha=alpha)}, objective)


@pytest.mark.full
@pytest.mark.parametrize("alpha", [1e-4, 0.2, 0.5, 1.0, 7.0])
def test_the_share_of_mixup_is_beta_distributed(alpha: float) -> None:
    draw = torch.Generator().manual_seed(0)
    shares = [float(symmetric_beta(alpha, draw)) for _ in range(4000)]
    if alpha < 0.01:  # nearly all mass is closer to 0 and 1 than floats can tell
        assert sum(1e-3 < share < 1 - 1e-3 for share in shares) < 20
        assert abs(sum(shares) / 4000 - 0.5) < 0.03
    else:
        assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > 0.01


def test_input_noise_by_hand() -> None:
    def objective(step: int, w: Weights, x: Tensor, y: Tensor, pool: Tensor) -> Tensor:
        draw = torch.randn(3, 8, 2, generator=noise("noise/a", step), dtype=torch.float64)
        return sum(F.cross_entropy(net(w, x + 0.3 * n), y) for n in draw) / 3  # type: ignore[return-value]

    agrees({"a": InputNoise(sigma=0.3, samples=3)}, objective)


def test_label_smoothing_by_hand() -> None:
    def objective(step: int, w: Weights, x: Tensor, y: Tensor, pool: Tensor) -> Tensor:
        return F.cross_entropy(net(w, x), y, label_smoothing=0.2)

    agrees({"a": LabelSmoothing(epsilon=0.2)}, objective)


def test_focal_loss_by_hand() -> None:
    def objective(step: int, w: Weights, x: Tensor, y: Tensor, pool: Tensor) -> Tensor:
        p = net(w, x).softmax(1)[torch.arange(8), y]
        return -((1 - p) ** 1.5 * p.log()).mean()

    agrees({"a": FocalLoss(gamma=1.5)}, objective)


def test_r_drop_by_hand() -> None:
    def objective(step: int, w: Weights, x: Tensor, y: Tensor, pool: Tensor) -> Tensor:
        seed = streams.derive(SEED, "dropout/labeled", step)
        a, b = dropped(w, x, seed), dropped(w, x, streams.derive(seed, "again", 1))
        p, q = a.softmax(1), b.softmax(1)
        symmetric = ((p - q) * (p.log() - q.log())).sum(1).mean() / 2
        return (F.cross_entropy(a, y) + F.cross_entropy(b, y)) / 2 + 0.7 * symmetric

    agrees({"a": RDrop(weight=0.7)}, objective, DROPOUT)


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
    agrees({"a": MeanTeacher(weight=ramp, decay=0.8)}, objective, DROPOUT)
    assert MeanTeacher(weight=ramp).weight == Ramp(start=0.0, end=3.0, steps=4)


def test_hidden_noise_of_all_passes_by_hand() -> None:
    def noisy(w: Weights, x: Tensor, xi: Tensor) -> Tensor:
        return (torch.tanh(x @ w[0].T + w[1]) + 0.3 * xi) @ w[2].T + w[3]

    def objective(step: int, w: Weights, x: Tensor, y: Tensor, pool: Tensor) -> Tensor:
        labeled = of_layer("labeled", step, "a/layers.1", 8, 6)
        unlabeled = of_layer("unlabeled", step, "a/layers.1", 12, 6)
        d = torch.randn(12, 2, generator=noise("noise/b", step), dtype=torch.float64)
        r = 0.5 * d / d.norm(dim=1, keepdim=True)
        p, q = (noisy(w, e, unlabeled).log_softmax(1) for e in (pool, pool + r))
        divergence = (p.detach().exp() * (p.detach() - q)).sum(1).mean()
        return F.cross_entropy(noisy(w, x, labeled), y) + divergence

    agrees({"a": HiddenNoise(sigma=0.3), "b": NoiseConsistency(epsilon=0.5)}, objective)


def test_weight_noise_of_all_passes_by_hand() -> None:
    def objective(step: int, w: Weights, x: Tensor, y: Tensor, pool: Tensor) -> Tensor:
        seen = list(w)
        for k, layer in ((0, "layers.0"), (2, "layers.2")):
            xi = of_layer("labeled", step, f"a/{layer}", *w[k].shape)
            size = math.sqrt(float((w[k].detach() ** 2).sum()) / w[k].numel())
            seen[k] = w[k] + 0.2 * size * xi
        log_p = net(seen, pool).log_softmax(1)
        return F.cross_entropy(net(seen, x), y) - (log_p.exp() * log_p).sum(1).mean()

    agrees({"a": WeightNoise(sigma=0.2), "b": Entropy()}, objective)
