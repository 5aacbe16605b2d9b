"""Adversarial training against closed forms on a linear model and loops written by hand, in float64."""

import math
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import classifier, normal, small_task
from scipy import stats
from test_examples import Weights, agrees, net
from test_slope import Alone
from torch import Tensor

from genreg.dataset import Batch
from genreg.forward.classifier import ClassifierForward
from genreg.forward.perturbation import loss_gradient
from genreg.loss import MSE, CrossEntropy, Loss
from genreg.model import MLP
from genreg.regularizer import FGM, FGSM, Adversarial, Regularizer

X, Y = normal(6, 5), torch.tensor([0, 1, 1, 0, 1, 0])
ATTACKS: list[Regularizer] = [FGM(), FGSM(), Adversarial(), Adversarial(norm="l2")]


def linear(outputs: int = 2) -> MLP:
    return classifier(widths=[], outputs=outputs)


def forward(model: MLP, loss: Loss, y: Tensor = Y) -> Any:
    return ClassifierForward(model, Batch(X, y, classes=2), loss=loss)


def attacked(method: Regularizer, seen: Any) -> Tensor:
    """The losses (B,) that the method makes of the clean ones."""
    return method.losses(seen, seen.loss(seen.logits, seen.batch)).detach()


def softmax_regression(model: MLP, x: Tensor) -> tuple[Tensor, Tensor]:
    """Losses and their gradients in x, W'(p - y)."""
    W, b = (p.detach() for p in model.output.parameters())
    z = x @ W.T + b
    y = F.one_hot(Y, 2).double()
    return z.logsumexp(1) - (y * z).sum(1), (z.softmax(1) - y) @ W


def test_fgm_of_softmax_regression() -> None:
    model = linear()
    clean, g = softmax_regression(model, X)
    worse, _ = softmax_regression(model, X + 0.7 * g / g.norm(dim=1, keepdim=True))
    found = attacked(FGM(epsilon=0.7, alpha=0.3), forward(model, CrossEntropy()))
    torch.testing.assert_close(found, 0.3 * clean + 0.7 * worse, rtol=1e-12, atol=1e-14)


def test_fgsm_of_linear_regression() -> None:
    """|w'x + b - y| grows by epsilon |w|_1, so the loss becomes (|residual| + epsilon |w|_1)^2."""
    model, y = linear(outputs=1), normal(6, 1, seed=4)
    residual = (model(X) - y).detach()[:, 0].abs()
    l1 = model.output.weight.detach().abs().sum()
    found = attacked(FGSM(epsilon=0.2, alpha=0.4), forward(model, MSE(), y))
    expected = 0.4 * residual**2 + 0.6 * (residual + 0.2 * l1) ** 2
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.full
@pytest.mark.parametrize("kind", ["fgm", "fgsm"])
def test_updates_by_hand(kind: str) -> None:
    def objective(step: int, w: Weights, x: Tensor, y: Tensor, pool: Tensor) -> Tensor:
        r = []
        for e, c in zip(x, y, strict=True):  # one item after another
            e = e.clone().requires_grad_()
            (g,) = torch.autograd.grad(F.cross_entropy(net(w, e[None]), c[None]), e)
            r.append(0.3 * (g / g.norm() if kind == "fgm" else g.sign()))
        worse = F.cross_entropy(net(w, x + torch.stack(r)), y)
        return 0.25 * F.cross_entropy(net(w, x), y) + 0.75 * worse

    method = {"fgm": FGM, "fgsm": FGSM}[kind](epsilon=0.3, alpha=0.25)
    agrees({"a": method}, objective)


@pytest.mark.full
def test_projected_ascent_by_hand() -> None:
    def objective(step: int, w: Weights, x: Tensor, y: Tensor, pool: Tensor) -> Tensor:
        r = torch.zeros_like(x)
        for _ in range(3):
            e = (x + r).requires_grad_()
            (g,) = torch.autograd.grad(F.cross_entropy(net(w, e), y, reduction="sum"), e)
            r = r + 0.2 * g / g.norm(dim=1, keepdim=True)
            r = torch.stack([v if v.norm() <= 0.3 else 0.3 * v / v.norm() for v in r])
        return F.cross_entropy(net(w, x + r), y)

    method = Adversarial(epsilon=0.3, ascent_steps=3, step_size=0.2, norm="l2", random_start=False)
    agrees({"a": method}, objective)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_ascent_finds_the_worst_point_of_a_linear_model(norm: Any) -> None:
    """Of two classes the loss grows with the margin's fall, which is largest along one direction."""
    model = linear()
    seen = forward(model, CrossEntropy())
    _, g = softmax_regression(model, X)
    best = 0.4 * (g.sign() if norm == "linf" else g / g.norm(dim=1, keepdim=True))
    worst, _ = softmax_regression(model, X + best)
    options: dict[str, Any] = {"epsilon": 0.4, "norm": norm}
    one = attacked(Adversarial(ascent_steps=1, step_size=0.4, random_start=False, **options), seen)
    torch.testing.assert_close(one, worst, rtol=1e-12, atol=1e-14)
    many = attacked(Adversarial(ascent_steps=20, step_size=0.4, **options), seen)  # from a random start
    torch.testing.assert_close(many, worst, rtol=1e-9, atol=1e-12)
    assert (many <= worst + 1e-12).all()


@pytest.mark.parametrize("step_size", [None, 0.05, 3.0])
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_the_perturbation_stays_in_its_ball(norm: Any, step_size: float | None) -> None:
    model = classifier(outputs=2)
    seen, start = forward(model, CrossEntropy()), attacked(FGSM(epsilon=1e-9), forward(model, CrossEntropy()))
    for steps in (1, 2, 5):
        method = Adversarial(epsilon=0.4, ascent_steps=steps, norm=norm, step_size=step_size)
        r = method.climb(seen)
        size = r.norm(dim=1) if norm == "l2" else r.abs().amax(1)
        assert (size <= 0.4 * (1 + 1e-12)).all()
        assert not r.requires_grad
    assert (attacked(method, seen).mean() > start.mean()).item()


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_a_random_start_is_uniform_in_the_ball(norm: Any) -> None:
    e = torch.zeros(4000, 2, 2, dtype=torch.float64)
    r = Adversarial(norm=norm).start(e, 0.3, torch.Generator().manual_seed(0)).flatten(1)
    if norm == "l2":
        volume = (r.norm(dim=1) / 0.3) ** 4
        assert stats.kstest(volume.numpy(), "uniform").pvalue > 0.01
    else:
        assert stats.kstest((r.flatten() / 0.6 + 0.5).numpy(), "uniform").pvalue > 0.01
    assert r.mean(0).abs().max() < 4 * 0.3 / math.sqrt(4000)


def test_padding_is_not_moved() -> None:
    mask = torch.tensor([[True, False]]).expand(6, 2)
    model = MLP(input_shape=[2, 5], outputs=2, widths=[]).double()
    seen = ClassifierForward(model, Batch(normal(6, 2, 5), Y, 2, mask))
    start = Adversarial(ascent_steps=1, step_size=1e-12).climb(seen)
    assert start[:, 0].abs().min() > 1e-9
    assert start[:, 1].abs().max() <= 1e-12


@pytest.mark.parametrize("method", ATTACKS, ids=lambda m: type(m).__name__)
def test_an_attack_leaves_gradients_and_statistics_alone(method: Regularizer) -> None:
    task = small_task({"a": method})
    seen = task.forward(0)
    before = [b.clone() for b in task.model.buffers()]
    method.losses(seen.of("a"), task.loss(seen.logits, seen.batch))
    assert all(p.grad is None for p in task.model.parameters())
    assert all(map(torch.equal, before, task.model.buffers()))


CLIMBS = [("fgm", FGM(epsilon=0.7)), ("fgsm", FGSM(epsilon=0.7)),
          ("l2", Adversarial(epsilon=0.7, ascent_steps=3, norm="l2", random_start=False)),
          ("linf", Adversarial(epsilon=0.7, ascent_steps=3, norm="linf", random_start=False))]  # fmt: skip


@pytest.mark.parametrize(("kind", "method"), CLIMBS)
def test_an_item_climbs_alone_and_is_attacked_in_its_batch(kind: str, method: Regularizer) -> None:
    """Under batch normalization: moments of the clean batch while it climbs, its own in the attacked pass."""
    model = classifier(outputs=2, batch_norm=True)
    seen, alone, visited = forward(model, CrossEntropy()), Alone(model), []
    moments = [(mean.detach(), variance.detach()) for mean, variance in alone.moments(X)]
    at = seen.at
    seen.at = lambda e: at(visited.append(e.detach()) or e)
    found = method.losses(seen, seen.loss(seen.logits, seen.batch)).detach()
    steps, stride = (1, 0.7) if kind.startswith("fg") else (3, 2.5 * 0.7 / 3)
    expected = []
    for x, y in zip(X, Y, strict=True):
        r = torch.zeros(5, dtype=torch.float64)
        for _ in range(steps):
            e = (x + r).requires_grad_()
            (g,) = torch.autograd.grad(F.cross_entropy(alone(e[None], moments), y[None]), e)
            r = r + stride * (g / g.norm() if kind in ("fgm", "l2") else g.sign())
            r = r * min(1.0, 0.7 / float(r.norm())) if kind in ("fgm", "l2") else r.clamp(-0.7, 0.7)
        expected.append(r)
    attacked = visited[-1]
    torch.testing.assert_close(attacked - X, torch.stack(expected), rtol=1e-9, atol=1e-12)
    worse = F.cross_entropy(alone(attacked, alone.moments(attacked)), Y, reduction="none").detach()
    share = 0.5 if kind.startswith("fg") else 1.0
    clean = F.cross_entropy(alone(X, moments), Y, reduction="none").detach()
    torch.testing.assert_close(found, (1 - share) * clean + share * worse, rtol=1e-9, atol=1e-12)


def test_the_gradient_of_one_item_is_its_own() -> None:
    """Also where batch normalization makes each item's prediction depend on the others."""
    seen = forward(classifier(outputs=2, batch_norm=True), CrossEntropy())
    with seen.fixed_statistics():
        everyone = loss_gradient(seen, X)
        moved = loss_gradient(seen, X + torch.eye(6)[:, 1:2].double())  # the second item elsewhere
    same = (everyone == moved).all(1)
    assert same.tolist() == [True, False, True, True, True, True]


@pytest.mark.parametrize(("method", "passes"), [(FGM(), 3), (FGSM(), 3), (Adversarial(ascent_steps=4), 6)])
def test_what_an_attack_costs(method: Regularizer, passes: int) -> None:
    task = small_task({"a": method}, model=partial(MLP, widths=[16]))
    count = []
    task.model.register_forward_hook(lambda *_: count.append(1))
    task.step(0)
    assert len(count) == passes
