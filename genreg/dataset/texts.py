"""A data set of token numbers from texts with labels, tokenized once and cached."""

import hashlib
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from genreg.dataset.base import Dataset, Split, Subset, assemble, not_in
from genreg.dataset.cache import Arrays, kept
from genreg.dataset.encoder import EncoderTokenizer
from genreg.dataset.tokenizer import CUTS, Fitted, Tokenizer, Vocabulary, count, digest
from genreg.errors import InputError

TextList = Mapping[str, Sequence[str]]
CUT = "cut"


def cached(texts: TextList, tokenizer: Tokenizer, longest: int) -> Arrays:
    """`encode`, kept under a hash of texts and tokenizer."""
    content = hashlib.blake2b(digest_size=16)
    for name, lines in texts.items():
        content.update(f"{name} {len(lines)}\n".encode())
        for text in lines:
            content.update(f"{len(text)} {text}".encode())
    key = digest({"texts": content.hexdigest(), "by": tokenizer.identity, "longest": longest, "version": 2})
    return kept(f"tokens/{key}", partial(encode, texts, tokenizer, longest))


def encode(texts: TextList, tokenizer: Tokenizer, longest: int) -> Arrays:
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


log = logging.getLogger("genreg")


@dataclass(frozen=True)
class Texts:
    """texts of one split, and their classes y (N,), from 0."""

    texts: Sequence[str]
    y: np.ndarray


def text_dataset(
    train: Texts,
    validation: Texts,
    test: Texts,
    unlabeled: Sequence[str] = (),
    *,
    by: str,
    min_count: int,
    max_length: int,
    labeled: int | None,
    subset: Subset,
    seed: int,
    checksums: dict[str, str],
    names: Sequence[str] = (),
) -> Dataset:
    """Rows of at most `max_length` tokens; `unlabeled` joins the pool, of which alone a vocabulary is read.

    by: `characters` or `words` that stand in the pool at least `min_count` times, or an encoder's name.
    labeled: None for all. names: of the classes, where they are not their numbers.
    Texts that also stand in the pool, but for spaces around them, are not `clean`.
    """
    if max_length < 3:
        raise InputError("dataset.max_length", "3 or more: a start, a token and an end", max_length)
    pool = [*train.texts, *unlabeled]
    cut = tokenizer(by, pool, min_count)
    lines = {"pool": pool, "validation": validation.texts, "test": test.texts}
    arrays = cached(lines, cut, max_length)
    found = {name: torch.from_numpy(arrays[name]) for name in lines}
    known = {text.strip() for text in pool}
    if labeled is None:
        labeled, subset = len(train.texts), "first"
    dataset = assemble(
        (found["pool"][: len(train.texts)], torch.from_numpy(train.y.astype(np.int64))),
        split(found["validation"], validation, known), split(found["test"], test, known),
        labeled=labeled, subset=subset, seed=seed, checksums={**checksums, **cut.checksums}, names=names,
    )  # fmt: skip
    tell_lengths([text for texts in lines.values() for text in texts], int(arrays[CUT]), max_length)
    tell_absent(dataset, names)
    counts = count(found["pool"], len(cut.tokens))
    vocabulary = Vocabulary(cut.tokens, counts, cut.pad, cut.mask, cut.special)
    return replace(dataset, unlabeled=found["pool"], vocabulary=vocabulary)


def split(x: Tensor, texts: Texts, known: Collection[str]) -> Split:
    """Rows x of texts; those that are `known`, but for spaces around them, are not clean."""
    clean = not_in(known, (text.strip() for text in texts.texts))
    return Split(x, torch.from_numpy(texts.y.astype(np.int64)), clean)


def tell_lengths(texts: Sequence[str], shortened: int, longest: int) -> None:
    """Say how many texts have lost their end, and how many have no words."""
    if shortened:
        log.info("dataset.max_length: %d of %d texts (%.3g %%) are cut to %d tokens",
                 shortened, len(texts), 100 * shortened / len(texts), longest)  # fmt: skip
    if empty := sum(not text.strip() for text in texts):
        log.warning("dataset: %d of %d texts are empty, and are read as a start and an end",
                    empty, len(texts))  # fmt: skip


def tell_absent(dataset: Dataset, names: Sequence[str]) -> None:
    """Name the classes of which no item is labeled, as may be with subset=first."""
    present = set(dataset.labeled.y.tolist())
    if absent := [c for c in range(dataset.classes) if c not in present]:
        log.warning("dataset.labeled: %d of %d classes have no labeled item: %s", len(absent),
                    dataset.classes, ", ".join(names[c] if names else str(c) for c in absent))  # fmt: skip


def tokenizer(name: str, pool: Sequence[str], min_count: int) -> Tokenizer:
    """`characters` or `words`, read from the pool; another name is an encoder's: on the hub, or a folder."""
    if name in CUTS:
        return Fitted(name, pool, min_count)
    try:
        return EncoderTokenizer(name)
    except InputError as error:
        got = error.got if name in str(error.got) else name
        raise InputError("dataset.tokenizer", f"{', '.join(CUTS)} or {error.expected}", got) from error
