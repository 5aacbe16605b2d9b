"""Wrong labels, as an experiment's own choice."""

from dataclasses import replace

import torch

from genreg import streams
from genreg.dataset.base import Split


def mislabeled(labeled: Split, classes: int, rate: float, seed: int) -> Split:
    """The items with round(rate N) of their classes replaced by another, equally likely each.

    Symmetric noise as in arXiv:1611.03530, but never the right class. Drawn by the stream `label_noise`:
    items that are wrong at a rate are wrong in the same way at every higher one.
    """
    n, draw = len(labeled), streams.generator(seed, "label_noise")
    order = torch.randperm(n, generator=draw)
    away = torch.randint(1, classes, (n,), generator=draw)
    wrong = order[: round(rate * n)]
    y = labeled.y.clone()
    y[wrong] = (y[wrong] + away[wrong]) % classes
    return replace(labeled, y=y)
