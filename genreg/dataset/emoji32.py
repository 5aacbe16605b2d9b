"""Small colour pictures."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from genreg.dataset.base import Dataset, unlabeled
from genreg.dataset.draw import shuffled
from genreg.download import Source, fetch
from genreg.parameters import Count, CountOrZero, checked

SOURCE = Source(
    "emoji32", 2.3, "Apache-2.0 / OFL",
    "no download: png/32 of github.com/googlefonts/noto-emoji, white behind",
    {"noto_emoji_32x32_rgb.npz": "5e7863e00e5943a70b854c0aca2efbb77ad5d43d5e47a73fb599feaeb5e2cff6"},
)  # fmt: skip


@checked
def emoji32(
    *,
    data_dir: Path,
    size: Count = 32,
    validation: Count = 500,
    test: Count = 500,
    seed: CountOrZero = 0,
) -> Dataset:
    """3,583 Noto emoji of 32 x 32 pixels on white, without labels; some look alike.

    size: other than 32, resized by bicubic interpolation. validation and test: sizes of these splits, drawn
    the same for every seed. x is in [0, 1], (3, size, size).
    """
    (path,) = fetch(SOURCE, data_dir)
    with np.load(path) as arrays:
        pictures = arrays["images"]
    if size != pictures.shape[1]:
        pictures = np.stack([resized(picture, size) for picture in pictures])
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    pool, held_out, tested = shuffled(len(x), validation, test)
    return unlabeled(x[pool], x[held_out], x[tested], SOURCE.files)


def resized(picture: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC))
