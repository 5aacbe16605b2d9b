"""The virtual adversarial direction against explicit Hessians, and what finding it must not touch."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from conftest import small_task
from torch import Tensor

from genreg.dataset import Batch
from genreg.forward.base import Draws
from genreg.forward.classifier import ClassifierForward
from genreg.forward.perturbation import kl_divergence
from genreg.model import MLP, Classifier, Conv
from genreg.regularizer import VAT


def mlp() -> Classifier:
    return MLP(input_shape=[6], outputs=4, widths=[10, 8], activation="tanh")


def conv() -> Classifier:
    """Batch normalization by fixed statistics, so that examples do not mix."""
    model = Conv(input_shape=[1, 12, 12], outputs=3, widths=[4, 4, 4, 4, 4], dropout=0.5).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.fill_(0.1)  # type: ignore[union-attr]
    return model


CASES: dict[str, tuple[Callable[[], Classifier], list[int]]] = {
    "mlp": (mlp, [6]),
    "conv": (conv, [1, 12, 12]),
}


def make(name: str, dtype: torch.dtype) -> tuple[Classifier, Tensor]:
    torch.manual_seed(6)
    build, shape = CASES[name]
    model = build().to(dtype)
    with torch.no_grad():
        list(model.parameters())[-2].mul_(3.0)  # predictions far from uniform
    return model, torch.randn(5, *shape).to(dtype)


def clean_pass(model: Classifier, x: Tensor, **options: Any) -> ClassifierForward:
    """The pass over a batch without labels."""
    return ClassifierForward(model, Batch(x, x.new_empty(0)), **options)


def seen_by_vat(clean: ClassifierForward) -> ClassifierForward:
    """What an update with that unlabeled pass shows the method `vat`; the labeled one is empty."""
    empty = Batch(clean.embedding[:0], clean.embedding.new_empty(0))
    return ClassifierForward(clean.model, empty, draws=clean.draws, unlabeled=clean).of("vat")


def top_eigenvectors(model: Classifier, x: Tensor) -> Tensor:
    """Of the explicitly formed float64 Hessian of KL(p(x) || p(x + r)) in r at 0, for each example."""
    vectors = []
    for example in x:
        clean = model(example[None]).detach()

        def divergence(r: Tensor, example: Tensor = example, clean: Tensor = clean) -> Tensor:
            return kl_divergence(clean, model(example[None] + r.view_as(example[None])))

        hessian = torch.autograd.functional.hessian(divergence, x.new_zeros(example.numel()))
        values, basis = torch.linalg.eigh(hessian)
        assert values[-2] < 0.9 * values[-1]  # or there is no one direction to agree with
        vectors.append(basis[:, -1])
    return torch.stack(vectors)


def cosine(d: Tensor, vectors: Tensor) -> Tensor:
    return (d.flatten(1).double() * vectors).sum(1).abs()


@pytest.mark.every(4)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_exact_direction_is_the_top_eigenvector(name: str, dtype: torch.dtype) -> None:
    vectors = top_eigenvectors(*make(name, torch.float64))
    model, x = make(name, dtype)
    vat = VAT(direction="exact", power_iterations=50)
    d = vat.find_direction(clean_pass(model, x), torch.Generator().manual_seed(0))
    assert (cosine(d, vectors) > 0.999).all()


@pytest.mark.parametrize("name", CASES)
def test_finite_difference_agrees_with_exact_at_a_good_xi(name: str) -> None:
    model, x = make(name, torch.float32)
    exact, difference = (
        VAT(direction=direction, xi=1e-2, power_iterations=10).find_direction(
            clean_pass(model, x), torch.Generator().manual_seed(0)
        )
        for direction in ("exact", "finite_difference")
    )
    assert (cosine(difference, exact.flatten(1).double()) > 0.999).all()


def test_exact_product_is_the_hessian_times_the_direction() -> None:
    from genreg.regularizer.vat import exact_product

    model, x = make("mlp", torch.float64)
    u = torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    clean = model(x).detach()
    hessian = torch.autograd.functional.hessian(lambda r: kl_divergence(clean, model(x + r)), x * 0)
    expected = torch.einsum("aibj,bj->ai", hessian, u)  # of the mean over the batch: the factor 1/5
    torch.testing.assert_close(exact_product(clean_pass(model, x), x, u) / 5, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("direction", ["exact", "finite_difference"])
@pytest.mark.parametrize("name", CASES)
def test_perturbation_has_length_epsilon_per_example(
    name: str, direction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x = make(name, torch.float32)
    lengths: dict[str, Tensor] = {}

    def seen(norm: str, scope: str) -> Tensor:
        vat = VAT(epsilon=2.5, direction=direction, norm=norm, scope=scope)  # type: ignore[arg-type]
        clean = clean_pass(model, x)
        found: list[Tensor] = []
        original = clean.at
        monkeypatch.setattr(clean, "at", lambda e: found.append(e.detach() - x) or original(e))  # type: ignore[func-returns-value]
        vat.penalty(seen_by_vat(clean))
        return found[-1]

    lengths["l2"] = seen("l2", "example").flatten(1).norm(dim=1)
    torch.testing.assert_close(lengths["l2"], torch.full((5,), 2.5), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(seen("linf", "example").abs(), torch.full_like(x, 2.5), rtol=1e-5, atol=1e-5)
    assert seen("l2", "batch").norm().item() == pytest.approx(2.5, rel=1e-5)


@pytest.mark.parametrize("direction", ["exact", "finite_difference"])
def test_finding_the_direction_makes_no_parameter_gradients(direction: str) -> None:
    model, x = make("mlp", torch.float32)
    vat = VAT(direction=direction, power_iterations=3)  # type: ignore[arg-type]
    vat.find_direction(clean_pass(model, x), torch.Generator().manual_seed(0))
    assert all(parameter.grad is None for parameter in model.parameters())
    model(x).sum().backward()
    before = [parameter.grad.clone() for parameter in model.parameters()]  # type: ignore[union-attr]
    vat.find_direction(clean_pass(model, x), torch.Generator().manual_seed(0))
    assert all(map(torch.equal, before, (parameter.grad for parameter in model.parameters())))  # type: ignore[arg-type]


def test_running_statistics_move_once_per_step_by_both_clean_batches() -> None:
    task = small_task({"vat": VAT(epsilon=3.0, power_iterations=2)})
    linear, norm = task.model.layers[0], task.model.layers[1]  # type: ignore[index]
    for step in range(3):
        before = norm.running_mean.clone()
        labeled = task.dataset.labeled.x[task.labeled_batch(step)].flatten(1)
        unlabeled = task.dataset.unlabeled[task.unlabeled_batch(step)].flatten(1)
        with torch.no_grad():
            pooled = linear(torch.cat((labeled, unlabeled))).mean(0)
        task.step(step)
        torch.testing.assert_close(norm.running_mean, 0.9 * before + 0.1 * pooled, rtol=1e-5, atol=1e-6)
        assert norm.num_batches_tracked.item() == step + 1
    assert norm.momentum == 0.1
    assert norm.track_running_stats


def test_target_flow_also_trains_the_clean_prediction() -> None:
    """Its gradient is that of KL in both arguments; stop's is that in the second alone."""
    model, x = make("mlp", torch.float64)
    r = VAT(epsilon=0.7, power_iterations=2)
    d = 0.7 * r.find_direction(clean_pass(model, x), Draws(0, 0, x.device)["vat"])
    for target in ("stop", "flow"):
        vat = VAT(epsilon=0.7, power_iterations=2, target=target)  # type: ignore[arg-type]
        forward = seen_by_vat(clean_pass(model, x))
        got = torch.autograd.grad(vat.penalty(forward), list(model.parameters()))
        p, q = model(x).log_softmax(1), model(x + d).log_softmax(1)
        p = p if target == "flow" else p.detach()
        expected = torch.autograd.grad((p.exp() * (p - q)).sum(1).mean(), list(model.parameters()))
        for a, b in zip(got, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-10)


def test_direction_is_found_in_float32_under_bfloat16() -> None:
    model, x = make("mlp", torch.float32)
    vat = VAT(power_iterations=1, xi=1e-3)
    full = vat.find_direction(clean_pass(model, x), torch.Generator().manual_seed(0))
    half = clean_pass(model, x, dtype=torch.bfloat16)
    assert not torch.equal(half.logits, clean_pass(model, x).logits)
    assert torch.equal(vat.find_direction(half, torch.Generator().manual_seed(0)), full)
    assert half.dtype is torch.bfloat16
