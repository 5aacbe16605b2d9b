"""How many modes of a known mixture a sample reaches."""

import torch
from torch import Tensor

from genreg.dataset.base import Modes
from genreg.measure.estimate import Estimate, mean

WITHIN = 3  # standard deviations; 98.9 % of a Gaussian in the plane


def high_quality(x: Tensor, modes: Modes) -> tuple[Tensor, Tensor]:
    """For each item the number of its nearest center, and whether it lies within 3 sigma of it."""
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
