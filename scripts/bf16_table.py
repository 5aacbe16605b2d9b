"""How exact gradients of consistency terms are with precision=bf16, by the size of what is compared.

    python scripts/bf16_table.py

|g - g64| / |g64|, g the gradient in all weights under bf16, g64 that of the same term in float64, along the
same direction and with the same masks: the mean over four batches of 64 digits, for an mlp and a small conv
net after 200 steps. Also with the last layer in float32, which genreg does not do.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from xi_table import enlarged

from genreg import streams
from genreg.dataset import Batch, digits
from genreg.forward.classifier import ClassifierForward
from genreg.forward.perturbation import divergence_along, random_direction
from genreg.model import MLP, Classifier, Conv
from genreg.regularizer import VAT, RDrop
from genreg.task.classify import Classify

BATCHES, ITEMS = 4, 64
Term = Callable[[ClassifierForward], Tensor]
LENGTHS = (0.05, 0.2, 0.5, 1.0, 2.0)
SHARES = (0.01, 0.1, 0.5)


def trained(model: Callable[..., Classifier], upsample: bool) -> tuple[Classifier, Tensor]:
    """A model after 200 steps, in training, and the pool of its data."""
    task = Classify(
        dataset=enlarged if upsample else digits,
        model=model,
        optimizer=partial(torch.optim.Adam, lr=1e-3),
        regularizer={},
    )
    for step in range(200):
        task.step(step)
    return task.model, task.dataset.unlabeled


def clean_pass(model: Classifier, x: Tensor, number: int, dtype: torch.dtype | None) -> ClassifierForward:
    clean = ClassifierForward(model, Batch(x, x.new_empty(0)), masks=number, dtype=dtype)
    clean.unlabeled_pass = clean
    return clean


def gradient(model: Classifier, x: Tensor, number: int, dtype: torch.dtype | None, term: Term) -> Tensor:
    found = torch.autograd.grad(term(clean_pass(model, x, number, dtype)), list(model.parameters()))
    return torch.cat([g.double().flatten() for g in found])


def along(model: Classifier, x: Tensor, number: int, epsilon: float, vat: bool) -> Term:
    """The divergence at length epsilon in one direction, random or VAT's, found in float32."""
    clean, draw = clean_pass(model, x, number, None), streams.generator(0, "noise", number)
    d = VAT().find_direction(clean, draw) if vat else random_direction(clean, "example", draw)
    return lambda seen: divergence_along(seen, d.to(seen.embedding.dtype), epsilon, "l2", "stop")


def error(model: Classifier, pool: Tensor, term: Callable[[Tensor, int], Term], last: bool) -> float:
    errors = []
    for number in range(BATCHES):
        x = pool[torch.randperm(len(pool), generator=streams.generator(1, "batch", number))[:ITEMS]]
        asked = term(x, number)
        with in_float32(model.output) if last else in_float32():
            found = gradient(model, x, number, torch.bfloat16, asked)
        exact = gradient(model.double(), x.double(), number, None, asked)
        model.float()
        errors.append((found - exact).norm() / exact.norm())
    return float(torch.stack(errors).mean())


@contextmanager
def in_float32(*layers: torch.nn.Linear) -> Iterator[None]:
    """Inside, these layers take no part in autocast."""

    def forward(layer: torch.nn.Linear, h: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return F.linear(h.float(), layer.weight, layer.bias)

    for layer in layers:
        layer.forward = partial(forward, layer)  # type: ignore[method-assign]
    yield
    for layer in layers:
        del layer.forward


def dropping(model: Classifier, p: float) -> Callable[[Tensor, int], Term]:
    """R-Drop's term of networks that drop this share of units, whatever they were trained with."""

    def term(x: Tensor, number: int) -> Term:
        for layer in model.modules():
            if isinstance(layer, torch.nn.Dropout):
                layer.p = p
        return RDrop(of="unlabeled").penalty

    return term


def main() -> None:
    nets = {
        "mlp": trained(partial(MLP, widths=[256, 256], dropout=0.1), False),
        "conv": trained(partial(Conv, widths=[16, 32, 32, 32, 32]), True),
    }
    columns = [(name, last) for name in nets for last in (False, True)]
    print("| term | " + " | ".join(name + ", last layer float32" * last for name, last in columns) + " |")
    print("|---|" + "---|" * len(columns))
    for method in ("noise_consistency", "vat"):
        for epsilon in LENGTHS:
            row = []
            for name, last in columns:
                model, pool = nets[name]
                term = partial(along, model, epsilon=epsilon, vat=method == "vat")
                row.append(f"{error(model, pool, term, last):.3f}")
            print(f"| `{method}`, epsilon {epsilon:g} | " + " | ".join(row) + " |", flush=True)
    for p in SHARES:
        model, pool = nets["mlp"]
        row = [f"{error(model, pool, dropping(model, p), last):.3f}" for last in (False, True)]
        print(f"| `r_drop`, dropout {p:g} | " + " | ".join(row) + " | | |", flush=True)


if __name__ == "__main__":
    main()
