"""Fully connected classifiers."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from torch import Tensor, nn

from genreg.model.base import Classifier
from genreg.parameters import Count, Fraction, Neutral, checked

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "softplus": nn.Softplus,
}


class MLP(Classifier):
    """Multilayer perceptron over the flattened input.

    widths: units of each hidden layer; `[]` makes it softmax regression.
    batch_norm: normalize every hidden layer before its activation.
    dropout: share of hidden units dropped.
    output_norm: normalize the outputs over the batch too, with a scale and a shift that are trained.
    """

    replicas = ("dropout",)
    by_item = ()

    @checked
    def __init__(
        self,
        *,
        input_shape: Sequence[int],
        outputs: Count,
        widths: list[Count],
        activation: Literal["relu", "leaky_relu", "tanh", "gelu", "softplus"] = "relu",
        batch_norm: bool = False,
        dropout: Fraction = 0.0,
        output_norm: Annotated[bool, Neutral(False)] = False,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        fan_in = math.prod(input_shape)
        for width in widths:
            layers.append(nn.Linear(fan_in, width))
            layers += [nn.BatchNorm1d(width)] if batch_norm else []
            layers.append(ACTIVATIONS[activation]())
            layers += [nn.Dropout(dropout)] if dropout else []
            fan_in = width
        self.layers = nn.Sequential(*layers, nn.Linear(fan_in, outputs))
        self.norm = nn.BatchNorm1d(outputs) if output_norm else None

    @property
    def output(self) -> nn.Linear:  # type: ignore[override]
        return self.layers[-1]  # type: ignore[return-value]

    def classify(self, embedding: Tensor, mask: Tensor | None = None) -> Tensor:
        outputs: Tensor = self.layers(embedding.flatten(1))
        return outputs if self.norm is None else self.norm(outputs)
