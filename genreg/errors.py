"""Errors as the user sees them: one line, and an exit code."""

import difflib
import errno
import os
import re
import sys
import traceback
from collections.abc import Iterable, Mapping

PAGE = "docs/bring_your_own.md"
"""The page that an error names where what a user has written does not fit."""


def extra(name: str) -> str:
    """The command that brings the packages of an extra, as it is typed in a checkout.

    By its name pip would fetch another project's package: genreg is none of the public index.
    """
    return f"`pip install -e '.[{name}]'` in the checkout"


class GenregError(Exception):
    """A message for the user; `exit_code` is the process's answer to the shell.

    of_machine: the machine failed, not what ran on it, and the same may go well at the next start.
    """

    exit_code = 1
    reported = False
    of_machine = False


NO_SUCH_KEY = "no such key"


class InputError(GenregError):
    """Something typed, configured or lying on disk is not usable; nothing was run."""

    exit_code = 2

    def __init__(self, key: str, expected: str, got: object = None, nearest: Iterable[str] = ()) -> None:
        self.key, self.expected, self.got, self.nearest = key, expected, got, list(nearest)
        line = f"{key}: expected {expected}" + (f", got {_short(got)}" if got is not None else "")
        super().__init__(line + (f"\n  nearest: {', '.join(self.nearest)}" if self.nearest else ""))


class DivergedError(GenregError):
    """A term of the objective became NaN or infinite; the run is recorded as failed."""

    def __init__(self, step: int, term: str, value: float) -> None:
        self.step, self.term = step, term
        super().__init__(f"diverged: {term} is {value} at step {step}; try a smaller optimizer.lr or weight")


class MachineError(GenregError):
    """A disk that is full or fails, no memory, a dead process: the run is recorded as broken."""

    of_machine = True


class DeviceMemoryError(GenregError):
    """The device has too little memory for a step; the run is recorded as broken.

    step: the last one that was made. sizes: what the memory of a step grows with, by key.
    """

    of_machine = True

    def __init__(self, device: object, step: int, sizes: Mapping[str, int]) -> None:
        given = "".join(f" {key}={size}," for key, size in sizes.items())
        remedy = "try smaller ones, precision=bf16 or device=cpu"
        super().__init__(f"out of memory on {device} after step {step}, with{given} {remedy}")


class CollapsedError(GenregError):
    """All samples of a generator have become one, or its critic's scores left every bound: failed."""


class FolderInUseError(GenregError):
    """Another live process is writing this run folder."""


class Interrupted(KeyboardInterrupt):
    """Stopped by SIGINT or SIGTERM after the state was saved; exit code 130."""

    exit_code = 130


def explained(error: Exception) -> GenregError:
    """The GenregError that says what `error` means; what nobody foresaw is a failure."""
    if isinstance(error, GenregError):
        return error
    unusable = isinstance(error, (NotADirectoryError, FileExistsError, PermissionError)) or (
        isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG
    )
    if isinstance(error, OSError) and unusable and error.filename:
        found: GenregError = InputError(str(error.filename), "a folder that can be written", error.strerror)
    elif of_machine(error):
        found = MachineError(cause(error))
    else:
        first = (str(error) or "no message").splitlines()[0]
        found = GenregError(f"{type(error).__name__}: {first}\n  GENREG_DEBUG=1 shows the traceback")
    found.__cause__ = error
    return found


MEMORY = ("out of memory", "allocate memory", "not enough memory", "ALLOC_FAILED")
"""Words of torch's RuntimeError where there is no memory, on the CPU too."""


def of_memory(error: BaseException) -> bool:
    """True where memory was short, of the processor or of a device."""
    words = str(error) if isinstance(error, RuntimeError) else ""
    return isinstance(error, MemoryError) or any(word in words for word in MEMORY)


def of_machine(error: BaseException) -> bool:
    """True for a failure of files, memory or a device, which says nothing of a method."""
    if isinstance(error, GenregError):
        return error.of_machine
    return isinstance(error, OSError) or of_memory(error)


RECORDED = re.compile(
    rf"\[Errno \d+\] |MemoryError$|Unable to allocate |its worker was ended by SIG|.*({'|'.join(MEMORY)})"
)


def was_of_machine(reason: object) -> bool:
    """True for the reason of a run that an earlier version recorded as failed, where the machine had."""
    return isinstance(reason, str) and RECORDED.match(reason) is not None


def cause(error: BaseException) -> str:
    """The place and the cause of an error in one line: `x/summary.json: No space left on device`."""
    first = (str(error) or type(error).__name__).splitlines()[0]
    if isinstance(error, OSError) and error.strerror:
        return ": ".join(str(part) for part in (error.filename, error.strerror) if part)
    return first


FAILING = {errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.ENOMEM, errno.EMFILE, errno.ENFILE}


def unwritable(key: str, error: OSError, expected: str = "a folder that can be written") -> GenregError:
    """The error of a place that was typed under `key`: InputError, unless the machine fails there."""
    if error.errno in FAILING:
        return MachineError(cause(error))
    return InputError(key, expected, cause(error))


def report(error: GenregError) -> None:
    """Tell the user once, on stderr; with the traceback if GENREG_DEBUG is set."""
    if not error.reported:
        if os.environ.get("GENREG_DEBUG"):
            traceback.print_exception(error)
        print("genreg:", "\n".join(map(printable, str(error).split("\n"))), file=sys.stderr, flush=True)
    error.reported = True


def printable(text: object) -> str:
    """`text` in one line without control characters: names in a folder may come from anyone."""
    found = str(text)
    return found if found.isprintable() else "".join(c if c.isprintable() else "�" for c in found)


def nearest(word: str, choices: Iterable[str], n: int = 3) -> list[str]:
    """The choices most like `word`, best first; all of them where there are few."""
    choices = sorted(choices)
    close = difflib.get_close_matches(word, choices, n=n, cutoff=0.5)
    return close or (choices if len(choices) <= 16 else [])


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:197] + "..."  # room for a long path
