"""Distances between samples: Frechet, kernel, precision and recall, transport, modes covered."""

from collections.abc import Callable
from statistics import fmean

import torch
from torch import Tensor

from genreg.dataset.base import Modes
from genreg.dataset.draw import chosen
from genreg.measure.base import Estimate, mean

CHUNK = 1024  # rows of a kernel or distance matrix held at a time


def fid(a: Tensor, b: Tensor) -> Estimate:
    """Frechet distance of the Gaussians fitted to two samples (Heusel et al., arXiv:1706.08500).

    Samples lie above the distance of what they are drawn from, the more the fewer they are: compare only
    at one sample count. The standard error is unknown (NaN).
    """
    if min(len(a), len(b)) < 2:
        raise ValueError(f"fid needs two items or more of each; got {len(a)} and {len(b)}")
    value = frechet_distance(*gaussian(a), *gaussian(b))
    return Estimate(value, float("nan"), min(len(a), len(b)))


def gaussian(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and unbiased covariance in float64."""
    x = x.double()
    return x.mean(0), torch.cov(x.T).reshape(x.shape[1], x.shape[1])


def frechet_distance(mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor) -> float:
    """|mean_a - mean_b|^2 + tr(cov_a + cov_b - 2 (cov_a cov_b)^(1/2)): Wasserstein-2 of Gaussians, squared.

    The trace of that root is the sum of the singular values of cov_a^(1/2) cov_b^(1/2), which needs no
    inverse and no complex number where a covariance has no full rank.
    """
    root = torch.linalg.svdvals(_root(cov_a) @ _root(cov_b)).sum()
    squared = (mean_a - mean_b).square().sum()
    return float(squared + cov_a.trace() + cov_b.trace() - 2 * root)


def _root(covariance: Tensor) -> Tensor:
    """The symmetric square root; eigenvalues that rounding made negative are zero."""
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = vectors * values.clamp_min(0).sqrt() @ vectors.T
    return root


def kid(a: Tensor, b: Tensor) -> Estimate:
    """Unbiased squared maximum mean discrepancy of two samples of one size, kernel (x.y / D + 1)^3.

    Binkowski et al., arXiv:1801.01401; the U-statistic of pairs of Gretton et al. (2012), Lemma 6, with
    h_ij = k(a_i, a_j) + k(b_i, b_j) - k(a_i, b_j) - k(a_j, b_i), i != j. The standard error is the
    jackknife's over the n pairs (a_i, b_i). It may be negative: its mean is zero on equal distributions.
    """
    a, b = a.double(), b.double()
    n = len(a)
    if len(b) != n or n < 3:
        raise ValueError(f"kid needs two samples of one size, at least 3; got {n} and {len(b)}")
    chunks = torch.arange(n, device=a.device).split(CHUNK)
    rows = torch.cat([_pair_sums(a, b, chunk) for chunk in chunks])  # sum of h_ij over j != i
    value = rows.sum() / (n * (n - 1))
    left_out = (rows.sum() - 2 * rows) / ((n - 1) * (n - 2))
    error = ((n - 1) * left_out.var(correction=0)).sqrt()
    return Estimate(value.item(), error.item(), n)


def _pair_sums(a: Tensor, b: Tensor, index: Tensor) -> Tensor:
    def others(x: Tensor, y: Tensor) -> Tensor:
        kernel = (x[index] @ y.T / x.shape[1] + 1) ** 3
        return kernel.sum(1) - kernel.gather(1, index[:, None])[:, 0]

    return others(a, a) + others(b, b) - others(a, b) - others(b, a)


def precision_recall(fake: Tensor, real: Tensor, k: int = 3) -> dict[str, Estimate]:
    """Share of `fake` in the manifold of `real` (precision), and the converse (recall).

    Kynkaanniemi et al., arXiv:1904.06991: a manifold is the union of balls around each item
    that reach to its k-th nearest neighbour.
    """
    fake, real = fake.double(), real.double()
    if min(len(fake), len(real)) <= k:
        raise ValueError(f"precision and recall need more than {k} items; got {len(fake)} and {len(real)}")
    radius_real, radius_fake = _neighbour(real, k), _neighbour(fake, k)
    return {
        "precision": mean(_by_rows(fake, real, lambda d: (d <= radius_real).any(1)).double()),
        "recall": mean(_by_rows(real, fake, lambda d: (d <= radius_fake).any(1)).double()),
    }


def _neighbour(x: Tensor, k: int) -> Tensor:
    """Distance of each item to its k-th nearest other."""
    return _by_rows(x, x, lambda d: d.kthvalue(k + 1, dim=1).values)  # the nearest is the item itself


def _by_rows(a: Tensor, b: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """`function` of the distances from each item of a to all of b, a chunk of rows at a time."""
    return torch.cat([function(torch.cdist(chunk, b)) for chunk in a.split(CHUNK)])


WITHIN = 3  # standard deviations; 98.9 % of a Gaussian in the plane


def high_quality(x: Tensor, modes: Modes) -> tuple[Tensor, Tensor]:
    """The number of the center nearest to each item, and True where it lies within 3 sigma of it."""
    distance, nearest = torch.cdist(x, modes.centers.to(x)).min(1)
    return nearest, distance <= WITHIN * modes.sigma


def modes_covered(x: Tensor, modes: Modes) -> dict[str, Estimate]:
    """`modes` that have a high-quality item, and the share of items that are of `high_quality`.

    As defined by VEEGAN (arXiv:1705.07761) and PacGAN (arXiv:1712.04086), there with 2,500 samples.
    The count has no standard error (NaN).
    """
    nearest, good = high_quality(x, modes)
    count = Estimate(float(nearest[good].unique().numel()), float("nan"), len(x))
    return {"modes": count, "high_quality": mean(good.double())}


def wasserstein(a: Tensor, b: Tensor) -> Estimate:
    """Exact Wasserstein-1 distance of two samples of one size, Euclidean, by optimal assignment.

    Samples lie above the distance of what they are drawn from: compare with two samples of one source.
    The standard error is unknown (NaN). Takes n^2 numbers and up to n^3 steps.
    """
    from scipy.optimize import linear_sum_assignment  # a third of a second, which few runs need

    cost = torch.cdist(a.flatten(1).double(), b.flatten(1).double(), compute_mode=EXACT).cpu().numpy()
    rows, columns = linear_sum_assignment(cost)
    return Estimate(float(cost[rows, columns].mean()), float("nan"), len(a))


def conditional_wasserstein(a: Tensor, a_y: Tensor, b: Tensor, b_y: Tensor) -> Estimate:
    """Mean over classes of the exact Wasserstein-1 distance between the items of one class, by labels (N,).

    Of a class that either side has more of, as many are drawn; one that either lacks is left out.
    As `wasserstein` it lies above the truth, the more the fewer items a class has. ArithmeticError where they
    have no class in common.
    """
    found = []
    for label in a_y[torch.isin(a_y, b_y)].unique():
        ours, theirs = a[a_y == label], b[b_y == label]
        n = min(len(ours), len(theirs))
        found.append(wasserstein(chosen(n, ours), chosen(n, theirs)))
    if not found:
        raise ArithmeticError("samples and items have no class in common")
    return Estimate(fmean(e.value for e in found), float("nan"), sum(e.n for e in found))


EXACT = "donot_use_mm_for_euclid_dist"
"""Products instead of differences lose half the digits of small distances."""


def sliced_wasserstein(a: Tensor, b: Tensor, projections: int, generator: torch.Generator) -> Estimate:
    """Mean Wasserstein-1 distance of two samples of one size along random directions.

    The standard error is over directions. In d dimensions it is of the order of 1/sqrt(d) times the
    distance before slicing: compare only within one space.
    """
    a, b = a.flatten(1), b.flatten(1)
    directions = torch.randn(a.shape[1], projections, generator=generator, device=generator.device)
    directions = (directions / directions.norm(dim=0)).to(a)
    return mean(((a @ directions).sort(0).values - (b @ directions).sort(0).values).abs().mean(0))
