"""Wrapped optimizers: the baseline at strength zero, slow references, exact resume, the noise itself."""

import copy
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from conftest import small_task
from torch import Tensor, nn

from genreg.errors import InputError
from genreg.optimizer import Perturbed, Uphill, anti_pgd, build_optimizer, gradient_norm, pgd, sam
from genreg.optimizer.noise import Noise
from genreg.optimizer.wrapped import make_base

WRAPPERS: dict[str, Callable[..., Any]] = {
    "pgd": pgd, "anti_pgd": anti_pgd, "sam": sam, "gradient_norm": gradient_norm,
    "adaptive_sam": partial(sam, adaptive=True), "rademacher": partial(anti_pgd, noise="rademacher"),
    "scaled": partial(anti_pgd, scale_by_lr=True, sigma=3.0),
}  # fmt: skip
OFF: dict[str, dict[str, float]] = {
    **{name: {"sigma": 0.0} for name in ("pgd", "anti_pgd", "rademacher", "scaled")},
    "sam": {"rho": 0.0}, "adaptive_sam": {"rho": 0.0}, "gradient_norm": {"alpha": 0.0},
}  # fmt: skip
BASES = {"sgd": {"momentum": 0.9}, "adam": {}, "adamw": {}}


class Problem:
    """A small tanh network in float64, a batch for every step, and two parameter groups."""

    def __init__(self, dtype: torch.dtype = torch.float64) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).to(dtype)
        self.x = torch.randn(200, 8, 5, dtype=dtype)
        self.y = torch.randn(200, 8, 3, dtype=dtype)

    def groups(self, lr: float = 0.05) -> list[dict[str, Any]]:
        first, last = self.model[0], self.model[2]
        return [{"params": list(first.parameters())},
                {"params": list(last.parameters()), "lr": lr / 4, "weight_decay": 0.3}]  # fmt: skip

    def loss(self, step: int) -> Tensor:
        return (self.model(self.x[step]) - self.y[step]).square().mean()

    def closure(self, optimizer: torch.optim.Optimizer, step: int) -> Callable[[], Tensor]:
        def evaluate() -> Tensor:
            optimizer.zero_grad()
            loss = self.loss(step)
            loss.backward()
            return loss

        return evaluate

    def train(self, optimizer: torch.optim.Optimizer, steps: range) -> list[Tensor]:
        for step in steps:
            optimizer.step(self.closure(optimizer, step))  # type: ignore[arg-type]
        return [p.detach().clone() for p in self.model.parameters()]


def equal(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def base_of(problem: Problem, base: str) -> torch.optim.Optimizer:
    given = {"lr": 0.05, "momentum": 0.0, "betas": (0.9, 0.999), "weight_decay": 0.01, **BASES[base]}
    return make_base(problem.groups(), base=base, **given)


def wrapped(problem: Problem, name: str, base: str = "sgd", **options: Any) -> Any:
    given = {"lr": 0.05, "weight_decay": 0.01, "base": base, **BASES[base], **options}
    return WRAPPERS[name](problem.groups(), **given)


@pytest.mark.pairs
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("name", WRAPPERS)
def test_strength_zero_is_the_base_bit_for_bit(name: str, base: str) -> None:
    ours, theirs = Problem(torch.float32), Problem(torch.float32)
    on = Problem(torch.float32)
    weights = ours.train(wrapped(ours, name, base, **OFF[name]), range(60))
    assert equal(weights, theirs.train(base_of(theirs, base), range(60)))
    assert not equal(weights, on.train(wrapped(on, name, base), range(60)))


@pytest.mark.pairs
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("name", WRAPPERS)
def test_resumed_in_the_middle_ends_with_the_same_bits(name: str, base: str) -> None:
    through, first, second = Problem(), Problem(), Problem()
    end = through.train(wrapped(through, name, base), range(40))
    optimizer = wrapped(first, name, base)
    first.train(optimizer, range(17))
    saved = copy.deepcopy((first.model.state_dict(), optimizer.state_dict()))
    resumed = wrapped(second, name, base)
    second.model.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    assert resumed.state is resumed.base.state
    assert resumed.param_groups is resumed.base.param_groups
    assert equal(second.train(resumed, range(17, 40)), end)


def sgd_reference(
    problem: Problem,
    gradient: Callable[[int], list[Tensor]],
    steps: int,
    noise: Callable[[int], list[Tensor]],
) -> list[Tensor]:
    """SGD with momentum 0.9, weight decay and a rate of its own per group, written out by hand."""
    parameters = list(problem.model.parameters())
    rates, decays = [0.05, 0.05, 0.0125, 0.0125], [0.01, 0.01, 0.3, 0.3]
    velocity: list[Tensor | None] = [None] * 4
    for step in range(steps):
        gradients = gradient(step)
        increments = noise(step)
        for i, w in enumerate(parameters):
            d = gradients[i] + decays[i] * w.detach()
            v = velocity[i]
            velocity[i] = d if v is None else 0.9 * v + d
            w.data = w.data - rates[i] * velocity[i] + increments[i]  # type: ignore[operator]
    return [w.detach() for w in parameters]


def plain_gradient(problem: Problem, step: int) -> list[Tensor]:
    return list(torch.autograd.grad(problem.loss(step), list(problem.model.parameters())))


def draws(problem: Problem, kind: str = "gaussian") -> Callable[[int], list[Tensor]]:
    """The noise as stored tensors, xi_0 = 0, so that the reference replays nothing."""
    source = Noise(list(problem.model.parameters()), kind=kind, seed=0)  # type: ignore[arg-type]
    stored = [[torch.zeros_like(p) for p in problem.model.parameters()]]
    for n in range(1, 101):
        stored.append([view.clone() for view in source(n)])
    return lambda n: stored[n]


@pytest.mark.parametrize("name", ["pgd", "anti_pgd", "rademacher", "scaled"])
def test_noise_agrees_with_a_slow_reference(name: str) -> None:
    ours, theirs = Problem(), Problem()
    weights = ours.train(wrapped(ours, name), range(100))
    xi = draws(theirs, "rademacher" if name == "rademacher" else "gaussian")
    scales = [3 * 0.05, 3 * 0.05, 3 * 0.0125, 3 * 0.0125] if name == "scaled" else [0.05] * 4
    last = 0.0 if name == "pgd" else 1.0

    def increments(step: int) -> list[Tensor]:
        return [s * (new - last * old) for s, new, old in zip(scales, xi(step + 1), xi(step), strict=True)]

    reference = sgd_reference(theirs, partial(plain_gradient, theirs), 100, increments)
    for a, b in zip(weights, reference, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


UPHILL = [("sam", 0.3, 1.0), ("gradient_norm", 0.2, 0.6), ("adaptive_sam", 0.3, 1.0)]


@pytest.mark.parametrize(("name", "rho", "alpha"), UPHILL)
def test_uphill_agrees_with_a_slow_reference(name: str, rho: float, alpha: float) -> None:
    ours, theirs = Problem(), Problem()
    options = {"r": rho, "alpha": alpha} if name == "gradient_norm" else {"rho": rho}
    weights = ours.train(wrapped(ours, name, **options), range(100))

    def gradient(step: int) -> list[Tensor]:
        g = plain_gradient(theirs, step)
        parameters = list(theirs.model.parameters())
        scale = [p.detach().abs() if name == "adaptive_sam" else torch.ones_like(p) for p in parameters]
        length = math.sqrt(sum((s * d).square().sum().item() for s, d in zip(scale, g, strict=True)))
        keep = copy.deepcopy(theirs.model)
        for p, s, d in zip(parameters, scale, g, strict=True):
            p.data = p.data + rho * s * s * d / length
        uphill = plain_gradient(theirs, step)
        for p, w in zip(parameters, keep.parameters(), strict=True):
            p.data = w.data
        return [(1 - alpha) * a + alpha * b for a, b in zip(g, uphill, strict=True)]

    nothing = [torch.zeros_like(p) for p in theirs.model.parameters()]
    reference = sgd_reference(theirs, gradient, 100, lambda _: nothing)
    for a, b in zip(weights, reference, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_scheduler_moves_the_base(name: str) -> None:
    problem = Problem()
    optimizer = wrapped(problem, name)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.1)
    problem.train(optimizer, range(1))
    scheduler.step()
    assert [group["lr"] for group in optimizer.base.param_groups] == pytest.approx([0.005, 0.00125])
    before = [p.detach().clone() for p in problem.model.parameters()]
    for group in optimizer.base.param_groups:
        group["lr"] = 0.0
    off = {"sigma": 0.0, "noise_scale": 0.0}
    for group in optimizer.param_groups:
        group.update({key: value for key, value in off.items() if key in group})
    problem.train(optimizer, range(1, 2))
    assert equal(before, [p.detach() for p in problem.model.parameters()])


def test_the_seed_of_the_run_makes_the_noise() -> None:
    ends = []
    for seed in (0, 0, 1):
        problem = Problem()
        parameters: list[Tensor] = list(problem.model.parameters())
        optimizer = build_optimizer(partial(anti_pgd, lr=0.05), parameters, seed=seed)
        ends.append(problem.train(optimizer, range(3)))
    assert equal(ends[0], ends[1])
    assert not equal(ends[0], ends[2])


def test_uphill_returns_the_loss_where_it_stands_and_needs_a_closure() -> None:
    problem = Problem()
    optimizer = sam(problem.model.parameters(), rho=1.0)
    expected = problem.loss(0).item()
    assert optimizer.step(problem.closure(optimizer, 0)).item() == expected  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="closure"):
        optimizer.step()


def test_wrong_options_name_themselves() -> None:
    parameters = list(Problem().model.parameters())
    with pytest.raises(InputError, match=r"optimizer\.momentum"):
        pgd(parameters, base="adam", momentum=0.9)
    for options in ({"sigma": -1.0}, {"sigma": math.nan}, {"noise": "uniform"}, {"noise_steps": 0}):
        with pytest.raises(ValueError, match="validation error"):
            anti_pgd(parameters, **options)
    assert isinstance(pgd(parameters), Perturbed)
    assert isinstance(sam(parameters), Uphill)


@pytest.mark.parametrize("make", [sam, gradient_norm])
def test_uphill_moves_running_statistics_once_a_step(make: Callable[..., Any]) -> None:
    """After one step they are those of one pass at the first weights, as plain SGD leaves them."""
    ours = small_task(optimizer=partial(make, lr=0.1))
    theirs = small_task(optimizer=partial(torch.optim.SGD, lr=0.1))
    logged = ours.step(0), theirs.step(0)
    assert logged[0]["loss"] == logged[1]["loss"]
    statistics = [
        {k: v for k, v in task.weights().items() if "running" in k or "tracked" in k}
        for task in (ours, theirs)
    ]
    assert len(statistics[0]) == 3
    assert all(torch.equal(statistics[0][key], statistics[1][key]) for key in statistics[0])
    assert not torch.equal(ours.weights()["layers.0.weight"], theirs.weights()["layers.0.weight"])


def test_classifier_is_judged_and_kept_at_the_noise_free_iterate() -> None:
    task = small_task(optimizer=partial(anti_pgd, lr=0.1, sigma=0.5))
    at_w = small_task(optimizer=partial(anti_pgd, lr=0.1, sigma=0.5, evaluate_at="w"))
    for step in range(3):
        task.step(step)
        at_w.step(step)
    noisy = {name: w.clone() for name, w in task.model.state_dict().items()}
    assert all(torch.equal(w, noisy[name]) for name, w in at_w.weights().items())
    kept = task.weights()
    assert not torch.equal(kept["layers.0.weight"], noisy["layers.0.weight"])
    xi = Noise(list(task.model.parameters()), seed=0)(3)
    for (name, p), view in zip(task.model.named_parameters(), xi, strict=True):
        torch.testing.assert_close(kept[name], p.detach() - 0.5 * view)
    row = task.evaluate()
    assert row["validation/cross_entropy"] < at_w.evaluate()["validation/cross_entropy"]
    task.model.load_state_dict(kept)
    task.optimizer.evaluate_at = "w"  # type: ignore[attr-defined]
    assert task.evaluate() == row
    assert all(torch.equal(p, kept[name]) for name, p in task.model.named_parameters())


@pytest.mark.every(9)
@pytest.mark.parametrize(("override", "said"), [
    ("optimizer.sigma=-1", "optimizer.sigma: expected a number, 0 or more"),
    ("optimizer.sigma=nan", "optimizer.sigma: expected a finite number"),
    ("optimizer.noise=uniform", "optimizer.noise: expected 'gaussian' or 'rademacher'"),
    ("optimizer.base=rmsprop", "optimizer.base: expected 'sgd', 'adam' or 'adamw'"),
    ("optimizer.noise_steps=0", "optimizer.noise_steps: expected greater than or equal to 1"),
    ("optimizer.betas=[0.9]", "optimizer.betas: expected"),
    ("model.replicas=0", "model.replicas: expected greater than or equal to 1"),
    ("model.d=two", "model.d: expected a valid integer"),
    ("model.dtype=float16", "model.dtype: expected 'float32' or 'float64'"),
])  # fmt: skip
def test_bad_values_are_named(genreg: Callable[..., Any], override: str, said: str) -> None:
    answer = genreg("train", "task=landscape", "optimizer=anti_pgd", "logger=none", override)
    assert answer.code == 2
    assert said in answer.err
    assert len(answer.err.splitlines()) <= 3
