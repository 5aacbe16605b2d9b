"""How often 95 % intervals hold the truth, for each estimator of genreg.measure that has one.

The trace of matrices in 100 dimensions with known eigenvalues and random eigenvectors, and the gradient noise
of linear regression in 10 dimensions, whose inputs are normal times a factor of each item; in float64.

    python scripts/simulate_coverage.py --repeats 2000
"""

import argparse
import math
from collections.abc import Iterable, Iterator
from statistics import fmean

import torch
from torch import Tensor, nn

from genreg.measure import Estimate, Hessian, gradient_noise, hessian_trace

D, DIMENSIONS = 100, 10
RANKS = torch.arange(1, D + 1, dtype=torch.float64)
SPECTRA = {
    "flat: 1 to 2": torch.linspace(1, 2, D, dtype=torch.float64),
    "power law: 1/k": 1 / RANKS,
    "power law: 1/k^2": 1 / RANKS**2,
    "one dominant: 100, 1, 1, ...": torch.where(RANKS == 1, 100.0, 1.0).double(),
    "indefinite: 1 to 2, and -1 to -1/2": torch.cat(
        (torch.linspace(1, 2, 70), torch.linspace(-1, -0.5, 30))
    ).double(),
    "indefinite: 1/k, and -0.3/k": torch.cat((1 / RANKS[:60], -0.3 / RANKS[:40])),
}


class Matrix:
    """A matrix with these eigenvalues in random directions, where `hessian_trace` expects a Hessian."""

    def __init__(self, eigenvalues: Tensor, draw: torch.Generator) -> None:
        q = torch.linalg.qr(torch.randn(D, D, dtype=torch.float64, generator=draw)).Q
        self.like = q * eigenvalues.double() @ q.T
        self.size = D

    def __matmul__(self, v: Tensor) -> Tensor:
        return self.like @ v

    rademacher = Hessian.rademacher


def traces(eigenvalues: Tensor, repeats: int, draw: torch.Generator, **options: object) -> Iterator[Estimate]:
    for _ in range(repeats):
        yield hessian_trace(Matrix(eigenvalues, draw), generator=draw, **options)  # type: ignore[arg-type]


def squared(outputs: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
    return nn.functional.mse_loss(outputs, y, reduction=reduction)


def noise(spread: float) -> float:
    """The gradient noise of items r z with target N(0, 1), at weights of length 1, which are 0 in truth.

    z is normal, log r of standard deviation `spread`: E r^k = exp(k^2 spread^2 / 2).
    """
    second, fourth = math.exp(2 * spread**2), math.exp(8 * spread**2)
    return 4 * ((DIMENSIONS + 2) * fourth + DIMENSIONS * second - second**2)


def noises(spread: float, items: int, repeats: int, draw: torch.Generator) -> Iterator[Estimate]:
    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=draw)

    model = nn.Linear(DIMENSIONS, 1, bias=False).double()
    nn.init.constant_(model.weight, 1 / math.sqrt(DIMENSIONS))
    for _ in range(repeats):
        x = (spread * normal(items, 1)).exp() * normal(items, DIMENSIONS)
        yield gradient_noise(model, x, normal(items, 1), nn.functional.mse_loss)


def coverage(truth: float, found: Iterable[Estimate]) -> tuple[float, float]:
    """Per cent of intervals that hold the truth, but for rounding, and the mean number of samples."""
    estimates = list(found)
    held = [low - 1e-9 <= truth <= high + 1e-9 for low, high in (e.interval for e in estimates)]
    return 100 * fmean(held), fmean(e.n for e in estimates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=2000)
    repeats = parser.parse_args().repeats
    draw = torch.Generator().manual_seed(0)
    print("| trace of | error, most probes | hutchinson % (probes) | hutch++ % (probes) |\n|---|---|---|---|")
    for name, eigenvalues in SPECTRA.items():
        for relative_error, most in ((0.05, 200), (0.1, 1000), (0.1, 10)):
            options = {"relative_error": relative_error, "max_samples": most}
            cells = []
            for method in ("hutchinson", "hutch++"):
                found = traces(eigenvalues, repeats, draw, method=method, **options)
                cells.append("{:.1f} ({:.0f})".format(*coverage(eigenvalues.sum().item(), found)))
            print(f"| {name} | {relative_error}, {most} | {' | '.join(cells)} |", flush=True)
    print("\n| gradient noise: spread of log r | items | % |\n|---|---|---|")
    for spread in (0.0, 0.25, 0.5):
        for items in (50, 1000):
            held, _ = coverage(noise(spread), noises(spread, items, repeats, draw))
            print(f"| {spread} | {items} | {held:.1f} |", flush=True)


if __name__ == "__main__":
    main()
