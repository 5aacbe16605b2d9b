"""Small colour pictures."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from genreg import download
from genreg.dataset.base import Dataset, shuffled, unlabeled
from genreg.parameters import Count, CountOrZero, checked


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
    source = download.source("emoji32")
    (path,) = download.fetch(source, data_dir)
    with np.load(path) as arrays:
        pictures = arrays["images"]
    if size != pictures.shape[1]:
        pictures = np.stack([resized(picture, size) for picture in pictures])
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    pool, held_out, tested = shuffled(len(x), validation, test)
    return unlabeled(x[pool], x[held_out], x[tested], source.files)


def resized(picture: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC))
