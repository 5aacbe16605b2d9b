"""The data of the 200-label VAT experiment, as texts."""

import zipfile
from pathlib import Path

import numpy as np

from genreg.dataset.base import Dataset, Subset
from genreg.dataset.texts import Texts, text_dataset
from genreg.download import Source, fetch
from genreg.parameters import Count, CountOrZero, checked

SOURCE = Source(
    "zh_sentiment", 2.9, 'Apache-2.0 repository, "compiled by the author"',
    "https://github.com/bojone/bert4keras/raw/c1ae0dc/examples/datasets/",
    {"sentiment.zip": "866256a80e4019e538d2681b5f4bf2f21be3c24139b4100ca266c2fca8be86c9"},
)  # fmt: skip


@checked
def zh_sentiment(
    *,
    data_dir: Path,
    labeled: CountOrZero = 200,
    subset: Subset = "balanced",
    tokenizer: str = "characters",
    min_count: Count = 2,
    max_length: Count = 128,
    seed: CountOrZero = 0,
) -> Dataset:
    """Chinese reviews, two classes: 16,883 in the pool, 2,111 validation and 2,111 test.

    kexue.fm archive 7466; a third of validation and test also stands in the pool: the rest is `clean`.
    tokenizer, min_count, max_length: as in `text_dataset`.
    """
    (path,) = fetch(SOURCE, data_dir)
    texts = read_texts(path)
    return text_dataset(
        texts["train"], texts["valid"], texts["test"], by=tokenizer, min_count=min_count,
        max_length=max_length, labeled=labeled, subset=subset, seed=seed, checksums=SOURCE.files,
    )  # fmt: skip


def read_texts(path: Path) -> dict[str, Texts]:
    """Texts and labels of `train`, `valid` and `test`: lines `text<TAB>0 or 1`, UTF-8."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for name in ("train", "valid", "test"):
            lines = archive.read(f"sentiment/sentiment.{name}.data").decode().splitlines()
            pairs = [line.rsplit("\t", 1) for line in lines if line]
            found[name] = Texts([text for text, _ in pairs], np.array([int(label) for _, label in pairs]))
    return found
