"""Whitening that leaves pictures as near to themselves as it can."""

from dataclasses import replace

import torch
from torch import Tensor

from genreg.dataset.base import Dataset, Split

SMALLEST = 1e-6  # variance below which a direction is no further stretched
CHUNK = 5000  # items converted at a time


def whitened(dataset: Dataset) -> Dataset:
    """The data set as U S^(-1/2) U' (x - m): mean m and covariance U S U' are those of the pool.

    ZCA, as Miyato et al. (arXiv:1704.03976) prepare CIFAR-10. Variances below 1e-6 count as 1e-6. Each
    direction has variance 1 then, so lengths are in units of standard deviations.
    """
    pool = dataset.unlabeled.flatten(1)
    mean = pool.mean(0, dtype=torch.float64)
    covariance = torch.zeros(len(mean), len(mean), dtype=torch.float64)
    for rows in pool.split(CHUNK):  # float32 has not the digits for the small variances
        covariance.addmm_((rows - mean).T, rows - mean)
    variances, directions = torch.linalg.eigh(covariance / len(pool))
    matrix = directions * variances.clamp_min(SMALLEST).rsqrt() @ directions.T

    def white(x: Tensor) -> Tensor:
        return torch.cat([_mapped(rows, mean, matrix) for rows in x.split(CHUNK)]).view_as(x)

    def split(part: Split) -> Split:
        return replace(part, x=white(part.x))

    return replace(
        dataset, unlabeled=white(dataset.unlabeled), labeled=split(dataset.labeled),
        validation=split(dataset.validation), test=split(dataset.test),
    )  # fmt: skip


def _mapped(x: Tensor, mean: Tensor, matrix: Tensor) -> Tensor:
    return ((x.flatten(1) - mean) @ matrix).to(x.dtype)
