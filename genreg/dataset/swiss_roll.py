"""A rolled-up strip, seen from the side."""

import torch
from torch import Tensor

from genreg.dataset.base import Dataset, unlabeled
from genreg.download import Source
from genreg.parameters import Count, CountOrZero, NonNegative, checked

SCALE = 7.5  # of the WGAN-GP toy

SOURCE = Source("swiss_roll", 0.0, "none needed", "generated")


@checked
def swiss_roll(
    *,
    noise: NonNegative = 0.25,
    items: Count = 50_000,
    validation: Count = 5000,
    test: Count = 5000,
    seed: CountOrZero = 0,
) -> Dataset:
    """A spiral in the plane without labels (scikit-learn's `make_swiss_roll`), the same for every seed.

    First and third coordinate over 7.5, as in the toy of WGAN-GP's code (arXiv:1704.00028): each has
    standard deviation near 0.9. noise: standard deviation before that scaling; the spiral's radius
    grows from 4.7 to 14.1. items: points of the pool.
    """
    from sklearn.datasets import make_swiss_roll

    def points(n: int, state: int) -> Tensor:
        x, _ = make_swiss_roll(n, noise=noise, random_state=state)
        return torch.from_numpy(x[:, [0, 2]] / SCALE).float()

    return unlabeled(points(items, 0), points(validation, 1), points(test, 2))
