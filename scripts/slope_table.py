"""What a gradient penalty does to a classifier: slopes of its loss and its accuracy, for targets and weights.

    python scripts/slope_table.py [--steps 1000] [--seeds 3]

Digits, 50 labels, the default network and Adam. slope: mean l2 norm of the gradient of an item's
cross-entropy in the item, in evaluation mode, at labeled and at test items. Means over seeds.
"""

import argparse
from functools import partial
from statistics import fmean

import torch
from torch.nn.functional import cross_entropy

from genreg.dataset import digits
from genreg.dataset.base import Split
from genreg.model import MLP, Classifier
from genreg.regularizer import GradientPenalty, Regularizer
from genreg.task.classify import Classify

ARMS: list[tuple[float, float]] = [(1, 0), (1, 10), (0, 10), (0, 1), (0, 0.1)]
"""Target and weight."""


def slope(model: Classifier, items: Split) -> float:
    model.eval()
    e = model.embed(items.x).detach().requires_grad_()
    loss = cross_entropy(model(embedding=e), items.y, reduction="sum")
    return torch.autograd.grad(loss, e)[0].flatten(1).norm(dim=1).mean().item()


def trained(methods: dict[str, Regularizer], seed: int, steps: int) -> tuple[float, float, float]:
    """Slope at labeled items, at test items, and test accuracy."""
    task = Classify(
        dataset=digits, model=partial(MLP, widths=[256, 256]), regularizer=methods,
        optimizer=partial(torch.optim.Adam, lr=1e-3), seed=seed,
    )  # fmt: skip
    for step in range(steps):
        task.step(step)
    data = task.dataset
    return (slope(task.model, data.labeled), slope(task.model, data.test), task.evaluate()["test/accuracy"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    print("| target | weight | slope, labeled | slope, test | test accuracy % |\n|---|---|---|---|---|")
    for target, weight in ARMS:
        methods = {"gradient_penalty": GradientPenalty(target=target, weight=weight)}
        rows = [trained(methods, seed, options.steps) for seed in range(options.seeds)]
        labeled, test, accuracy = map(fmean, zip(*rows, strict=True))
        arm = f"{target:g} | {weight:g}" if weight else "none |"
        print(f"| {arm} | {labeled:.3f} | {test:.2f} | {100 * accuracy:.1f} |", flush=True)


if __name__ == "__main__":
    main()
