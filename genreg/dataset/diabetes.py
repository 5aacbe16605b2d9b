"""Regression on a small table."""

import numpy as np
import torch

from genreg.dataset.base import Dataset, Split, regression
from genreg.download import Source
from genreg.parameters import CountOrZero, checked

SOURCE = Source("diabetes", 0.0, "BSD-3-Clause, with scikit-learn", "bundled with scikit-learn")


@checked
def diabetes(*, labeled: CountOrZero = 50, seed: CountOrZero = 0) -> Dataset:
    """Progression of diabetes a year on, from ten measurements: 242 in the pool, 100 validation, 100 test.

    Bundled with scikit-learn (`load_diabetes`; Efron et al., "Least angle regression", 2004). Inputs have
    standard deviation 1; so has the target, of the pool, about its mean there. The split is fixed.
    """
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    pool = order[200:]
    inputs = torch.from_numpy(x / x[pool].std(0)).float()
    targets = torch.from_numpy((y - y[pool].mean()) / y[pool].std()).float()[:, None]

    def split(index: np.ndarray) -> Split:
        return Split(inputs[index], targets[index], torch.ones(len(index), dtype=torch.bool))

    return regression(split(pool), split(order[:100]), split(order[100:200]), labeled=labeled, seed=seed)
