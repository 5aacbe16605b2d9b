"""Samples, and what a classifier makes of the plane, as pictures."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from genreg.files import write_atomic

BORDER = 2  # pixels between the pictures of a grid
CAPTION = 20  # pixels of the line above a picture in a row
DARKEST = 1.0  # nats, the darkest shade of the plane


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
    figure, axes = canvas()
    axes.scatter(real[:, 0], real[:, 1], s=4, color="0.75", label="data")
    axes.scatter(fake[:, 0], fake[:, 1], s=4, color="tab:blue", alpha=0.6, label="samples")
    reach = 1.3 * np.abs(real).max()
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncol=2, frameon=False, fontsize="small")
    return pixels(figure)


def plane(
    at: tuple[np.ndarray, np.ndarray], margins: Sequence[np.ndarray], rough: np.ndarray | None,
    pool: np.ndarray, labeled: tuple[np.ndarray, np.ndarray], title: str,
) -> np.ndarray:  # fmt: skip
    """A classifier over a grid of points: boundaries between classes, and how rough it is there.

    at: coordinates of columns and rows. margins: of each class, (rows, columns), positive where it is
    predicted. rough: (rows, columns) in nats, shaded from 0 to `DARKEST`, or None. pool: (N, 2) unlabeled
    points; labeled: points (M, 2) and their classes.
    """
    tall = np.ptp(at[1]) / np.ptp(at[0])
    figure, axes = canvas(height=4 * tall + (0.3 if title else 0))
    if rough is not None:
        axes.pcolormesh(*at, rough, cmap="Blues", vmin=0, vmax=DARKEST, shading="gouraud")
    axes.scatter(*pool.T, s=1, color="0.6")
    for margin in margins:
        axes.contour(*at, margin, levels=[0.0], colors="black", linewidths=1.5)
    axes.scatter(
        *labeled[0].T, s=50, c=labeled[1], cmap="tab10", vmin=0, vmax=9, edgecolors="white", zorder=3
    )
    axes.set(aspect="equal", xticks=[], yticks=[])
    axes.set_title(title, fontsize="medium")
    return pixels(figure)


def beside(frames: Mapping[str, Path]) -> np.ndarray:
    """Pictures in one row, each under its caption, (H, W, 3) of uint8."""
    from PIL import Image, ImageDraw

    pictures = {caption: Image.open(path).convert("RGB") for caption, path in frames.items()}
    width, height = (max(picture.size[axis] for picture in pictures.values()) for axis in (0, 1))
    page = Image.new("RGB", (width * len(pictures), height + CAPTION), "white")
    for k, (caption, picture) in enumerate(pictures.items()):
        page.paste(picture, (k * width, CAPTION))
        place = ((k + 0.5) * width, CAPTION / 2)
        ImageDraw.Draw(page).text(place, caption, fill="black", anchor="mm", font_size=CAPTION * 0.7)
    return np.asarray(page)


def canvas(height: float = 4) -> tuple[Any, Any]:
    """A figure 4 inches wide, and its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, height), layout="constrained")
    return figure, figure.add_subplot()


def pixels(figure: Any) -> np.ndarray:
    """A figure as (H, W, 3) of uint8."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    drawn = FigureCanvasAgg(figure)
    drawn.draw()
    return np.asarray(drawn.buffer_rgba())[..., :3].copy()


def save_png(picture: np.ndarray, path: Path) -> None:
    """Write (H, W, 3) of uint8."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomic(path) as file:
        Image.fromarray(picture).save(file, "PNG")
