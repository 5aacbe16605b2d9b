"""How far what small noise and small attacks amount to holds: measured change over its approximation.

    python scripts/expansion_table.py [--seeds 5] [--draws 200] [--steps 1000]

Digits (64 numbers from 0 to 1), 50 labels, an MLP of two layers of 64 and Adam; 500 test items in float64.
Each cell is a ratio, the mean over training seeds (its standard deviation over them); se is the largest
standard error that the draws leave to a mean. The last row: up to where every seed is within 10 % of 1.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache, partial
from itertools import takewhile
from math import sqrt
from statistics import fmean, stdev

import torch
from torch import Tensor

from genreg import streams
from genreg.dataset import Batch, digits
from genreg.forward.base import Draws
from genreg.forward.classifier import ClassifierForward
from genreg.forward.perturbation import kl_divergence, loss_gradient, squared_distance
from genreg.loss import MSE, CrossEntropy, Loss
from genreg.model import MLP
from genreg.regularizer import FGM, FGSM, JacobianPenalty, LaplacianPenalty, NoiseConsistency
from genreg.task.classify import Classify

SIGMAS = [0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0]
LENGTHS = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0]
SIZES = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3]
PROBES: list[float] = [1, 4, 16, 64]
ARMS: list[tuple[str, Loss]] = [(a, loss) for a in ("tanh", "relu") for loss in (CrossEntropy(), MSE())]

Ratio = tuple[float, float]
"""A ratio, and the standard error that the draws leave."""


def trained(activation: str, loss: Loss, seed: int, steps: int) -> ClassifierForward:
    """A pass of a trained network over the test items."""
    model = partial(MLP, widths=[64, 64], activation=activation)
    adam = partial(torch.optim.Adam, lr=1e-3)
    task = Classify(dataset=digits, model=model, loss=loss, regularizer={}, optimizer=adam, seed=seed)
    for step in range(steps):
        task.step(step)
    items = task.dataset.test
    batch = Batch(items.x.double(), items.y, classes=10)
    draws = Draws(seed, steps, torch.device("cpu"))
    seen = ClassifierForward(task.model.double().eval(), batch, loss=loss, draws=draws)
    seen.unlabeled_pass = seen
    return seen


def over(found: list[Tensor], expected: Tensor) -> Ratio:
    ratios = torch.stack(found) / expected
    return ratios.mean().item(), (ratios.std() / sqrt(len(found))).item()


def noise(seen: ClassifierForward, sigma: float, draws: int) -> Iterator[Tensor]:
    draw = seen.of("expansion").draw
    return (sigma * streams.normal_like(seen.embedding, draw) for _ in range(draws))


@cache
def predicted(seen: ClassifierForward, method: type[LaplacianPenalty] | type[JacobianPenalty]) -> Tensor:
    """The exact penalty of sigma 1; that of another sigma is its square times as much."""
    if method is LaplacianPenalty:
        return LaplacianPenalty(sigma=1.0, estimator="exact").penalty(seen).detach()
    return tikhonov(seen).penalty(seen).detach()


def tikhonov(seen: ClassifierForward) -> JacobianPenalty:
    """Of the divergence that belongs to the loss: kl, or mse."""
    return JacobianPenalty(sigma=1.0, divergence="mse" if isinstance(seen.loss, MSE) else "kl")


def laplacian(seen: ClassifierForward, sigma: float, draws: int) -> Ratio:
    """Of n and -n, whose mean has no part of first order."""
    expected, e = predicted(seen, LaplacianPenalty), seen.embedding
    with torch.no_grad():
        clean, around = seen.score(e).mean(), noise(seen, sigma, draws)
        found = [(seen.score(e + n) + seen.score(e - n)).mean() / 2 - clean for n in around]
    return over(found, sigma**2 * expected)


def divergence(seen: ClassifierForward, sigma: float, draws: int) -> Ratio:
    expected = predicted(seen, JacobianPenalty)
    compare = squared_distance if isinstance(seen.loss, MSE) else kl_divergence
    with torch.no_grad():
        around = noise(seen, sigma, draws)
        found = [compare(seen.logits, seen.at(seen.embedding + n)) for n in around]
    return over(found, sigma**2 * expected)


def consistency(seen: ClassifierForward, sigma: float, draws: int) -> Ratio:
    method = NoiseConsistency(epsilon=sigma * 8, divergence=tikhonov(seen).divergence)
    with torch.no_grad():
        found = [method.penalty(seen.of("noise_consistency")) for _ in range(draws)]
    return over(found, sigma**2 * predicted(seen, JacobianPenalty))


def attack(method: type[FGM] | type[FGSM], seen: ClassifierForward, size: float, _draws: int) -> Ratio:
    """The rise of the loss along its gradient g or the signs of g, over size times |g|_2 or |g|_1."""
    order = 2 if method is FGM else 1
    slope = loss_gradient(seen, seen.embedding).flatten(1).norm(order, 1).mean()
    clean = seen.score(seen.embedding)
    rise = (method(epsilon=size, alpha=0).losses(seen, clean) - clean).mean()
    return (rise / (size * slope)).item(), 0.0


@cache
def estimates(seen: ClassifierForward, probes: float, draws: int) -> Tensor:
    """Sampled penalties on 32 items over the exact one."""
    batch = Batch(seen.embedding[:32], seen.y[:32], classes=10)
    few = ClassifierForward(seen.model, batch, loss=seen.loss, draws=seen.draws)
    exact = tikhonov(few)
    some = replace(exact, estimator="sampled", probes=int(probes))
    found = torch.stack([some.penalty(few).detach() for _ in range(draws)])
    return found / exact.penalty(few).detach()


def sampled(seen: ClassifierForward, probes: float, draws: int) -> Ratio:
    found = estimates(seen, probes, draws // 2)
    return found.mean().item(), (found.std() / sqrt(len(found))).item()


def error_of_sampled(seen: ClassifierForward, probes: float, draws: int) -> Ratio:
    found = estimates(seen, probes, draws // 2)
    return found.std().item(), (found.std() / sqrt(2 * len(found))).item()


LINKS: dict[str, tuple[str, list[float], Callable[[ClassifierForward, float, int], Ratio]]] = {
    "E l(f(e + n), y) - l, over sigma^2 / 2 Laplacian of l": ("sigma", SIGMAS, laplacian),
    "E D(f(e), f(e + n)), over the Jacobian penalty": ("sigma", SIGMAS, divergence),
    "consistency at length epsilon, over the Jacobian penalty of sigma = epsilon / 8":
        ("epsilon / 8", SIGMAS, consistency),
    "l(e + epsilon g / |g|_2) - l, over epsilon |g|_2": ("epsilon", LENGTHS, partial(attack, FGM)),
    "l(e + epsilon sign(g)) - l, over epsilon |g|_1": ("epsilon", SIZES, partial(attack, FGSM)),
    "sampled Jacobian penalty, over the exact one": ("probes", PROBES, sampled),
    "relative standard error of one such estimate on 32 items": ("probes", PROBES, error_of_sampled),
}  # fmt: skip


def table(title: str, passes: list[list[ClassifierForward]], draws: int) -> None:
    unit, sizes, link = LINKS[title]
    arms = [f"{activation}, {loss.name}" for activation, loss in ARMS]
    print(f"\n{title}\n\n| {unit} | " + " | ".join(arms) + " | se |\n|" + "---|" * (len(arms) + 2))
    ratios = []
    for size in sizes:
        found = [[link(seen, size, draws) for seen in arm] for arm in passes]
        ratios.append([[ratio for ratio, _ in arm] for arm in found])
        cells = " | ".join(f"{fmean(arm):.3f} ({stdev(arm):.3f})" for arm in ratios[-1])
        error = max(sqrt(sum(e**2 for _, e in arm)) / len(arm) for arm in found)
        print(f"| {size:g} | {cells} | {error:.3f} |", flush=True)
    if unit != "probes":
        reached = (reach(sizes, arm) for arm in zip(*ratios, strict=True))
        print("| within 10 % | " + " | ".join(reached) + " | |", flush=True)


def reach(sizes: list[float], ratios: Iterable[list[float]]) -> str:
    """Up to which size, from the smallest on, every seed's ratio is within 10 % of 1."""
    near = [all(abs(ratio - 1) <= 0.1 for ratio in seeds) for seeds in ratios]
    held = [size for size, _ in takewhile(lambda pair: pair[1], zip(sizes, near, strict=True))]
    return f"to {held[-1]:g}" if held else "nowhere"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name, default in (("seeds", 5), ("draws", 200), ("steps", 1000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    seeds = range(options.seeds)
    passes = [[trained(*arm, seed, options.steps) for seed in seeds] for arm in ARMS]
    for title in LINKS:
        table(title, passes, options.draws)


if __name__ == "__main__":
    main()
