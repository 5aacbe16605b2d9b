"""Soft orthogonality."""

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.forward.base import Forward
from genreg.parameters import STRICT
from genreg.regularizer.base import Regularizer, Weight
from genreg.regularizer.matrices import trained_matrices


@dataclass(config=STRICT, kw_only=True)
class Orthogonal(Regularizer):
    """Sum over trained linear layers of |W^T W - I|_F^2, or |W W^T - I|_F^2 where W has fewer rows.

    Bansal et al., arXiv:1810.09102 (soft orthogonality), on the smaller side: of the other, W^T W
    cannot be the identity. Zero where all singular values are 1. Kernels are matrices (outputs, rest).
    """

    weight: Weight = 1e-2

    replicas = ("weight",)
    of_weights = True
    by_item = ()

    def penalty(self, forward: Forward) -> Tensor:
        return torch.stack([distance(matrix) for matrix in trained_matrices(forward.model)]).sum()


def distance(matrix: Tensor) -> Tensor:
    """Squared Frobenius distance of the smaller Gram matrix from the identity."""
    low = matrix if len(matrix) <= matrix.shape[1] else matrix.T
    identity = torch.eye(len(low), dtype=low.dtype, device=low.device)
    return (low @ low.T - identity).square().sum()
