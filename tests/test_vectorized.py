"""Replicas as one tensor program: `torch.func` over the penalties gives what a loop over replicas gives."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, stack_module_state, vjp, vmap

from genreg.forward import Batch
from genreg.forward.classifier import ClassifierForward, Pullback
from genreg.model import MLP
from genreg.regularizer import L2, VAT, Entropy, NoiseConsistency, Regularizer

REPLICAS = 4
Weights = dict[str, Tensor]

METHODS: dict[str, Callable[[], Regularizer]] = {
    "none": Regularizer,
    "l2": lambda: L2(weight=0.1),
    "entropy": Entropy,
    "noise": lambda: NoiseConsistency(epsilon=0.7),
    "noise_flow_linf": lambda: NoiseConsistency(epsilon=0.7, target="flow", norm="linf"),
    "vat": lambda: VAT(epsilon=0.7, power_iterations=2),
    "vat_flow": lambda: VAT(epsilon=0.7, target="flow", scope="batch"),
    "vat_exact": lambda: VAT(epsilon=0.7, power_iterations=2, direction="exact"),
    "vat_exact_flow": lambda: VAT(epsilon=0.7, target="flow", direction="exact"),
}


class Functional:
    """A model as a function of given weights."""

    def __init__(self, model: nn.Module, weights: Weights) -> None:
        self.model, self.weights = model, weights

    def __call__(self, **given: Any) -> Tensor:
        return functional_call(self.model, self.weights, (), given)

    def parameters(self) -> Iterator[Tensor]:
        return iter(self.weights.values())

    def modules(self) -> Iterator[nn.Module]:
        return self.model.modules()


class FunctionalForward(ClassifierForward):
    """A pass whose inner derivatives are function transforms, which nest in others."""

    @property
    def parameters(self) -> list[Tensor]:
        return list(self.model.parameters())

    def vjp(self, point: Tensor) -> tuple[Tensor, Pullback]:
        logits, pull = vjp(self.at, point.detach())
        return logits.detach(), lambda cotangent: pull(cotangent)[0].detach()

    def jvp(self, point: Tensor, tangent: Tensor) -> tuple[Tensor, Tensor, Pullback]:
        logits, slope = jvp(self.at, (point.detach(),), (tangent,))
        return logits.detach(), slope.detach(), self.vjp(point)[1]


def objective(kind: type[ClassifierForward], model: Any, method: Regularizer) -> Tensor:
    """Cross-entropy, and the method's penalty, of one replica."""
    draw = torch.Generator().manual_seed(1)
    e, pool = (torch.randn(n, 3, dtype=torch.float64, generator=draw) for n in (8, 16))
    y = torch.arange(8) % 4
    forward = kind(model, Batch(e, y, 4), unlabeled=kind(model, Batch(pool, y[:0], 4)))
    loss = forward.loss(forward.logits, forward.batch, "mean")
    penalty = method.penalty(forward.of("method"))
    return loss if penalty is None else loss + 0.5 * penalty


def networks() -> list[MLP]:
    torch.manual_seed(0)
    return [MLP(input_shape=[3], outputs=4, widths=[8], activation="tanh").double() for _ in range(REPLICAS)]


@pytest.mark.parametrize("name", METHODS)
def test_replicas_at_once_are_replicas_one_by_one(name: str) -> None:
    models, method = networks(), METHODS[name]()
    for model in models:
        objective(ClassifierForward, model, method).backward()
    weights, _ = stack_module_state(models)  # type: ignore[arg-type]

    def of_one(w: Weights) -> Tensor:
        return objective(FunctionalForward, Functional(models[0], w), method)

    stacked = {key: value.detach() for key, value in weights.items()}
    found = vmap(grad(of_one), randomness="same")(stacked)
    for key, values in found.items():
        expected = torch.stack([model.get_parameter(key).grad for model in models])  # type: ignore[misc]
        torch.testing.assert_close(values, expected, rtol=1e-8, atol=1e-12)
        assert values.abs().max() > 1e-3
