"""Files that a user may bring, as small as they go."""

from pathlib import Path

import numpy as np
from PIL import Image


def write_npz(folder: Path, size: int = 8, items: int = 2100) -> Path:
    """A folder with a file of random pictures of three classes."""
    draw = np.random.default_rng(0)
    x = draw.integers(256, size=(items, size, size, 3), dtype=np.uint8)
    y = np.arange(items) % 3
    np.savez(folder / "pictures.npz", x_train=x, y_train=y, x_test=x[:100], y_test=y[:100])
    return folder


def write_table(folder: Path) -> Path:
    """A folder with a table of 60 lines and two classes."""
    lines = [f"{i % 7},{i % 2}.5,{'ab'[i % 2]}" for i in range(60)]
    (folder / "table.csv").write_text("\n".join(["one,two,target", *lines]))
    return folder


def write_texts(folder: Path) -> Path:
    """A folder with a file of 60 texts of two classes."""
    lines = [f"{'ab'[i % 2] * (1 + i % 7)},{i % 2}" for i in range(60)]
    (folder / "texts.csv").write_text("\n".join(["text,label", *lines]))
    return folder


def write_folder(folder: Path) -> Path:
    """A folder of twenty random pictures in two subfolders of `pictures`."""
    draw = np.random.default_rng(0)
    for i in range(20):
        subfolder = folder / "pictures" / "ab"[i % 2]
        subfolder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(256, size=(9, 10, 3), dtype=np.uint8)).save(subfolder / f"{i}.png")
    return folder
