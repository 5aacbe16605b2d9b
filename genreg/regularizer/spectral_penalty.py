"""Spectral norm regularization."""

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from genreg.forward.base import Forward
from genreg.forward.update import counts
from genreg.parameters import STRICT, Count
from genreg.regularizer.base import Regularizer, Weight
from genreg.regularizer.matrices import power_iteration, start_vectors, trained_matrices


@dataclass(config=STRICT, kw_only=True)
class SpectralPenalty(Regularizer):
    """Sum over trained linear layers of |W|_2^2, the squared largest singular value.

    Yoshida and Miyato, arXiv:1705.10941, section 3.2 (there with a factor 1/2), by power iteration that
    goes on where the update before left it; its vectors are constant in the backward pass.
    Kernels are matrices (output channels, rest).

    power_iterations: at each update.
    """

    weight: Weight = 1e-2
    power_iterations: Count = 1

    keeps = ("u",)
    replicas = ("weight",)
    of_weights = True
    by_item = ()

    def attach(self, model: nn.Module) -> None:
        self.u = start_vectors(trained_matrices(model))

    def penalty(self, forward: Forward) -> Tensor:
        found, squares = [], []
        for matrix, start in zip(trained_matrices(forward.model), self.u, strict=True):
            u, v = power_iteration(matrix.detach(), start, matrix.new_zeros(matrix.shape[1]),
                                   self.power_iterations)  # fmt: skip
            found.append(u)
            squares.append((u @ (matrix @ v)).square())
        if counts():
            self.u = found
        return torch.stack(squares).sum()
