"""The weights that a Lipschitz constant depends on."""

from torch import Tensor, nn

LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)


def linear_layers(model: nn.Module) -> list[nn.Module]:
    """Fully connected and convolutional layers; their biases move no slope."""
    return [layer for layer in model.modules() if isinstance(layer, LINEAR)]


def matrices(model: nn.Module) -> list[Tensor]:
    """The weight of every linear layer, each with its gradient's history."""
    return [layer.weight for layer in linear_layers(model)]  # type: ignore[misc]
