"""Run folders: which there are at or below a folder, and which of them are done."""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from genreg.errors import InputError, cause
from genreg.files import MISSING
from genreg.run.folder import MARKS, SEED, RunFolder

ASIDE = re.compile(r".*\.before-\d+")


def is_run(path: Path) -> bool:
    """True for a run folder: it is called seed=N, or it holds summary.json or metrics.jsonl."""
    try:
        return _is_run(path)
    except OSError:  # it may not be ours to look into
        return False


def _is_run(path: Path) -> bool:
    marked = SEED.fullmatch(path.name) or any((path / mark).is_file() for mark in MARKS)
    return bool(marked) and path.is_dir()


def find_runs(folder: Path) -> Iterator[Path]:
    """Every run folder at or below `folder`, in order of name, seeds by number; runs are not searched.

    What was set aside is found only if it is `folder` itself.
    """
    if is_run(folder):
        yield folder if folder.name else folder.resolve()  # `.` has no name, which says the seed
        return
    unseen: list[OSError] = []
    for root, names, _ in os.walk(folder, onerror=unseen.append):
        runs: list[Path] = []
        others: list[Path] = []
        for path in (Path(root, name) for name in names if not ASIDE.fullmatch(name)):
            try:
                (runs if _is_run(path) else others).append(path)
            except OSError as error:
                unseen.append(error)
        yield from sorted(runs, key=_by_seed)
        names[:] = sorted(path.name for path in others)
    unseen = [error for error in unseen if not isinstance(error, MISSING)]  # what is gone has no runs
    if unseen:
        more = f" and {len(unseen) - 1} more folders" if len(unseen) > 1 else ""
        print(f"genreg: passed over: {cause(unseen[0])}{more}", file=sys.stderr)


def some_runs(folder: Path) -> list[Path]:
    """The run folders at or below `folder`. Raises InputError where there is none."""
    found = list(find_runs(folder))
    if not found:
        raise InputError("FOLDER", "a folder with runs at or below it", str(folder))
    return found


def finished_runs(output_dir: Path, name: str, seed: int) -> list[Path]:
    """The folders of the finished runs of a name and a seed, whatever their configuration."""
    found = sorted(output_dir.glob(f"{name}-*/seed={seed}"))
    return [path for path in found if RunFolder(path).summary().get("status") == "done"]


def weights_of(runs: Iterable[Path]) -> list[Path]:
    """The chosen weights of those that have them."""
    return [path for run in runs if (path := run / "weights.pt").is_file()]


def _by_seed(path: Path) -> tuple[int, str]:
    match = SEED.fullmatch(path.name)
    return (int(match[1]) if match else -1, path.name)
