"""Terms against independent oracles, and strength zero against the baseline, for every method."""

from inspect import signature
from typing import Any

import numpy as np
import pytest
import torch
from conftest import small_task, yaml_options
from omegaconf import OmegaConf
from scipy.special import rel_entr, softmax
from scipy.stats import entropy as scipy_entropy

from genreg import CONFIGS, regularizer
from genreg.forward.perturbation import kl_divergence, unit
from genreg.regularizer import L2, VAT, Entropy, NoiseConsistency, Regularizer
from genreg.task.classify import Classify


def method_of(option: str) -> type[Regularizer]:
    target = OmegaConf.load(CONFIGS / "regularizer" / f"{option}.yaml")._target_
    return getattr(regularizer, target.rsplit(".", 1)[-1])


METHODS = {name: method_of(name) for name in yaml_options("regularizer") if name != "none"}
PENALTIES = [name for name, method in METHODS.items() if "weight" in signature(method).parameters]


def weights_after(task: Classify, steps: int = 50) -> list[torch.Tensor]:
    for step in range(steps):
        task.step(step)
    return [parameter.detach() for parameter in task.model.parameters()]


def test_every_method_has_a_yaml() -> None:
    classes = {value for value in vars(regularizer).values() if isinstance(value, type)}
    assert {c for c in classes if issubclass(c, Regularizer)} - {Regularizer} == set(METHODS.values())


@pytest.mark.parametrize(
    ("name", "values"),
    [*((name, {"weight": 0.5}) for name in PENALTIES if name != "pseudo_label"),
     ("pseudo_label", {"threshold": 0.0}), ("weight_clipping", {"bound": 0.05}),
     ("frobenius_projection", {"bound": 0.05})],
)  # fmt: skip
def test_it_changes_how_weights_move(name: str, values: dict[str, float]) -> None:
    """Without effect it is the baseline: test_pairs.py."""
    moved = weights_after(
        small_task({name: METHODS[name](**values)}), 20
    )  # of more than an epoch of the pool
    assert not all(map(torch.equal, weights_after(small_task(), 20), moved))


def test_kl_divergence_against_scipy() -> None:
    p, q = np.random.default_rng(0).normal(size=(2, 50, 10)) * 4
    expected = rel_entr(softmax(p, 1), softmax(q, 1)).sum(1).mean()
    got = kl_divergence(torch.from_numpy(p), torch.from_numpy(q)).item()
    assert got == pytest.approx(expected, rel=1e-12)


def test_kl_gradient_is_the_difference_of_predictions() -> None:
    p, q = torch.randn(2, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    q.requires_grad_()
    (gradient,) = torch.autograd.grad(kl_divergence(p, q), q)
    torch.testing.assert_close(gradient, (q.softmax(1) - p.softmax(1)).detach() / 6, rtol=1e-12, atol=1e-14)
    same = p.float().requires_grad_()
    (gradient,) = torch.autograd.grad(kl_divergence(p.float(), same), same)
    assert (gradient == 0).all()


def test_entropy_against_scipy() -> None:
    task = small_task({"entropy": Entropy()})
    forward = task.forward(0)
    predictions = softmax(forward.unlabeled.logits.detach().double().numpy(), 1)
    got = Entropy().penalty(forward).item()
    assert got == pytest.approx(scipy_entropy(predictions, axis=1).mean(), rel=1e-5)


def test_l2_under_gradient_descent_is_weight_decay() -> None:
    def sgd(decay: float) -> Any:
        return lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=decay)

    penalized = weights_after(small_task({"l2": L2(weight=0.01)}, optimizer=sgd(0.0)))
    decayed = weights_after(small_task(optimizer=sgd(0.01)))
    for a, b in zip(penalized, decayed, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_noise_consistency_is_vat_without_power_iterations() -> None:
    noise, vat = NoiseConsistency(epsilon=2.0), VAT(epsilon=2.0, power_iterations=0)
    assert all(
        map(torch.equal, weights_after(small_task({"m": noise})), weights_after(small_task({"m": vat})))
    )


@pytest.mark.parametrize("shape", [(5, 12), (5, 3, 2, 2)])
def test_unit_length_per_example_whatever_the_shape(shape: tuple[int, ...]) -> None:
    d = torch.randn(5, 12, generator=torch.Generator().manual_seed(0)).reshape(shape)
    d[0] *= 1e-30  # its squares underflow
    d[1] *= 1e30  # its squares overflow
    assert torch.equal(unit(d, "example").flatten(1), unit(d.flatten(1), "example"))
    torch.testing.assert_close(unit(d, "example").flatten(1).norm(dim=1), torch.ones(5))
    assert unit(d, "batch").norm().item() == pytest.approx(1)


def test_a_zero_gradient_keeps_the_direction_before() -> None:
    d = torch.zeros(2, 3)
    before = torch.eye(3)[:2]
    assert torch.equal(unit(d, "example", fallback=before), before)


def test_terms_of_several_methods_share_one_clean_pass() -> None:
    task = small_task({"vat": VAT(target="flow"), "entropy": Entropy(), "l2": L2()})
    passes = []
    classify = task.model.classify
    task.model.classify = lambda e, mask: passes.append(len(e)) or classify(e)  # type: ignore[method-assign,func-returns-value]
    terms = task.step(0)
    assert list(terms) == ["cross_entropy", "entropy", "l2", "vat", "loss"]  # methods by name
    assert passes == [32, 128, 128, 128]  # labeled, clean, direction, adversarial
    parts = terms["cross_entropy"] + terms["vat"] + terms["entropy"] + 1e-4 * terms["l2"]
    assert terms["loss"].item() == pytest.approx(parts.item(), rel=1e-6)


def test_reading_the_unlabeled_batch_without_saying_so_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"the method must say reads = {'unlabeled'}"):
        Entropy().penalty(small_task().forward(0))
