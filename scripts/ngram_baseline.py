"""The accuracy of counted n-grams with the labeled texts of each seed: a floor for models of texts.

TF-IDF (min_df 2, sublinear) of characters and pairs of them (zh_sentiment) or of words and pairs
(rt_polarity), fitted on the pool; logistic regression with C = 10, as scikit-learn has both. Test accuracy,
mean (sd).

    python scripts/ngram_baseline.py zh_sentiment 200
    python scripts/ngram_baseline.py zh_sentiment 200 --subset first
    python scripts/ngram_baseline.py rt_polarity 100
"""

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from genreg import dataset
from genreg.dataset.tokenizer import SPECIAL, Vocabulary
from genreg.download import default_data_dir

ANALYZERS = {"zh_sentiment": ("char", ""), "rt_polarity": ("word", " ")}


def texts(x: Tensor, vocabulary: Vocabulary, between: str) -> list[str]:
    """Whole texts again: with min_count=1 all tokens are known, and none is cut."""
    return [between.join(vocabulary.tokens[t] for t in row if t >= len(SPECIAL)) for row in x.tolist()]


def score(name: str, vectors: Any, **options: Any) -> float:
    """Test accuracy in %; vectors: fitted on the pool by the first call."""
    data = getattr(dataset, name)(min_count=1, max_length=100_000, **options)
    pool, known, test = (
        texts(x, data.vocabulary, ANALYZERS[name][1]) for x in (data.unlabeled, data.labeled.x, data.test.x)
    )
    if not hasattr(vectors, "vocabulary_"):
        vectors.fit(pool)
    model = LogisticRegression(C=10, max_iter=1000).fit(vectors.transform(known), data.labeled.y.numpy())
    return 100 * float((model.predict(vectors.transform(test)) == data.test.y.numpy()).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name", choices=ANALYZERS)
    parser.add_argument("labeled", type=int)
    parser.add_argument("--subset", choices=("balanced", "first"), default="balanced")
    parser.add_argument("--seeds", type=int, default=10)
    place = os.environ.get("GENREG_DATA", default_data_dir())
    parser.add_argument("--data", type=Path, default=place, help="where data sets lie")
    given = parser.parse_args()
    analyzer = ANALYZERS[given.name][0]
    vectors = TfidfVectorizer(analyzer=analyzer, ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    options = {"data_dir": given.data, "labeled": given.labeled, "subset": given.subset}
    seeds = range(1 if given.subset == "first" else given.seeds)
    found = [score(given.name, vectors, seed=seed, **options) for seed in seeds]
    print(
        f"{np.mean(found):.2f} ({np.std(found, ddof=1) if len(found) > 1 else 0:.2f}) %, {len(found)} seeds"
    )


if __name__ == "__main__":
    main()
