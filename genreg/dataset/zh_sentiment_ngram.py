"""The data of the 200-label VAT experiment, each text as a fixed vector."""

import hashlib
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock

from genreg import download
from genreg.dataset.base import Dataset, Split, Subset, assemble, not_in
from genreg.parameters import Count, CountOrZero, checked

Texts = dict[str, tuple[list[str], np.ndarray]]


@checked
def zh_sentiment_ngram(
    *,
    data_dir: Path,
    labeled: CountOrZero = 200,
    dimensions: Count = 300,
    subset: Subset = "balanced",
    seed: CountOrZero = 0,
) -> Dataset:
    """Chinese reviews, two classes, as vectors of unit length: 16,883 in the pool, 2,111 validation and test.

    Character 1-2-gram TF-IDF fitted on the pool, reduced to `dimensions` by truncated SVD. The vectors are
    computed once and cached. A third of validation and test also stands in the pool: the rest is `clean`.
    """
    source = download.source("zh_sentiment")
    (path,) = download.fetch(source, data_dir)
    texts = read_texts(path)
    vectors = cached_vectors(texts, dimensions, source.files["sentiment.zip"])
    pool = [text.strip() for text in texts["train"][0]]

    def split(name: str) -> Split:
        clean = not_in(pool, (text.strip() for text in texts[name][0]))
        return Split(torch.from_numpy(vectors[name]), torch.from_numpy(texts[name][1]), clean)

    train = split("train")
    return assemble((train.x, train.y), split("valid"), split("test"),
                    labeled=labeled, subset=subset, seed=seed, checksums=source.files)  # fmt: skip


def read_texts(path: Path) -> Texts:
    """Texts and labels of `train`, `valid` and `test`: lines `text<TAB>0 or 1`, UTF-8."""
    texts: Texts = {}
    with zipfile.ZipFile(path) as archive:
        for name in ("train", "valid", "test"):
            lines = archive.read(f"sentiment/sentiment.{name}.data").decode().splitlines()
            pairs = [line.rsplit("\t", 1) for line in lines if line]
            texts[name] = ([text for text, _ in pairs], np.array([int(label) for _, label in pairs]))
    return texts


def cached_vectors(texts: Texts, dimensions: int, checksum: str) -> dict[str, np.ndarray]:
    """The vectors of every text, computed once for each (file, recipe) and kept in the user's cache."""
    recipe = {"file": checksum, "analyzer": "char", "ngram_range": [1, 2], "min_df": 2,
              "sublinear_tf": True, "dimensions": dimensions, "version": 1}  # fmt: skip
    key = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
    path = download.default_data_dir() / "features" / f"zh_sentiment_ngram-{key}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            unfinished = path.with_suffix(f".{os.getpid()}.npz")
            np.savez(unfinished, **vectorize(texts, dimensions))  # type: ignore[arg-type]
            unfinished.replace(path)
    with np.load(path) as arrays:
        return dict(arrays)


def vectorize(texts: Texts, dimensions: int) -> dict[str, np.ndarray]:
    """TF-IDF of characters and pairs of characters, fitted on train; truncated SVD; unit l2 length."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    tfidf = TfidfVectorizer(analyzer="char", ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    pool = tfidf.fit_transform(texts["train"][0])
    svd = TruncatedSVD(dimensions, random_state=0).fit(pool)
    return {
        name: normalize(svd.transform(tfidf.transform(lines))).astype(np.float32)
        for name, (lines, _) in texts.items()
    }
