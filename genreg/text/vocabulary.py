"""Which token each number is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

PAD, UNKNOWN, MASK, START, END = "[PAD]", "[UNK]", "[MASK]", "[CLS]", "[SEP]"
SPECIAL = (PAD, UNKNOWN, MASK, START, END)
"""The first tokens of every vocabulary that is read from texts, under the names that encoders give them."""


@dataclass(frozen=True)
class Vocabulary:
    """tokens: what each number stands for. counts: (V,) how often each stands in the pool.

    pad, mask: their numbers; mask is None for an encoder that has none. special: numbers that are no text.
    """

    tokens: Sequence[str]
    counts: Tensor
    pad: int = 0
    mask: int | None = SPECIAL.index(MASK)
    special: frozenset[int] = field(default=frozenset(range(len(SPECIAL))))

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def frequencies(self) -> Tensor:
        """(V,) shares among the tokens of the pool, padding left out; they sum to 1."""
        counts = self.counts.double().clone()
        counts[self.pad] = 0
        shares: Tensor = counts / counts.sum().clamp_min(1)
        return shares


def count(rows: Tensor, size: int) -> Tensor:
    """(size,) how often each number stands in rows."""
    return torch.bincount(rows.flatten().long(), minlength=size)
