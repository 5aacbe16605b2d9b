"""The weights that a Lipschitz constant depends on, as matrices, and their largest singular values."""

import torch
from torch import Tensor, nn

LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)


def linear_layers(model: nn.Module) -> list[nn.Module]:
    """Fully connected and convolutional layers; their biases move no slope."""
    return [layer for layer in model.modules() if isinstance(layer, LINEAR)]


def matrices(model: nn.Module) -> list[Tensor]:
    """The weight of every linear layer, each with its gradient's history."""
    return [layer.weight for layer in linear_layers(model)]  # type: ignore[misc]


def trained_matrices(model: nn.Module) -> list[Tensor]:
    """The trained weights of `matrices`, kernels reshaped to (output channels, rest)."""
    layers = [layer for layer in linear_layers(model) if layer.weight.requires_grad]
    return [as_matrix(layer.weight, rows(layer)) for layer in layers]  # type: ignore[arg-type]


def trained_weights(model: nn.Module) -> list[tuple[Tensor, int]]:
    """The trained tensor behind every linear layer's weight, and the dimension of its output channels."""
    return [
        (weight, rows(layer))
        for layer in linear_layers(model)
        for name, weight in layer.named_parameters()
        if name != "bias" and weight.requires_grad
    ]


def rows(layer: nn.Module) -> int:
    """The dimension of a layer's weight that its output channels are."""
    return 1 if isinstance(layer, nn.ConvTranspose2d) else 0


def as_matrix(weight: Tensor, rows: int) -> Tensor:
    """(output channels, rest)."""
    return weight.transpose(0, rows).flatten(1)


def start_vectors(found: list[Tensor]) -> list[Tensor]:
    """A Gaussian vector of length 1 for the rows of each matrix."""
    starts = [torch.randn(len(matrix)) for matrix in found]  # on the CPU, whose generator the run has seeded
    return [(u / u.norm()).to(matrix) for u, matrix in zip(starts, found, strict=True)]


@torch.no_grad()
def power_iteration(matrix: Tensor, u: Tensor, v: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """Singular vectors u, v of the largest singular value u^T M v, from where they are.

    v is read only where M has no length along u.
    """
    for _ in range(iterations):
        v = _unit(matrix.T @ u, v)
        u = _unit(matrix @ v, u)
    return u, v


def or_one(length: Tensor) -> Tensor:
    """`norm` to divide by, 1 where it is zero."""
    return length + (length == 0)


def _unit(x: Tensor, before: Tensor) -> Tensor:
    """x at l2 length 1; where it has no length, the direction before, so that a later weight finds one."""
    length = x.norm(2, 0, keepdim=True)
    return torch.where(length > 0, x / length, before)
