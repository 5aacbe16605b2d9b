"""The seam of every classifier: where an input becomes continuous, and what comes after."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Classifier(nn.Module, ABC):
    """`forward(x) = classify(embed(x))`; every perturbation of an input acts on `embed(x)`."""

    def embed(self, x: Tensor) -> Tensor:
        """Continuous representation of `x`, batch first: `x` itself, unless the input is discrete."""
        return x

    @abstractmethod
    def classify(self, e: Tensor) -> Tensor:
        """Logits of an embedded batch: (B, classes)."""

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.embed(x))
