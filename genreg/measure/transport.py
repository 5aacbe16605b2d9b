"""Wasserstein distances between samples."""

from statistics import fmean

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from genreg.dataset.draw import chosen
from genreg.measure.estimate import Estimate, mean


def wasserstein(a: Tensor, b: Tensor) -> Estimate:
    """Exact Wasserstein-1 distance of two samples of one size, Euclidean, by optimal assignment.

    Samples lie above the distance of what they are drawn from: compare with two samples of one source.
    The standard error is unknown (NaN). Takes n^2 numbers and up to n^3 steps.
    """
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
