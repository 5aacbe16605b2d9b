"""How well VAT's finite difference finds the direction, by xi and precision.

    python scripts/xi_table.py

Cosine between the direction after one power iteration from the same random start and its exact value in
float64, mean and worst of 128 examples, for an mlp and a small conv net trained for 200 steps. "bf16" is
the finite difference made under autocast, which genreg never does: it finds the direction in fp32 whatever
the precision.
"""

from functools import partial

import torch
from torch import Tensor

from genreg.dataset import Batch, digits
from genreg.forward.classifier import ClassifierForward
from genreg.forward.perturbation import random_direction, unit
from genreg.model import MLP, Classifier, Conv
from genreg.regularizer import VAT
from genreg.regularizer.vat import difference_product, exact_product
from genreg.task.classify import Classify

XI = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0]


def trained(model: partial[Classifier], upsample: bool) -> tuple[Classifier, Tensor]:
    """A model after 200 steps on digits (3 x 3 pixels for each where `upsample`), and 128 pictures."""
    task = Classify(
        dataset=enlarged if upsample else digits,
        model=model,
        optimizer=partial(torch.optim.Adam, lr=1e-3),
        regularizer={"vat": VAT()},
    )
    for step in range(200):
        task.step(step)
    return task.model.eval(), task.dataset.test.x[:128]


def enlarged(seed: int) -> object:
    """Digits at 24 x 24 pixels."""
    from dataclasses import replace

    bigger = partial(torch.nn.functional.interpolate, scale_factor=3)
    dataset = digits(seed=seed)
    splits = {name: getattr(dataset, name) for name in ("labeled", "validation", "test")}
    splits = {name: replace(split, x=bigger(split.x)) for name, split in splits.items()}
    return replace(dataset, unlabeled=bigger(dataset.unlabeled), **splits)


def clean_pass(model: Classifier, x: Tensor, dtype: torch.dtype | None = None) -> ClassifierForward:
    return ClassifierForward(model, Batch(x, x.new_empty(0)), gradient=False, dtype=dtype)


def cosines(model: Classifier, x: Tensor, xi: float, dtype: torch.dtype | None) -> Tensor:
    clean = clean_pass(model, x, dtype)
    d = random_direction(clean, "example", torch.Generator().manual_seed(0))
    found = unit(difference_product(clean, clean.logits, x, d, xi), "example", fallback=d)
    model.double()
    exact = unit(exact_product(clean_pass(model, x.double()), x.double(), d.double()), "example")
    model.float()
    return (found.double() * exact).flatten(1).sum(1).abs()


def main() -> None:
    nets = {
        "mlp": trained(partial(MLP, widths=[256, 256]), False),
        "conv": trained(partial(Conv, widths=[16, 32, 32, 32, 32]), True),
    }
    precisions = {"fp32": None, "bf16": torch.bfloat16}
    columns = [(net, name) for net in nets for name in precisions]
    print("| xi | " + " | ".join(f"{net}, {name}" for net, name in columns) + " |")
    print("|---|" + "---|" * len(columns))
    for xi in XI:
        found = [cosines(*nets[net], xi, precisions[name]) for net, name in columns]
        print(f"| {xi:g} | " + " | ".join(f"{c.mean():.3f} ({c.min():.3f})" for c in found) + " |")


if __name__ == "__main__":
    main()
