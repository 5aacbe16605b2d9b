"""Methods of every kind, of the package and of examples/, against loops written by hand in float64."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from focal_loss import FocalLoss
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


def task(methods: dict[str, Regularizer], dropout: float = 0.0, **options: Any) -> Classify:
    def model(**shape: Any) -> MLP:
        return MLP(widths=[6], activation="tanh", dropout=dropout, **shape).double()

    given: dict[str, Any] = {"model": model, "batch_size": 8, "unlabeled_batch_size": 12, "seed": SEED}
    sgd = partial(torch.optim.SGD, lr=RATE)
    return Classify(dataset=moons, optimizer=sgd, regularizer=methods, **{**given, **options})


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
