"""English sentences of movie reviews."""

from pathlib import Path

import numpy as np

from genreg.dataset.base import Dataset, Subset
from genreg.dataset.draw import shuffled
from genreg.dataset.texts import Texts, text_dataset
from genreg.download import Source, fetch
from genreg.parameters import Count, CountOrZero, checked

HELD_OUT = 533
"""Sentences of each class in validation, and in test."""

SOURCE = Source(
    "rt_polarity", 1.2, "not stated",
    "https://github.com/dennybritz/cnn-text-classification-tf/raw/master/data/rt-polaritydata/",
    {"rt-polarity.neg": "2d11cfbc790f1cd96d78339f41ce53ced1efa83cd22d37d6788fa3fe3d17e2fd",
     "rt-polarity.pos": "4134882974a28d0c7b5151256f0e33a6169984ee7372c279e673f1114f475d58"},
)  # fmt: skip


@checked
def rt_polarity(
    *,
    data_dir: Path,
    labeled: CountOrZero = 100,
    subset: Subset = "balanced",
    tokenizer: str = "words",
    min_count: Count = 2,
    max_length: Count = 64,
    seed: CountOrZero = 0,
) -> Dataset:
    """Sentences, negative and positive: 8,530 in the pool, 1,066 validation and 1,066 test.

    Pang and Lee, arXiv:cs/0506075, who publish no split. Of the lines of each file, a permutation by torch's
    generator of seed 0 gives the first 533 to validation and the next 533 to test, whatever `seed` is.
    Classes alternate in each split.
    tokenizer, min_count, max_length: as in `text_dataset`.
    """
    pool, validation, test = read_texts(data_dir)
    return text_dataset(
        pool, validation, test, by=tokenizer, min_count=min_count, max_length=max_length,
        labeled=labeled, subset=subset, seed=seed, checksums=SOURCE.files,
    )  # fmt: skip


def read_texts(data_dir: Path) -> list[Texts]:
    """The sentences of the pool, of validation and of test."""
    classes = [path.read_text("utf-8").splitlines() for path in fetch(SOURCE, data_dir)]
    return [
        alternating([[lines[i] for i in rows] for lines in classes])
        for rows in shuffled(len(classes[0]), HELD_OUT, HELD_OUT)
    ]


def alternating(classes: list[list[str]]) -> Texts:
    """Texts of equally many of each class, one of each in turn."""
    texts = [text for each in zip(*classes, strict=True) for text in each]
    return Texts(texts, np.arange(len(texts)) % len(classes))
