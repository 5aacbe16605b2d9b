"""A labeled batch, as it enters the model and as the loss compares it."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """What the `batch` hook of a method may change, by `dataclasses.replace`.

    e: (B, ...) the embedded inputs. y: (B,) class numbers, (B, classes) probabilities, or (B, k) real targets
    where `classes` is 0. mask: (B, T) true at positions that are not padding; None where nothing is padded.
    tokens: (B, T) the rows of an embedding table that e is, of `vocabulary` rows in all; None where e is no
    table's.
    """

    e: Tensor
    y: Tensor
    classes: int = 0
    mask: Tensor | None = None
    tokens: Tensor | None = None
    vocabulary: int = 0

    @property
    def probabilities(self) -> Tensor:
        """(B, classes): y, one-hot where it holds class numbers."""
        return self.y if self.y.ndim == 2 else F.one_hot(self.y, self.classes).to(self.e.dtype)
