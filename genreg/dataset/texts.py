"""From texts with labels to a data set of rows of token numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from genreg.dataset.base import Dataset, Split, Subset, assemble, not_in
from genreg.errors import InputError
from genreg.text import rows
from genreg.text.tokenizer import tokenizer
from genreg.text.vocabulary import Vocabulary, count


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
    labeled: int,
    subset: Subset,
    seed: int,
    checksums: dict[str, str],
) -> Dataset:
    """Rows of at most `max_length` tokens; `unlabeled` joins the pool, of which alone a vocabulary is read.

    by: `characters` or `words` that stand in the pool at least `min_count` times, or an encoder's name.
    Texts that also stand in the pool, but for spaces around them, are not `clean`.
    """
    if max_length < 3:
        raise InputError("dataset.max_length", "3 or more: a start, a token and an end", max_length)
    pool = [*train.texts, *unlabeled]
    cut = tokenizer(by, pool, min_count)
    lines = {"pool": pool, "validation": validation.texts, "test": test.texts}
    found = {name: torch.from_numpy(x) for name, x in rows.cached(lines, cut, max_length).items()}
    known = {text.strip() for text in pool}

    def split(x: Tensor, texts: Texts) -> Split:
        clean = not_in(known, (text.strip() for text in texts.texts))
        return Split(x, torch.from_numpy(texts.y.astype(np.int64)), clean)

    dataset = assemble(
        (found["pool"][: len(train.texts)], torch.from_numpy(train.y.astype(np.int64))),
        split(found["validation"], validation), split(found["test"], test),
        labeled=labeled, subset=subset, seed=seed, checksums=checksums,
    )  # fmt: skip
    counts = count(found["pool"], len(cut.tokens))
    vocabulary = Vocabulary(cut.tokens, counts, cut.pad, cut.mask, cut.special)
    return replace(dataset, unlabeled=found["pool"], vocabulary=vocabulary)
