"""A folder of one's own pictures, decoded once."""

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from filelock import FileLock
from PIL import Image, ImageOps
from torch import Tensor

from genreg.dataset.base import Dataset, Split, Subset, assemble, not_in, shuffled, unlabeled
from genreg.download import default_data_dir
from genreg.errors import InputError
from genreg.parameters import Count, CountOrZero, checked

log = logging.getLogger("genreg")

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
KINDS = {1: ("1", "L", "LA"), 3: ("RGB", "RGBA", "P")}
"""PIL's modes of pictures that count as having so many channels."""
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What PIL raises for files that are broken in one way or another."""


@checked
def image_folder(
    *,
    data_dir: Path,
    path: str = "pictures",
    size: Count = 64,
    channels: Literal[1, 3] = 3,
    broken: Literal["refuse", "skip"] = "refuse",
    validation: Count = 1000,
    test: Count = 1000,
    labeled: Count | None = None,
    subset: Subset = "balanced",
    seed: CountOrZero = 0,
) -> Dataset:
    """Pictures of any size under a folder, their middle squares resized to `size` pixels.

    path: absolute, or within the data folder; searched with its subfolders. If every picture lies in a
    subfolder, the first-level one is its class, in alphabetical order; else there are no labels. labeled:
    items of the pool that keep theirs, None for all. validation, test: drawn the same for every seed.
    broken: files that PIL cannot read, or of another kind than channels asks (1: grey; 3: colour); `refuse`
    names one, `skip` lists them in the log. x is in [0, 1], (channels, size, size), white where transparent.
    Raises InputError for a folder that is missing, empty or has too few pictures.
    """
    folder = data_dir / path
    pictures, names = readable(folder, picture_files(folder), size, channels, broken)
    if len(names) <= validation + test:
        wanted = f"more than {validation} + {test} pictures (validation and test)"
        raise InputError("dataset.path", wanted, f"{len(names)} in {folder}")
    y = class_numbers(names)
    if y is None and labeled is not None:
        raise InputError("dataset.labeled", "null where no subfolders name classes", labeled)
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    checksums = {"pictures": hashlib.sha256(pictures.tobytes()).hexdigest()}
    pool, held_out, tested = splits(x, y, validation, test)
    if y is None:
        return unlabeled(pool.x, held_out.x, tested.x, checksums)
    return assemble((pool.x, pool.y), held_out, tested, labeled=labeled or len(pool),
                    subset=subset if labeled else "first", seed=seed, checksums=checksums)  # fmt: skip


def splits(x: Tensor, y: Tensor | None, validation: int, test: int) -> list[Split]:
    """Pool, validation and test."""
    parts = shuffled(len(x), validation, test)
    seen = {row.numpy().tobytes() for row in x[parts[0]]}
    y = torch.zeros(len(x), dtype=torch.long) if y is None else y
    return [Split(x[i], y[i], not_in(seen, (row.numpy().tobytes() for row in x[i]))) for i in parts]


def picture_files(folder: Path) -> list[str]:
    """Names of the pictures under `folder`, relative to it, sorted; InputError if there are none."""
    if not folder.is_dir():
        raise InputError("dataset.path", "an existing folder of pictures", str(folder))
    found = (file.relative_to(folder) for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    names = sorted(name.as_posix() for name in found if not any(part[0] == "." for part in name.parts))
    if not names:
        expected = f"a folder with pictures ({' '.join(sorted(SUFFIXES))})"
        raise InputError("dataset.path", expected, str(folder))
    return names


def class_numbers(names: list[str]) -> Tensor | None:
    """For each picture the number of its first-level subfolder, (N,); None if one lies in none."""
    if not all("/" in name for name in names):
        return None
    subfolders = [name.split("/")[0] for name in names]
    numbers = {subfolder: number for number, subfolder in enumerate(sorted(set(subfolders)))}
    return torch.tensor([numbers[subfolder] for subfolder in subfolders])


def readable(
    folder: Path, files: list[str], size: int, channels: int, broken: str
) -> tuple[np.ndarray, list[str]]:
    """The decoded pictures (N, size, size, channels) uint8 and their names, without broken ones."""
    pictures, reasons = cached(folder, files, size, channels)
    failures = [f"{name}: {reason}" for name, reason in zip(files, reasons, strict=True) if reason]
    if failures and broken == "refuse":
        raise InputError("dataset.path", "readable pictures (or dataset.broken=skip)",
                         f"{len(failures)} broken: {failures[0]}")  # fmt: skip
    if failures:
        log.warning("dataset.path: %d broken pictures left out: %s", len(failures), "; ".join(failures))
    return pictures, [name for name, reason in zip(files, reasons, strict=True) if not reason]


def cached(folder: Path, files: list[str], size: int, channels: int) -> tuple[np.ndarray, list[str]]:
    """The readable pictures and, for each file, why it is not ("" if it is), decoded once."""
    stats = [(folder / name).stat() for name in files]
    entries = [[name, stat.st_size, stat.st_mtime_ns] for name, stat in zip(files, stats, strict=True)]
    recipe = {"size": size, "channels": channels, "resize": "bicubic", "version": 1, "files": entries}
    key = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
    path = default_data_dir() / "decoded" / f"image_folder-{key}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            decoded = [decode(folder / name, size, channels) for name in files]
            pictures = [picture for picture in decoded if not isinstance(picture, str)]
            stacked = np.stack(pictures) if pictures else np.empty((0, size, size, channels), np.uint8)
            reasons = np.array([found if isinstance(found, str) else "" for found in decoded])
            unfinished = path.with_suffix(f".{os.getpid()}.npz")
            np.savez(unfinished, pictures=stacked, reasons=reasons)
            unfinished.replace(path)
    with np.load(path) as arrays:
        return arrays["pictures"], arrays["reasons"].tolist()


def decode(file: Path, size: int, channels: int) -> np.ndarray | str:
    """One picture (size, size, channels) uint8, or why there is none."""
    try:
        with Image.open(file) as opened:
            if opened.mode not in KINDS[channels]:
                return f"mode {opened.mode} where channels={channels} takes {', '.join(KINDS[channels])}"
            picture = over_white(ImageOps.exif_transpose(opened))
            whole = picture.convert("L" if channels == 1 else "RGB")
            square = middle(whole).resize((size, size), Image.Resampling.BICUBIC)
    except UNREADABLE as error:
        return (str(error) or type(error).__name__).replace(str(file), file.name)
    return np.asarray(square).reshape(size, size, channels)


def middle(picture: Image.Image) -> Image.Image:
    """The largest square in the middle: cut first, since a filter would read beyond its box."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side))


def over_white(picture: Image.Image) -> Image.Image:
    """The picture on a white ground where it is transparent."""
    if not picture.has_transparency_data:
        return picture
    coloured = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", coloured.size, "white"), coloured)
