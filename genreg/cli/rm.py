"""`genreg rm`: remove run folders, after a look at what they are."""

import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from genreg.errors import GenregError, InputError, cause, printable, report, unwritable
from genreg.report.ls import lines_of
from genreg.report.where import none_has
from genreg.run.folder import RunFolder
from genreg.run.read import Run
from genreg.study.model import Arm


def rm(folder: Path, where: Sequence[str], yes: bool) -> int:
    """Remove the runs below `folder` for which all conditions hold, and return the exit code.

    yes: without a question. A run that a live process holds stays, which makes the code 1. Raises InputError
    for no condition, for a key that no run has, and where there is nobody to ask.
    """
    if not where:
        raise InputError("--where", "a condition such as status=failed: it says what is removed")
    lines = list(lines_of(folder, where))
    if not lines:
        print(none_has([line.arm for line in lines_of(folder, ())], where))
        return 0
    runs = [run.path for line in lines for run in _runs(line.arm)]
    for line in lines:
        many = len(list(_runs(line.arm)))
        print(f"{line.name}: {many} run{'s' * (many > 1)} ({line.status_words}), seeds {line.seeds or '-'}")
    if not (yes or _agreed(len(runs), sum(map(_size, runs)))):
        print("nothing was removed")
        return 0
    left = sum(not _removed(run) for run in runs)
    print(f"{len(runs) - left} runs were removed")
    return int(left > 0)


def _runs(arm: Arm) -> Iterator[Run]:
    yield from (*arm.runs.values(), *arm.other.values())


def _agreed(runs: int, size: int) -> bool:
    """The answer to the question; InputError where none can be given."""
    if not sys.stdin.isatty():
        raise InputError("--yes", "this flag where no terminal can be asked: nothing was removed")
    print(f"remove {runs} run folders, {size / 1e6:.1f} MB? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _size(folder: Path) -> int:
    """The bytes of its files."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in found)


def _removed(run: Path) -> bool:
    """Remove a run's folder, and those above it that are empty then; False where it is held or cannot be."""
    try:
        with RunFolder(run).lock():
            _remove(run)
    except GenregError as error:
        report(error)
        return False
    _remove_empty([run.parent, run.parent.parent])
    return True


def _remove(run: Path) -> None:
    try:
        run.unlink() if run.is_symlink() else shutil.rmtree(run)
    except OSError as error:
        raise unwritable(printable(run), error, f"a folder that can be removed ({cause(error)})") from error


def _remove_empty(folders: Iterable[Path]) -> None:
    with suppress(OSError):  # one that is not empty stays
        for folder in folders:
            folder.rmdir()
