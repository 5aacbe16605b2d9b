"""The vectors that a frozen encoder makes of texts, as an npz file that `dataset=npz` reads.

Each text is one vector: the states of the last layer, pooled over its tokens as `model.pooling` does, of unit
length. So the 200-label experiment runs on a real encoder in seconds a run, as it does on counted n-grams.

    python scripts/encoder_vectors.py zh_sentiment FOLDER outputs/vectors/zh_sentiment.npz --prefix "query: "
    genreg train dataset=npz dataset.path=outputs/vectors/zh_sentiment.npz dataset.labeled=200 model=linear
"""

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import torch
import torch.nn.functional as F

from genreg.dataset.encoder import EncoderTokenizer
from genreg.dataset.rt_polarity import read_texts as read_rt_polarity
from genreg.dataset.texts import padded
from genreg.dataset.tokenizer import Vocabulary
from genreg.dataset.zh_sentiment import SOURCE
from genreg.dataset.zh_sentiment import read_texts as read_zh_sentiment
from genreg.download import default_data_dir, fetch
from genreg.model import PretrainedEncoder
from genreg.model.text.base import Pooling, pooled

BATCH = 64  # texts of like length
NAMES = {"train": "train", "valid": "validation", "test": "test"}


def read_texts(name: str, data_dir: Path) -> dict[str, tuple[list[str], np.ndarray]]:
    """Texts and labels of `train`, `validation` and `test`."""
    if name == "zh_sentiment":
        found = read_zh_sentiment(fetch(SOURCE, data_dir)[0])
    else:
        found = dict(zip(NAMES, read_rt_polarity(data_dir), strict=True))
    return {own: (list(found[split].texts), found[split].y) for split, own in NAMES.items()}


class Vectors:
    """The vectors of texts; pooling and `longest`, tokens of a text at most, as in the YAML files."""

    def __init__(self, name: str, pooling: Pooling, longest: int) -> None:
        self.pooling, self.longest, self.tokenizer = pooling, longest, EncoderTokenizer(name)
        cut = self.tokenizer
        vocabulary = Vocabulary(cut.tokens, torch.ones(len(cut.tokens)), cut.pad, cut.mask, cut.special)
        self.encoder = PretrainedEncoder(vocabulary=vocabulary, input_shape=[longest], outputs=2, name=name)
        self.encoder.eval().requires_grad_(False)

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """(N, states) float32, each of length 1."""
        rows = self.tokenizer(texts, self.longest)
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        found = torch.empty(len(rows), self.encoder.states)
        for first in range(0, len(rows), BATCH):
            batch = order[first : first + BATCH]
            width = max(len(rows[i]) for i in batch)
            found[batch] = self.vectors(padded([rows[i] for i in batch], width, self.tokenizer.pad))
        return found.numpy()

    def vectors(self, tokens: np.ndarray) -> torch.Tensor:
        x = torch.from_numpy(tokens)
        mask = self.encoder.mask(x)
        return F.normalize(pooled(self.encoder.encode(self.encoder.embed(x), mask), mask, self.pooling))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name", choices=("zh_sentiment", "rt_polarity"))
    parser.add_argument("encoder", help="on the hub, or a folder that save_pretrained wrote")
    parser.add_argument("output", type=Path, help="the npz file")
    parser.add_argument("--pooling", choices=get_args(Pooling), default="mean")
    parser.add_argument("--max-length", type=int, default=128, help="tokens of a text at most")
    parser.add_argument("--prefix", default="", help='before each text, as "query: " for e5')
    place = os.environ.get("GENREG_DATA", default_data_dir())
    parser.add_argument("--data", type=Path, default=place, help="where data sets lie")
    given = parser.parse_args()
    vectors = Vectors(given.encoder, given.pooling, given.max_length)
    arrays = {}
    for split, (texts, y) in read_texts(given.name, given.data).items():
        began = time.process_time()
        arrays[f"x_{split}"] = vectors([given.prefix + text for text in texts])
        arrays[f"y_{split}"] = y
        print(
            f"{split}: {arrays[f'x_{split}'].shape}, {time.process_time() - began:.0f} s of CPU", flush=True
        )
    given.output.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(given.output, **arrays)


if __name__ == "__main__":
    with torch.inference_mode():
        main()
