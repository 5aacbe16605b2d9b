"""A folder of one's own pictures, decoded once; splits and classes are named by its folders."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor

from genreg.dataset.arrays import told
from genreg.dataset.base import Dataset, Split, Subset, assemble, not_in, unlabeled
from genreg.dataset.cache import Arrays, kept
from genreg.dataset.draw import shuffled
from genreg.dataset.picture import Decoded, decode
from genreg.download import Source, find
from genreg.errors import InputError
from genreg.parameters import Count, CountOrZero, Neutral, checked

SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".webp",
            ".ppm", ".pgm"}  # fmt: skip
SPLITS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation",
    "validation": "validation", "test": "test", "testing": "test", "unlabeled": "unlabeled",
}  # fmt: skip
"""Splits, by what people call their folders, in lower case."""


@dataclass(frozen=True)
class Pictures:
    """names: of files relative to the folder, sorted. left_out: how many files of what kind are not read."""

    names: list[str]
    left_out: Counter[str]


def pictures(folder: Path) -> Pictures:
    """The pictures at any depth below a folder, links followed; InputError if there are none."""
    kinds = {name: no_picture(name, file) for name, file in below(folder)}
    left_out = Counter(filter(None, kinds.values()))
    names = sorted(name for name, kind in kinds.items() if not kind)
    if not names:
        expected = f"a folder with pictures ({' '.join(sorted(SUFFIXES))})"
        found = ", ".join(f"{n} {kind}" for kind, n in left_out.most_common(5))
        raise InputError("dataset.path", expected, f"{folder} with {found or 'no file'}")
    if any(split == "train" for split in meaning(names)[0]):
        left_out["in no folder of a split"] += sum("/" not in name for name in names)
        names = [name for name in names if "/" in name]
    return Pictures(names, left_out)


def below(folder: Path, name: str = "", above: frozenset[Path] = frozenset()) -> Iterator[tuple[str, Path]]:
    """Names and paths of all files; a link to a folder that it lies in stands for itself."""
    real = folder.resolve()
    if real.parts[1:2] in (("proc",), ("sys",)):  # of the kernel: without an end
        raise InputError("dataset.path", "a folder of pictures", str(folder))
    if real in above:
        yield name.rstrip("/"), folder
        return
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from below(entry, f"{name}{entry.name}/", above | {real})
        else:
            yield name + entry.name, entry


def no_picture(name: str, file: Path) -> str:
    """The reason why a file is not read; empty if it may be a picture."""
    parts = name.split("/")
    if "__MACOSX" in parts:
        return "in __MACOSX"
    if any(is_hidden(part) for part in parts):
        return "hidden"
    if file.is_dir():
        return "link back"
    if (suffix := file.suffix.lower()) not in SUFFIXES:
        return suffix or "without a suffix"
    return "" if file.is_file() else "dead link"


def is_hidden(name: str) -> bool:
    return name.startswith(".")


def meaning(names: list[str]) -> tuple[list[str | None], list[str | None]]:
    """The split and the class that the folders of each picture name; None where they name none.

    First-level folders are splits where two or more are called so, and second-level ones classes; else the
    first are classes, `unlabeled` excepted. InputError for folders of splits beside others, or without train.
    """
    paths = [name.split("/")[:-1] for name in names]
    tops = sorted({path[0] for path in paths if path})
    others = [top for top in tops if top.lower() not in SPLITS]
    called = {SPLITS[top.lower()] for top in tops if top not in others}
    if len(called - {"unlabeled"} if others else called) < 2:
        splits = ["unlabeled" if path and path[0].lower() == "unlabeled" else None for path in paths]
        return splits, [path[0] if path else None for path in paths]
    if others:
        expected = f"folders of splits (train, val, test, unlabeled) alone, or of classes: move {others[0]}"
        raise InputError("dataset.path", expected, tops)
    if "train" not in called:
        raise InputError("dataset.path", "a folder train beside those of other splits", tops)
    splits = [SPLITS[path[0].lower()] if path else None for path in paths]
    return splits, [path[1] if len(path) > 1 else None for path in paths]


log = logging.getLogger("genreg")

SOURCE = Source("image_folder", 0.0, "your own", "a folder of your own: dataset.path")


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
    stratify: Annotated[bool, Neutral(False)] = False,
    labeled: Count | None = None,
    subset: Subset = "balanced",
    seed: CountOrZero = 0,
) -> Dataset:
    """Pictures of any size under a folder, their middle squares resized to `size` pixels.

    path: as `download.find` takes it; searched with its subfolders, which say splits and classes
    (`folders.meaning`), in alphabetical order; no classes where a picture lies in no subfolder. labeled:
    those of the pool that keep theirs, None for all. validation, test: drawn the same for every seed,
    unless a folder is called so; stratify: in the proportions of the classes, if there are any.
    channels: 3 takes grey, palette, 16-bit and CMYK pictures too, 1 grey ones of any depth. broken: files
    that PIL cannot read, or of another kind; `refuse` names one, `skip` lists them in the log, which also
    counts what was converted. x is in [0, 1], (channels, size, size), white where transparent.
    Raises InputError for a folder that is missing, empty or has too few pictures.
    """
    folder = find(path, data_dir, "folder")
    found = pictures(folder)
    decoded, names = readable(folder, found.names, size, channels, broken)
    x = torch.from_numpy(decoded).permute(0, 3, 1, 2).float() / 255
    splits, classes = meaning(names)
    labels, y = class_numbers(names, splits, classes)
    tell_empty(folder, splits, labels)
    if y is None and labeled is not None:
        raise InputError("dataset.labeled", "null where no subfolders name classes", labeled)
    strata = y.numpy() if stratify and y is not None else None
    parts = divided(x, y, split_rows(folder, splits, validation, test, strata))
    checksums = checksums_of(decoded, y, splits)
    if y is None:
        dataset = unlabeled(parts[3].x, parts[1].x, parts[2].x, checksums)
    else:
        say("classes of which no picture fell to training", untrained(classes, labels, parts[0].y))
        dataset = assemble((parts[0].x, parts[0].y), parts[1], parts[2], labeled=labeled or len(parts[0]),
                           subset=subset if labeled else "first", seed=seed, checksums=checksums,
                           names=labels)  # fmt: skip
        dataset = replace(dataset, unlabeled=parts[3].x)
    left_out = found.left_out + Counter(broken=len(found.names) - len(names))
    ys = [part.y for part in parts[:3]]
    return told(dataset, f"{folder.name}: {len(names)} pictures", labels, ys, left_out)


def checksums_of(decoded: np.ndarray, y: Tensor | None, splits: Sequence[str | None]) -> dict[str, str]:
    """The sha256 of the pixels, the class numbers and the folders' splits, as far as there are any."""
    found = {"pictures": decoded.tobytes()}
    if y is not None:
        found["classes"] = y.numpy().tobytes()
    if any(splits):
        found["splits"] = json.dumps(splits).encode()
    return {name: hashlib.sha256(content).hexdigest() for name, content in found.items()}


def split_rows(
    folder: Path, splits: Sequence[str | None], validation: int, test: int, labels: np.ndarray | None
) -> list[Tensor]:
    """Rows of training, validation, test and unlabeled; of training those are drawn that have no folder.

    labels: the class of each row, to draw in the proportions of; None to draw without regard to them.
    InputError where too few are left.
    """
    train = torch.tensor([row for row, split in enumerate(splits) if split in (None, "train")])
    held_out, tested, more = (
        torch.tensor([row for row, split in enumerate(splits) if split == name], dtype=torch.long)
        for name in ("validation", "test", "unlabeled")
    )
    n, m = 0 if len(held_out) else validation, 0 if len(tested) else test
    if len(train) <= n + m:
        wanted = f"more than {n} + {m} pictures (validation and test)"
        raise InputError("dataset.path", wanted, f"{len(train)} in {folder}")
    pool, drawn, last = shuffled(len(train), n, m, None if labels is None else labels[train.numpy()])
    return [train[pool], held_out if not n else train[drawn], tested if not m else train[last], more]


def divided(x: Tensor, y: Tensor | None, rows: list[Tensor]) -> list[Split]:
    """Training, validation, test and the pool, in which training is."""
    pool = torch.cat((rows[0], rows[3]))
    seen = {row.numpy().tobytes() for row in x[pool]}
    y = torch.zeros(len(x), dtype=torch.long) if y is None else y

    def split(i: Tensor) -> Split:
        return Split(x[i], y[i], not_in(seen, (row.numpy().tobytes() for row in x[i])))

    train, held_out, tested = map(split, rows[:3])
    return [train, held_out, tested, split(pool) if len(rows[3]) else train]


def say(what: str, counts: Counter[str]) -> None:
    """One line in the log, if there is anything to count."""
    if counts:
        kinds = ", ".join(sorted(f"{count} {kind}" for kind, count in counts.items()))
        log.warning("dataset.path: %s: %s", what, kinds)


def class_numbers(
    names: list[str], splits: Sequence[str | None], classes: Sequence[str | None]
) -> tuple[list[str], Tensor | None]:
    """The sorted classes, and for each picture the number of its own, (N,), 0 of an unlabeled one.

    None, without classes, if a picture of another split has none.
    """
    known = [split != "unlabeled" for split in splits]
    stray = [name for name, c, k in zip(names, classes, known, strict=True) if k and c is None]
    if stray and len(stray) < sum(known):
        log.warning("dataset.path: no labels, as %d of %d pictures lie in no subfolder: %s",
                    len(stray), sum(known), stray[0])  # fmt: skip
    if stray:
        return [], None
    labels = sorted({str(c) for c, k in zip(classes, known, strict=True) if k})
    numbers = {label: number for number, label in enumerate(labels)}
    return labels, torch.tensor([numbers.get(str(c), 0) for c in classes])


def tell_empty(folder: Path, splits: Sequence[str | None], labels: list[str]) -> None:
    """Name the folders beside those of classes that have no picture."""
    if not labels or any(splits):
        return
    other = [file.name for file in folder.iterdir() if file.is_dir() and file.name not in labels]
    if empty := sorted(name for name in other if name != "__MACOSX" and not is_hidden(name)):
        log.warning(
            "dataset.path: %d subfolders without a picture are no classes: %s", len(empty), ", ".join(empty)
        )


def untrained(classes: Sequence[str | None], labels: list[str], trained: Tensor) -> Counter[str]:
    """The number of pictures of each class that `trained` lacks."""
    lacking = {label for number, label in enumerate(labels) if not (trained == number).any()}
    return Counter(f"of {c}" for c in classes if c in lacking)


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


def cached(folder: Path, files: list[str], size: int, channels: int) -> Arrays:
    """The readable pictures and, for each file, what else is `Decoded` of it; made once."""
    stats = [(folder / name).stat() for name in files]
    entries = [[name, stat.st_size, stat.st_mtime_ns] for name, stat in zip(files, stats, strict=True)]
    recipe = {"size": size, "channels": channels, "resize": "bicubic", "version": 2, "files": entries}
    key = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
    return kept(
        f"decoded/image_folder-{key}",
        lambda: stacked([decode(folder / name, size, channels) for name in files], size, channels),
    )


def stacked(found: list[Decoded], size: int, channels: int) -> Arrays:
    """Pixels of those without a fault; faults, conversions and whether there are several frames, of all."""
    pixels = [one.pixels for one in found if not one.fault]
    return {
        "pixels": np.stack(pixels) if pixels else np.empty((0, size, size, channels), np.uint8),
        "faults": np.array([one.fault for one in found]),
        "converted": np.array([one.converted for one in found]),
        "several_frames": np.array([one.several_frames for one in found]),
    }
