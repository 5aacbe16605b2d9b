"""Projection of each layer's spectral norm."""

from typing import Annotated

import torch
from pydantic.dataclasses import dataclass
from torch import nn

from genreg.parameters import STRICT, Count, Neutral, Positive
from genreg.regularizer.base import Regularizer
from genreg.regularizer.matrices import as_matrix, or_one, power_iteration, start_vectors, trained_weights


@dataclass(config=STRICT, kw_only=True)
class SpectralProjection(Regularizer):
    """The weight of every linear layer is scaled back to spectral norm `bound` after each update.

    Gouk et al., arXiv:1804.04368, with p = 2: W / max(1, |W|_2 / bound). The norm comes from
    power iteration that goes on where the update before left it and never overstates it, so that in the
    first updates a weight may stay above the bound. Kernels are matrices (output channels, rest).

    power_iterations: at each update. always: a weight below the bound is scaled up to it, W bound / |W|_2
    (spectral normalization as a constraint, kexue.fm archive 6051); one of zeros stays zero.
    """

    bound: Positive = 1.0
    power_iterations: Count = 1
    always: Annotated[bool, Neutral(False)] = False

    keeps = ("u",)
    sets_norm = "projection"
    replicas = ("bound",)
    by_item = ()

    def attach(self, model: nn.Module) -> None:
        self.u = start_vectors([as_matrix(weight, rows) for weight, rows in trained_weights(model)])

    @torch.no_grad()
    def project(self, model: nn.Module) -> None:
        found = []
        for (weight, rows), start in zip(trained_weights(model), self.u, strict=True):
            matrix = as_matrix(weight, rows)
            u, v = power_iteration(matrix, start, matrix.new_zeros(matrix.shape[1]), self.power_iterations)
            factor = self.bound / or_one(u @ (matrix @ v))
            weight.mul_(factor if self.always else factor.clamp(max=1))
            found.append(u)
        self.u = found
