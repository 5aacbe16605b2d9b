"""Spectral normalization."""

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrize

from genreg.forward.update import counts
from genreg.parameters import STRICT, Count, CountOrZero
from genreg.regularizer.base import Regularizer
from genreg.regularizer.matrices import linear_layers


@dataclass(config=STRICT, kw_only=True)
class SpectralNormalization(Regularizer):
    """Every linear layer's weight is divided by its largest singular value.

    Miyato et al., arXiv:1802.05957, equation 8 and Algorithm 1; the gammas of batch normalization too, as in
    kexue.fm archive 6051: diag(gamma) has the norm max |gamma|. The singular value is that of the kernel
    reshaped to (output channels, rest), by power iteration that goes on where the update before left it.
    The operator norm of a strided convolution may be larger: `measure=lipschitz` reports both. A weight of
    zeros stays zero, with the gradient of an undivided one.

    power_iterations: at each update; warm_up: before the first one, which adds its own.
    """

    power_iterations: Count = 1
    warm_up: CountOrZero = 15

    def attach(self, model: nn.Module) -> None:
        for layer in (layer for layer in linear_layers(model) if layer.weight.requires_grad):
            rows = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
            scale = UnitSpectralNorm(layer.weight, rows, self.power_iterations, self.warm_up)  # type: ignore[arg-type]
            parametrize.register_parametrization(layer, "weight", scale)
        for layer in model.modules():
            if isinstance(layer, _BatchNorm) and layer.affine and layer.weight.requires_grad:
                parametrize.register_parametrization(layer, "weight", UnitMaximum())


class UnitSpectralNorm(nn.Module):
    """W / (u^T W v), with u and v constant in the backward pass.

    The first pass of an update that can train the weight advances u and v. A frozen weight has not moved, so
    its pass leaves them.
    """

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor, rows: int, power_iterations: int, warm_up: int) -> None:
        super().__init__()
        self.rows, self.power_iterations = rows, power_iterations
        matrix = self._matrix(weight.detach())
        start = torch.randn(len(matrix))  # on the CPU, whose generator the run has seeded
        self.register_buffer("u", start.to(matrix))
        self.register_buffer("v", torch.zeros_like(matrix[0]))
        self._advance(matrix, max(1, warm_up) + power_iterations)

    def forward(self, weight: Tensor) -> Tensor:
        matrix = self._matrix(weight)
        if self.training and counts() and weight.requires_grad and torch.is_grad_enabled():
            self._advance(matrix.detach(), self.power_iterations)
        u, v = self.u.clone(), self.v.clone()  # advancing must not touch what backward reads
        sigma = u @ (matrix @ v)
        return weight / _or_one(sigma)

    def _matrix(self, weight: Tensor) -> Tensor:
        return weight.transpose(0, self.rows).flatten(1)

    @torch.no_grad()
    def _advance(self, matrix: Tensor, iterations: int) -> None:
        for _ in range(iterations):
            self.v.copy_(_unit(matrix.T @ self.u, self.v))
            self.u.copy_(_unit(matrix @ self.v, self.u))


class UnitMaximum(nn.Module):
    """gamma / max |gamma|, the spectral norm of diag(gamma)."""

    def forward(self, gamma: Tensor) -> Tensor:
        return gamma / _or_one(gamma.abs().max())


def _unit(x: Tensor, before: Tensor) -> Tensor:
    """x at l2 length 1; where it has no length, the direction before, so that a later weight finds one."""
    length = x.norm(2, 0, keepdim=True)
    return torch.where(length > 0, x / length, before)


def _or_one(sigma: Tensor) -> Tensor:
    """What to divide by, if not by zero."""
    return sigma + (sigma == 0)
