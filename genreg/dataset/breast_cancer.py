"""A small table of measurements, two classes."""

import numpy as np
import torch

from genreg.dataset.base import Dataset, Split, Subset, assemble
from genreg.dataset.draw import stratified
from genreg.download import Source
from genreg.parameters import CountOrZero, checked

SOURCE = Source("breast_cancer", 0.0, "BSD-3-Clause, with scikit-learn", "bundled with scikit-learn")


@checked
def breast_cancer(
    *, labeled: CountOrZero = 20, subset: Subset = "balanced", seed: CountOrZero = 0
) -> Dataset:
    """Malignant and benign tumours by thirty measurements: 269 in the pool, 100 validation, 200 test.

    Bundled with scikit-learn (`load_breast_cancer`; Street, Wolberg and Mangasarian, 1993). Inputs have
    mean 0 and standard deviation 1 in the pool. The split is fixed, stratified by class.
    """
    from sklearn.datasets import load_breast_cancer

    values, y = load_breast_cancer(return_X_y=True)
    rest, test = stratified(y, 200)
    pool, validation = (rest[index] for index in stratified(y[rest], 100))
    x = torch.from_numpy((values - values[pool].mean(0)) / values[pool].std(0)).float()
    target = torch.from_numpy(y.astype(np.int64))

    def split(index: np.ndarray) -> Split:
        return Split(x[index], target[index], torch.ones(len(index), dtype=torch.bool))

    return assemble((x[pool], target[pool]), split(validation), split(test),
                    labeled=labeled, subset=subset, seed=seed)  # fmt: skip
