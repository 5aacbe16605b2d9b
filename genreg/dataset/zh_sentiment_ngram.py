"""The data of the 200-label VAT experiment, each text as a fixed vector."""

import hashlib
import json
from functools import partial
from pathlib import Path

import numpy as np
import torch

from genreg.dataset.base import Dataset, Split, Subset, assemble, not_in
from genreg.dataset.cache import Arrays, kept
from genreg.dataset.texts import Texts
from genreg.dataset.zh_sentiment import SOURCE, read_texts
from genreg.download import Source, fetch
from genreg.parameters import Count, CountOrZero, checked


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
    (path,) = fetch(SOURCE, data_dir)
    texts = read_texts(path)
    vectors = cached_vectors(texts, dimensions, SOURCE.files["sentiment.zip"])
    return ngram_dataset(texts, vectors, labeled, subset, seed, SOURCE)


def ngram_dataset(
    texts: dict[str, Texts], vectors: Arrays, labeled: int, subset: Subset, seed: int, source: Source
) -> Dataset:
    """A data set of the vectors of the texts; `clean` are those whose text does not stand in the pool."""
    pool = [text.strip() for text in texts["train"].texts]

    def split(name: str) -> Split:
        clean = not_in(pool, (text.strip() for text in texts[name].texts))
        return Split(torch.from_numpy(vectors[name]), torch.from_numpy(texts[name].y), clean)

    train = split("train")
    return assemble((train.x, train.y), split("valid"), split("test"),
                    labeled=labeled, subset=subset, seed=seed, checksums=source.files)  # fmt: skip


def cached_vectors(
    texts: dict[str, Texts],
    dimensions: int,
    checksum: str,
    analyzer: str = "char",
    name: str = "zh_sentiment",
) -> Arrays:
    """The vectors of every text, computed once for each (file, recipe) and kept in the user's cache."""
    recipe = {"file": checksum, "analyzer": analyzer, "ngram_range": [1, 2], "min_df": 2,
              "sublinear_tf": True, "dimensions": dimensions, "version": 1}  # fmt: skip
    key = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
    return kept(f"features/{name}_ngram-{key}", partial(vectorize, texts, dimensions, analyzer))


def vectorize(texts: dict[str, Texts], dimensions: int, analyzer: str = "char") -> Arrays:
    """TF-IDF of units (char or word) and pairs of them, fitted on train; truncated SVD; unit length."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    tfidf = TfidfVectorizer(analyzer=analyzer, ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    pool = tfidf.fit_transform(texts["train"].texts)
    svd = TruncatedSVD(dimensions, random_state=0).fit(pool)
    return {
        name: normalize(svd.transform(tfidf.transform(split.texts))).astype(np.float32)
        for name, split in texts.items()
    }
