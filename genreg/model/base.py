"""The seam of every classifier: where an input becomes continuous, and what comes after."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from torch import Tensor, nn


class Classifier(nn.Module, ABC):
    """`model(x)` is `model(embedding=model.embed(x))`; every perturbation of an input acts on `embed(x)`.

    Its outputs are logits (B, classes), or real predictions (B, k) of a regression.
    output: the last layer; what it reads are features for other uses.
    replicas: a literal that says that runs of the model may be trained as one program, and which of its
    parameters may then differ between them; its layers must be those of `stacked.stack`. None: each is alone.
    by_item: a literal that says that processes may share a batch, since each item's outputs are its own (but
    for batch normalization, which sees the whole batch) and it draws by `nn.Dropout` only; and which
    attributes must then have which values. None: they may not.
    checksums: sha256 of weights that it was given, by where they came from.
    """

    output: nn.Linear
    replicas: ClassVar[tuple[str, ...] | None] = None
    by_item: ClassVar[tuple[str, ...] | None] = None
    checksums: Mapping[str, str] = MappingProxyType({})

    def embed(self, x: Tensor) -> Tensor:
        """Continuous representation of `x`, batch first: `x` itself, unless the input is discrete."""
        return x

    def mask(self, x: Tensor) -> Tensor | None:
        """(B, T), true at positions of `x` that are not padding; None where nothing is padded."""
        return None

    def trimmed(self, x: Tensor) -> Tensor:
        """`x` without positions that are padding in every row, of which a pass costs as much as of others."""
        return x

    @abstractmethod
    def classify(self, embedding: Tensor, mask: Tensor | None = None) -> Tensor:
        """Outputs of an embedded batch, (B, k). Only `forward` calls it: hooks are never skipped."""

    def forward(
        self, x: Tensor | None = None, *, embedding: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        if embedding is None:
            assert x is not None, "a classifier needs x or embedding="
            embedding, mask = self.embed(x), self.mask(x)
        return self.classify(embedding, mask)
