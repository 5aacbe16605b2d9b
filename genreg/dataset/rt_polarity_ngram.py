"""English sentences of movie reviews, each as a fixed vector."""

from pathlib import Path

from genreg.dataset.base import Dataset, Subset
from genreg.dataset.rt_polarity import SOURCE, read_texts
from genreg.dataset.zh_sentiment_ngram import cached_vectors, ngram_dataset
from genreg.parameters import Count, CountOrZero, checked


@checked
def rt_polarity_ngram(
    *,
    data_dir: Path,
    labeled: CountOrZero = 200,
    dimensions: Count = 300,
    subset: Subset = "balanced",
    seed: CountOrZero = 0,
) -> Dataset:
    """Sentences, two classes, as vectors of unit length: 8,530 in the pool, 1,066 validation and 1,066 test.

    The split of `rt_polarity`. TF-IDF of words and pairs of words fitted on the pool, reduced to `dimensions`
    by truncated SVD. The vectors are computed once and cached.
    """
    texts = dict(zip(("train", "valid", "test"), read_texts(data_dir), strict=True))
    vectors = cached_vectors(texts, dimensions, " ".join(SOURCE.files.values()), "word", "rt_polarity")
    return ngram_dataset(texts, vectors, labeled, subset, seed, SOURCE)
