"""Spectral normalization."""

from typing import Annotated, Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrize

from genreg.forward.update import counts
from genreg.parameters import STRICT, Count, CountOrZero, Neutral
from genreg.regularizer.base import Regularizer
from genreg.regularizer.matrices import as_matrix, linear_layers, or_one, power_iteration, rows

Init = Literal["normal", "ones"]


@dataclass(config=STRICT, kw_only=True)
class SpectralNormalization(Regularizer):
    """Every linear layer's weight is divided by its largest singular value.

    Miyato et al., arXiv:1802.05957, equation 8 and Algorithm 1; the gammas of batch normalization too, as in
    kexue.fm archive 6051: diag(gamma) has the norm max |gamma|. The singular value is that of the kernel
    reshaped to (output channels, rest), by power iteration that goes on where the update before left it.
    The operator norm of a strided convolution may be larger: `measure=lipschitz` reports both. A weight of
    zeros stays zero, with the gradient of an undivided one.

    power_iterations: at each update; warm_up: before the first one, which adds its own. init: the vector that
    they start from, `normal` (drawn) or `ones` (as the code of kexue.fm archive 6051).
    """

    power_iterations: Count = 1
    warm_up: CountOrZero = 15
    init: Annotated[Init, Neutral("normal")] = "normal"

    sets_norm = "parametrization"
    replicas = ()
    by_item = ()

    def attach(self, model: nn.Module) -> None:
        for layer in (layer for layer in linear_layers(model) if layer.weight.requires_grad):
            scale = UnitSpectralNorm(
                layer.weight, rows(layer), self.power_iterations, self.warm_up, self.init  # type: ignore[arg-type]
            )  # fmt: skip
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

    def __init__(
        self, weight: Tensor, rows: int, power_iterations: int, warm_up: int, init: Init = "normal"
    ) -> None:
        super().__init__()
        self.rows, self.power_iterations = rows, power_iterations
        matrix = as_matrix(weight.detach(), rows)
        n = len(matrix)  # drawn on the CPU, whose generator the run has seeded
        start = torch.randn(n) if init == "normal" else torch.ones(n)
        self.register_buffer("u", start.to(matrix))
        self.register_buffer("v", torch.zeros_like(matrix[0]))
        self._advance(matrix, max(1, warm_up) + power_iterations)

    def forward(self, weight: Tensor) -> Tensor:
        matrix = as_matrix(weight, self.rows)
        if self.training and counts() and weight.requires_grad and torch.is_grad_enabled():
            self._advance(matrix.detach(), self.power_iterations)
        u, v = self.u.clone(), self.v.clone()  # advancing must not touch what backward reads
        sigma = u @ (matrix @ v)  # its gradient in W, u v^T, is that of the singular value
        return weight / or_one(sigma)

    def _advance(self, matrix: Tensor, iterations: int) -> None:
        u, v = power_iteration(matrix, self.u, self.v, iterations)
        self.u.copy_(u)
        self.v.copy_(v)


class UnitMaximum(nn.Module):
    """gamma / max |gamma|, the spectral norm of diag(gamma)."""

    def forward(self, gamma: Tensor) -> Tensor:
        return gamma / or_one(gamma.abs().max())
