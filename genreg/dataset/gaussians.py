"""Mixtures of Gaussians in the plane, whose modes are known."""

import math

import torch

from genreg.dataset.base import Dataset, Modes, Split, Subset, assemble
from genreg.download import Source
from genreg.errors import InputError
from genreg.parameters import Count, CountOrZero, Positive, checked

SOURCES = (
    Source("gaussian_ring", 0.0, "none needed", "generated"),
    Source("gaussian_grid", 0.0, "none needed", "generated"),
)


@checked
def gaussian_ring(
    *,
    modes: Count = 8,
    sigma: Positive = 0.01,
    items: Count = 50_000,
    validation: Count = 5000,
    test: Count = 5000,
    labeled: CountOrZero = 1000,
    subset: Subset = "balanced",
    seed: CountOrZero = 0,
) -> Dataset:
    """Equal Gaussians evenly on a circle, the same points for every seed; the class is the mode.

    sigma: standard deviation around a center over the radius; 8 modes and 0.01 are the 2D-ring of PacGAN
    (arXiv:1712.04086) and, at radius 2, the toy of WGAN-GP's code. The radius is the square root of 2, so
    that each coordinate has standard deviation 1. items: points of the pool.
    """
    angle = 2 * math.pi * torch.arange(modes) / modes
    radius = math.sqrt(2)
    centers = radius * torch.stack((angle.cos(), angle.sin()), 1)
    return mixture(Modes(centers, sigma * radius), (items, validation, test),
                   labeled=labeled, subset=subset, seed=seed)  # fmt: skip


@checked
def gaussian_grid(
    *,
    modes: Count = 25,
    sigma: Positive = 0.025,
    items: Count = 50_000,
    validation: Count = 5000,
    test: Count = 5000,
    labeled: CountOrZero = 1000,
    subset: Subset = "balanced",
    seed: CountOrZero = 0,
) -> Dataset:
    """Equal Gaussians on a square grid, the same points for every seed; the class is the mode.

    modes: a square number from 4. sigma: standard deviation around a center over the distance of
    neighbours; 25 modes and 0.025 are the 2D-grid of PacGAN (arXiv:1712.04086) and the toy of WGAN-GP's
    code. Each coordinate of the centers has standard deviation 1 whatever their number: more modes lie
    closer and are narrower in the same proportion. items: points of the pool.
    """
    side = math.isqrt(modes)
    if side < 2 or side**2 != modes:
        raise InputError("dataset.modes", "a square number from 4", modes)
    spacing = math.sqrt(12 / (modes - 1))  # side evenly spaced numbers have variance (side^2 - 1) / 12
    line = spacing * (torch.arange(side) - (side - 1) / 2)
    return mixture(Modes(torch.cartesian_prod(line, line), sigma * spacing), (items, validation, test),
                   labeled=labeled, subset=subset, seed=seed)  # fmt: skip


def mixture(modes: Modes, sizes: tuple[int, int, int], *, labeled: int, subset: Subset, seed: int) -> Dataset:
    """A data set of pool, validation and test of these sizes, drawn from equally likely modes."""
    pool, validation, test = (points(modes, n, state) for state, n in enumerate(sizes))
    return assemble((pool.x, pool.y), validation, test, labeled=labeled, subset=subset, seed=seed,
                    modes=modes)  # fmt: skip


def points(modes: Modes, n: int, state: int) -> Split:
    """n independent points with the number of their mode."""
    draw = torch.Generator().manual_seed(state)
    y = torch.randint(len(modes.centers), (n,), generator=draw)
    noise = torch.randn(n, modes.centers.shape[1], generator=draw)
    return Split(modes.centers[y] + modes.sigma * noise, y, torch.ones(n, dtype=torch.bool))
