"""The seam of every classifier: where an input becomes continuous, and what comes after."""

from abc import ABC, abstractmethod
from functools import cached_property

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class Classifier(nn.Module, ABC):
    """`forward(x) = classify(embed(x))`; every perturbation of an input acts on `embed(x)`."""

    @cached_property
    def batch_norms(self) -> list[_BatchNorm]:
        """Layers with running statistics, found once: a walk at every pass is 2 % of a small step."""
        return [m for m in self.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]

    def embed(self, x: Tensor) -> Tensor:
        """Continuous representation of `x`, batch first: `x` itself, unless the input is discrete."""
        return x

    @abstractmethod
    def classify(self, e: Tensor) -> Tensor:
        """Logits of an embedded batch: (B, classes)."""

    def penultimate(self, e: Tensor) -> Tensor:
        """What the last linear layer reads of an embedded batch, (B, D): features for other uses."""
        raise NotImplementedError(f"{type(self).__name__} does not say what its last layer reads")

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.embed(x))
