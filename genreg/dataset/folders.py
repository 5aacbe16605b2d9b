"""Finds the pictures under a folder, and the splits and classes that its folders name."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from genreg.errors import InputError

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
