"""A folder of one's own pictures, decoded once."""

import hashlib
import json
import logging
import os
from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from genreg.dataset.base import Dataset, Split, Subset, assemble, not_in, shuffled, unlabeled
from genreg.dataset.picture import Decoded, decode
from genreg.download import default_data_dir
from genreg.errors import InputError
from genreg.parameters import Count, CountOrZero, checked

log = logging.getLogger("genreg")

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}


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
    channels: 3 takes grey, palette, 16-bit and CMYK pictures too, 1 grey ones of any depth. broken: files
    that PIL cannot read, or of another kind; `refuse` names one, `skip` lists them in the log, which also
    counts what was converted or passed over. x is in [0, 1], (channels, size, size), white where transparent.
    Raises InputError for a folder that is missing, empty or has too few pictures.
    """
    folder = data_dir / path
    pictures, names = readable(folder, picture_files(folder), size, channels, broken)
    if len(names) <= validation + test:
        wanted = f"more than {validation} + {test} pictures (validation and test)"
        raise InputError("dataset.path", wanted, f"{len(names)} in {folder}")
    y = class_numbers(folder, names)
    if y is None and labeled is not None:
        raise InputError("dataset.labeled", "null where no subfolders name classes", labeled)
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    checksums = {"pictures": hashlib.sha256(pictures.tobytes()).hexdigest()}
    pool, held_out, tested = splits(x, y, validation, test)
    if y is None:
        return unlabeled(pool.x, held_out.x, tested.x, checksums)
    say("classes of which no picture fell to training", untrained(names, y, pool.y))
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
    found = {file.relative_to(folder): file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES}
    kinds = {name.as_posix(): no_picture(name.parts, file) for name, file in found.items()}
    names = sorted(name for name, kind in kinds.items() if not kind)
    if not names:
        expected = f"a folder with pictures ({' '.join(sorted(SUFFIXES))})"
        raise InputError("dataset.path", expected, str(folder))
    say("passed over, named like pictures", Counter(filter(None, kinds.values())))
    return names


def no_picture(parts: tuple[str, ...], file: Path) -> str:
    """What is named like a picture and is none; empty if it may be one."""
    if "__MACOSX" in parts:
        return "in __MACOSX"
    if is_hidden(parts):
        return "hidden"
    return "" if file.is_file() else "no file"


def is_hidden(parts: tuple[str, ...]) -> bool:
    return any(part.startswith(".") for part in parts)


def say(what: str, counts: Counter[str]) -> None:
    """One line in the log, if there is anything to count."""
    if counts:
        kinds = ", ".join(sorted(f"{count} {kind}" for kind, count in counts.items()))
        log.warning("dataset.path: %s: %s", what, kinds)


def class_numbers(folder: Path, names: list[str]) -> Tensor | None:
    """For each picture the number of its first-level subfolder, (N,); None if one lies in none."""
    stray = [name for name in names if "/" not in name]
    if stray and len(stray) < len(names):
        log.warning("dataset.path: no labels, as %d of %d pictures lie in no subfolder: %s",
                    len(stray), len(names), stray[0])  # fmt: skip
    if stray:
        return None
    subfolders = [name.split("/")[0] for name in names]
    numbers = {subfolder: number for number, subfolder in enumerate(sorted(set(subfolders)))}
    other = [file.name for file in folder.iterdir() if file.is_dir() and file.name not in numbers]
    if empty := sorted(name for name in other if name != "__MACOSX" and not is_hidden((name,))):
        log.warning(
            "dataset.path: %d subfolders without a picture are no classes: %s", len(empty), ", ".join(empty)
        )
    return torch.tensor([numbers[subfolder] for subfolder in subfolders])


def untrained(names: list[str], y: Tensor, trained: Tensor) -> Counter[str]:
    """How many pictures there are of each class that `trained` lacks."""
    pairs = zip(names, (~torch.isin(y, trained)).tolist(), strict=True)
    return Counter(f"of {name.split('/')[0]}" for name, lacking in pairs if lacking)


def readable(
    folder: Path, files: list[str], size: int, channels: int, broken: str
) -> tuple[np.ndarray, list[str]]:
    """The decoded pictures (N, size, size, channels) uint8 and their names, without broken ones."""
    pictures, faults, converted, several = cached(folder, files, size, channels).values()
    failures = [f"{name}: {fault}" for name, fault in zip(files, faults, strict=True) if fault]
    if failures and broken == "refuse":
        raise InputError("dataset.path", "readable pictures (or dataset.broken=skip)",
                         f"{len(failures)} broken: {failures[0]}")  # fmt: skip
    if failures:
        log.warning("dataset.path: %d broken pictures left out: %s", len(failures), "; ".join(failures))
    say(f"converted to channels={channels}", Counter(filter(None, converted.tolist())))
    if several.any():
        log.warning("dataset.path: %d pictures have several frames: the first is used", several.sum())
    return pictures, [name for name, fault in zip(files, faults, strict=True) if not fault]


def cached(folder: Path, files: list[str], size: int, channels: int) -> dict[str, np.ndarray]:
    """The readable pictures and, for each file, what else is `Decoded` of it; made once."""
    stats = [(folder / name).stat() for name in files]
    entries = [[name, stat.st_size, stat.st_mtime_ns] for name, stat in zip(files, stats, strict=True)]
    recipe = {"size": size, "channels": channels, "resize": "bicubic", "version": 2, "files": entries}
    key = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
    path = default_data_dir() / "decoded" / f"image_folder-{key}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            unfinished = path.with_suffix(f".{os.getpid()}.npz")
            found = [decode(folder / name, size, channels) for name in files]
            np.savez(unfinished, **stacked(found, size, channels))  # type: ignore[arg-type]
            unfinished.replace(path)
    with np.load(path) as arrays:
        return dict(arrays)


def stacked(found: list[Decoded], size: int, channels: int) -> dict[str, np.ndarray]:
    """Pixels of those without a fault; faults, conversions and whether there are several frames, of all."""
    pixels = [one.pixels for one in found if not one.fault]
    return {
        "pixels": np.stack(pixels) if pixels else np.empty((0, size, size, channels), np.uint8),
        "faults": np.array([one.fault for one in found]),
        "converted": np.array([one.converted for one in found]),
        "several_frames": np.array([one.several_frames for one in found]),
    }
