"""Eigenvalues and spectral density of a Hessian by the Lanczos iteration."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from genreg.measure.hessian import Hessian
from genreg.norm import norm

FEWEST = 8  # probes before the standard error of a density is trusted enough to stop by it


@dataclass(frozen=True)
class Eigenvalues:
    """values: largest first; residuals: |H q - value q|; n: products.

    Within a residual of its value lies some eigenvalue of H, which need not be the one of that rank: a larger
    one may be missed whose eigenvector the start hardly touches.
    """

    values: tuple[float, ...]
    residuals: tuple[float, ...]
    n: int


@dataclass(frozen=True)
class Density:
    """density: eigenvalues per unit of `grid`, with integral 1, and its standard error over `n` probes.

    nodes and weights: the quadrature of each probe, (n, steps); sum(weights * f(nodes)) estimates tr f(H)
    over the number of weights.
    """

    grid: Tensor
    density: Tensor
    stderr: Tensor
    n: int
    nodes: Tensor
    weights: Tensor


def lanczos(hessian: Hessian, start: Tensor, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Tridiagonal T = Q^T H Q and Q (size, m) with orthonormal columns from `start`, and the next beta.

    Every vector is orthogonalized twice against all before it, since rounding otherwise returns copies of
    eigenvalues already found. m < steps if the Krylov space is exhausted; then beta is 0.
    """
    q = start / start.norm()
    columns, alphas, betas = [q], [], []
    tiny = 100 * torch.finfo(q.dtype).eps
    scale = 0.0
    for _ in range(min(steps, hessian.size)):
        r = hessian @ columns[-1]
        alphas.append(torch.dot(columns[-1], r).item())
        scale = max(scale, norm(r).item())
        basis = torch.stack(columns, 1)
        for _ in range(2):
            r = r - basis @ (basis.T @ r)
        betas.append(norm(r).item())
        if betas[-1] <= tiny * scale:
            betas[-1] = 0.0
            break
        columns.append(r / betas[-1])
    m = len(alphas)
    off = torch.tensor(betas[: m - 1], dtype=torch.float64)
    t = torch.diag(torch.tensor(alphas, dtype=torch.float64)) + torch.diag(off, 1) + torch.diag(off, -1)
    return t, torch.stack(columns[:m], 1), torch.tensor(betas[-1], dtype=torch.float64)


@torch.no_grad()
def hessian_eigenvalues(
    hessian: Hessian, *, k: int = 1, relative_error: float = 1e-3, max_products: int = 200,
    generator: torch.Generator,
) -> Eigenvalues:  # fmt: skip
    """The k largest eigenvalues, Lanczos steps being doubled until each residual is small enough.

    relative_error: of each residual to the largest absolute value found.
    """
    start = torch.randn(hessian.size, generator=generator, device=hessian.like.device)
    start = start.to(hessian.like.dtype)
    before, steps = hessian.products, min(hessian.size, max(2 * k, 10))
    while True:
        t, _, beta = lanczos(hessian, start, steps)
        values, vectors = torch.linalg.eigh(t)
        residuals = (beta * vectors[-1].abs()).flip(0)[:k]
        done = (residuals <= relative_error * values.abs().max()).all()
        spent = hessian.products - before
        if done or steps >= hessian.size or spent + 2 * steps > max_products:
            return Eigenvalues(tuple(values.flip(0)[:k].tolist()), tuple(residuals.tolist()), spent)
        steps = min(2 * steps, hessian.size)


@torch.no_grad()
def hessian_density(
    hessian: Hessian, *, steps: int = 40, width: float = 0.02, points: int = 400,
    relative_error: float = 0.1, max_samples: int = 100, generator: torch.Generator,
) -> Density:  # fmt: skip
    """Stochastic Lanczos quadrature of the spectral density, smoothed by a Gaussian.

    Ghorbani et al., arXiv:1901.10159. width: standard deviation of the Gaussian as a share of the range of
    eigenvalues. Probes are added until the standard error at the peak is `relative_error` of the peak.
    """
    nodes: list[Tensor] = []
    weights: list[Tensor] = []
    while True:
        t, _, _ = lanczos(hessian, hessian.rademacher(1, generator)[:, 0], steps)
        values, vectors = torch.linalg.eigh(t)
        nodes.append(values)
        weights.append(vectors[0].square())
        if len(nodes) < min(FEWEST, max_samples):
            continue
        grid, curves = _smoothed(nodes, weights, width, points)
        mean, n = curves.mean(0), len(nodes)
        stderr = curves.std(0) / math.sqrt(n) if n > 1 else torch.full_like(mean, math.nan)
        peak = mean.argmax()
        if stderr[peak] <= relative_error * mean[peak] or n >= max_samples:
            return Density(grid, mean, stderr, n, _padded(nodes), _padded(weights))


def _smoothed(
    nodes: Sequence[Tensor], weights: Sequence[Tensor], width: float, points: int
) -> tuple[Tensor, Tensor]:
    """The grid, and each probe's density on it, (n, points)."""
    low, high = (float(f(torch.cat(list(nodes)))) for f in (torch.min, torch.max))
    sigma = width * ((high - low) or abs(high) or 1.0)
    grid = torch.linspace(low - 4 * sigma, high + 4 * sigma, points, dtype=torch.float64)
    curves = []
    for x, w in zip(nodes, weights, strict=True):
        bells = torch.exp(-0.5 * ((grid - x[:, None]) / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))
        curves.append((w[:, None] * bells).sum(0))
    return grid, torch.stack(curves)


def _padded(rows: Sequence[Tensor]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
