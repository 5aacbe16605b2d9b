"""Samples as pictures."""

import math
from pathlib import Path

import numpy as np
from torch import Tensor

BORDER = 2  # pixels between the pictures of a grid


def grid(x: Tensor) -> np.ndarray:
    """Pictures (N, C, H, W) in [-1, 1] beside one another, (H', W', 3) of uint8; C is 1 or 3."""
    n, channels, height, width = x.shape
    columns = math.ceil(math.sqrt(n))
    rows = -(-n // columns)
    pixels = ((x.clamp(-1, 1) + 1) * 127.5).round().byte().cpu().permute(0, 2, 3, 1).numpy()
    page = np.full((rows * (height + BORDER), columns * (width + BORDER), channels), 255, np.uint8)
    for k, picture in enumerate(pixels):
        top, left = k // columns * (height + BORDER), k % columns * (width + BORDER)
        page[top : top + height, left : left + width] = picture
    return np.broadcast_to(page[:-BORDER, :-BORDER], (*page[:-BORDER, :-BORDER].shape[:2], 3)).copy()


def scatter(real: np.ndarray, fake: np.ndarray) -> np.ndarray:
    """Samples (N, 2) over data (M, 2), seen in the window of the data; (H, W, 3) of uint8."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 4), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.scatter(real[:, 0], real[:, 1], s=4, color="0.75", label="data")
    axes.scatter(fake[:, 0], fake[:, 1], s=4, color="tab:blue", alpha=0.6, label="samples")
    reach = 1.3 * np.abs(real).max()
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncol=2, frameon=False, fontsize="small")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def save_png(picture: np.ndarray, path: Path) -> None:
    """Write (H, W, 3) of uint8."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
