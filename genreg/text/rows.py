"""Texts as one matrix of numbers a split: made once, then read from the user's cache."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from genreg.cache import Arrays, kept
from genreg.text.tokenizer import Tokenizer, digest

Texts = Mapping[str, Sequence[str]]
CUT = "cut"


def cached(texts: Texts, tokenizer: Tokenizer, longest: int) -> Arrays:
    """`encode`, kept under a hash of texts and tokenizer."""
    content = hashlib.blake2b(digest_size=16)
    for name, lines in texts.items():
        content.update(f"{name} {len(lines)}\n".encode())
        for text in lines:
            content.update(f"{len(text)} {text}".encode())
    key = digest({"texts": content.hexdigest(), "by": tokenizer.identity, "longest": longest, "version": 2})
    return kept(f"tokens/{key}", partial(encode, texts, tokenizer, longest))


def encode(texts: Texts, tokenizer: Tokenizer, longest: int) -> Arrays:
    """(N, T) int32 of every split, T at most `longest` and the same for all, padded behind.

    Under `CUT` stands how many texts have more tokens than that.
    """
    found = {name: tokenizer(lines, longest) for name, lines in texts.items()}
    width = max((len(row) for rows in found.values() for row in rows), default=1)
    matrices = {name: padded(rows, width, tokenizer.pad) for name, rows in found.items()}
    full = [
        text for name, rows in found.items()
        for text, row in zip(texts[name], rows, strict=True) if len(row) == longest
    ]  # fmt: skip
    cut = sum(len(row) > longest for row in tokenizer(full, longest + 1)) if full else 0
    return {**matrices, CUT: np.array(cut)}


def padded(rows: Sequence[Sequence[int]], width: int, pad: int) -> np.ndarray:
    """(N, width) int32, each row followed by padding."""
    matrix = np.full((len(rows), width), pad, dtype=np.int32)
    for line, row in zip(matrix, rows, strict=True):
        line[: len(row)] = row
    return matrix
