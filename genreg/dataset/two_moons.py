"""Two interleaved half circles."""

import torch

from genreg.dataset.base import Dataset, Split, Subset, assemble
from genreg.download import Source
from genreg.parameters import Count, CountOrZero, NonNegative, checked

SOURCE = Source("two_moons", 0.0, "none needed", "generated")


@checked
def two_moons(
    *,
    labeled: CountOrZero = 8,
    items: Count = 1000,
    noise: NonNegative = 0.1,
    subset: Subset = "balanced",
    seed: CountOrZero = 0,
) -> Dataset:
    """Two classes in the plane (scikit-learn's `make_moons`), the same points for every seed.

    items: points of the pool; validation has 500 and test 1,000 others. noise: standard deviation of
    Gaussian noise on each coordinate; the moons have radius 1.
    """
    from sklearn.datasets import make_moons

    def points(n: int, state: int) -> Split:
        x, y = make_moons(n, noise=noise, random_state=state)
        return Split(torch.from_numpy(x).float(), torch.from_numpy(y).long(), torch.ones(n, dtype=torch.bool))

    pool = points(items, 0)
    validation, test = points(500, 1), points(1000, 2)
    return assemble((pool.x, pool.y), validation, test, labeled=labeled, subset=subset, seed=seed)
