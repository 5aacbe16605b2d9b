"""Turns texts into token numbers: by a vocabulary read from the pool, or as an encoder does it."""

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from genreg.errors import InputError

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


WORD = re.compile(r"\w+|[^\w\s]")


def characters(text: str) -> list[str]:
    """Every character, spaces too."""
    return list(text)


def words(text: str) -> list[str]:
    """Lower-case words, and each sign that is none."""
    return WORD.findall(text.lower())


CUTS: Mapping[str, Callable[[str], list[str]]] = {"characters": characters, "words": words}


class Tokenizer(ABC):
    """tokens: what each number stands for. pad, mask, special: as in `Vocabulary`.

    identity: equal for two tokenizers that make the same numbers of a text. checksums: sha256 of the files
    that it was read from.
    """

    tokens: Sequence[str]
    pad: int
    mask: int | None
    special: frozenset[int]
    identity: str
    checksums: Mapping[str, str] = MappingProxyType({})

    @abstractmethod
    def __call__(self, texts: Sequence[str], longest: int) -> list[list[int]]:
        """The numbers of each text, cut to `longest` of them, with those of its start and end."""


class Fitted(Tokenizer):
    """Characters or words; those that stand at least `min_count` times in the pool are known."""

    pad, mask = SPECIAL.index(PAD), SPECIAL.index(MASK)
    special = frozenset(range(len(SPECIAL)))

    def __init__(self, cut: str, pool: Iterable[str], min_count: int) -> None:
        self.cut = CUTS[cut]
        counts = Counter(token for text in pool for token in self.cut(text))
        known = sorted((t for t, n in counts.items() if n >= min_count), key=lambda t: (-counts[t], t))
        if not known:
            most = max(counts.values(), default=0)
            expected = f"at most {most}, as often as the most frequent of {cut} stands in the pool"
            raise InputError("dataset.min_count", expected, min_count)
        self.tokens = [*SPECIAL, *known]
        self.numbers = {token: number for number, token in enumerate(self.tokens)}
        self.identity = digest({"cut": cut, "tokens": self.tokens})

    def __call__(self, texts: Sequence[str], longest: int) -> list[list[int]]:
        start, end, unknown = (self.numbers[token] for token in (START, END, UNKNOWN))
        numbers, room = self.numbers, longest - 2
        return [
            [start, *(numbers.get(token, unknown) for token in self.cut(text)[:room]), end] for text in texts
        ]


def digest(value: Any) -> str:
    """Sixteen hexadecimal digits of what JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
