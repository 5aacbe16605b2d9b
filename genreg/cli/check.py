"""`genreg check`: an archive's verdicts from its rows, and some of its runs made again and compared."""

import io
import os
import random
import re
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from genreg.cli import compose, like
from genreg.errors import InputError, Interrupted, explained, printable
from genreg.files import read_bytes
from genreg.groups import find_modules_in
from genreg.report.check import judged
from genreg.run import reader, replicas
from genreg.run.folder import Row, RunFolder
from genreg.run.identity import Config, run_path
from genreg.run.read import Run
from genreg.run.train import train
from genreg.study import archive
from genreg.study.job import Job, train_needed

ROUNDING = 1e-4
"""The largest difference that is called rounding, as a share of the largest value of its metric in the run.

Single precision has 1e-7 at an operation, which grows over the steps."""

ROWS, REPLICAS = RECORDS = ("metrics.jsonl", "replicas.npz")
"""The files of a run that hold nothing of the machine."""

EQUAL, NEAR, OTHER, NOT_MADE = "equal to the byte", "equal within rounding", "different", "not made"


@dataclass(frozen=True)
class Original:
    """A run of the archive: what it recorded, and the configuration that makes it again."""

    name: str
    config: Config
    environment: Row
    status: str
    files: dict[str, bytes]

    @property
    def on_processor(self) -> bool:
        """True if it was made without a GPU, whose name has more than one word."""
        return re.fullmatch(r"\w+", str(self.environment.get("device"))) is not None


def check(path: Path, rerun: int, seed: int | None, trust: bool, config_dir: Path | None) -> int:
    """Print what holds of an archive; the exit code: 0 if all does, 1 if anything is other than recorded.

    InputError, with nothing run, for what is no archive, and for code of a run that nobody here knows.
    """
    find_modules_in(config_dir)
    if archive.archive_of(path) != path:
        raise InputError("ARCHIVE", f"a file {archive.SUFFIX} that `genreg pack` wrote", str(path))
    with archive.opened([path]) as (root,):
        right, runs = judged(root)
        seed = random.SystemRandom().randrange(10**6) if seed is None else seed
        drawn = random.Random(seed).sample(runs, min(rerun, len(runs)))
        originals = [_original(run, root, trust) for run in sorted(drawn, key=lambda run: run.path)]
    if rerun:
        seconds = sum(run.summary.get("seconds", 0) for run in drawn)
        print(f"made again: {len(drawn)} of {len(runs)} runs, drawn by --seed {seed}; "
              f"they took {seconds:.1f} s", flush=True)  # fmt: skip
        try:
            right = _all_again(originals, config_dir) and right
        except Interrupted as error:
            print(f"genreg: {error}", file=sys.stderr)
            return Interrupted.exit_code
    print("all of it holds" if right else "not all of it holds")
    return 0 if right else 1


def _original(run: Run, root: Path, trust: bool) -> Original:
    """Read a run of the unpacked archive. InputError for unknown code, unless it is trusted."""
    config = compose.plain(like.config_of(run.path, ["logger=none"], [], trust))
    name = printable(run.path.relative_to(root).as_posix())
    return Original(name, config, run.starts[-1] if run.starts else {}, run.status, _records(run.path))


def _records(folder: Path) -> dict[str, bytes]:
    return {name: read_bytes(folder / name) for name in RECORDS if (folder / name).is_file()}


def _all_again(originals: Sequence[Original], config_dir: Path | None) -> bool:
    """Make the runs again in a folder that is gone afterwards, and print how each ends; true if all hold."""
    changed: dict[str, None] = {}
    right = True
    with TemporaryDirectory(prefix="genreg-") as place:
        for number, one in enumerate(originals):
            try:
                folder, reason = _again(one, place, config_dir)
            except Interrupted as error:
                raise Interrupted(
                    f"interrupted: {number} of {len(originals)} runs were made again"
                ) from error
            verdict, words = (NOT_MADE, reason) if reason else compared(one, folder)
            print(f"  {verdict:{len(NEAR)}}  {one.name}{words and ': '}{words}", flush=True)
            right = right and verdict in (EQUAL, NEAR)
            if not reason:
                changed |= dict.fromkeys(like.differences(one.environment, like.environment(folder.path)))
    if originals:
        print("not as recorded:" if changed else "code, data, versions, device and threads are as recorded",
              *(f"  {printable(line)}" for line in changed), sep="\n", flush=True)  # fmt: skip
    return right


def _again(one: Original, place: str, config_dir: Path | None) -> tuple[RunFolder, str]:
    """Train a run as it was, alone: its new folder, and why it could not be made."""
    data = os.environ.get("GENREG_DATA")
    config = one.config | {"output_dir": place, "data_dir": data, "quiet": True}
    config |= {"device": "cpu"} if one.on_processor else {}
    folder = RunFolder(run_path(config))
    about = compose.about_hydra(Namespace(overrides=[], config_dir=config_dir))
    try:
        with threads(one.environment.get("threads")), compose.configs():
            (job,) = compose.with_needs([Job([], config)], about)
            train_needed(job)
            train(config, in_sweep=True)
    except Exception as error:
        if folder.summary().get("status") != "failed":  # as it did in the archive, perhaps
            return folder, str(explained(error)).partition("\n")[0]
    return folder, ""


@contextmanager
def threads(number: Any) -> Iterator[None]:
    """So many threads of torch, of which the order of sums depends, where their number is known."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number if isinstance(number, int) and 0 < number < 1024 else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def compared(one: Original, folder: RunFolder) -> tuple[str, str]:
    """The run as it was made again against the recorded one: equal, near or other, and by how much."""
    status, now = folder.summary().get("status"), _records(folder.path)
    if status != one.status:
        return OTHER, f"it was {one.status}, is {status}"
    if now == one.files:
        return EQUAL, ""
    try:
        share, words = largest(_values(one.files), _values(now))
    except ValueError as error:
        return OTHER, f"it cannot be read: {error}"
    grouped = one.environment.get("replicas")
    if share > ROUNDING and grouped and not one.on_processor:
        words += f" (it was one of {grouped} runs in one program, which a GPU rounds otherwise)"
    return (NEAR if share <= ROUNDING else OTHER), words


def _values(files: dict[str, bytes]) -> dict[str, np.ndarray]:
    """The columns of a run's rows and the arrays of its replicas. ValueError for files that have none."""
    columns: dict[str, list[Any]] = {}
    for line in files.get(ROWS, b"").split(b"\n")[:-1]:
        row = reader.from_line(line)
        for key, value in row.items() if isinstance(row, dict) else ():
            columns.setdefault(key, []).append(value)
    found = {key: np.array(values) for key, values in columns.items()}
    try:
        if REPLICAS in files:
            with np.load(io.BytesIO(files[REPLICAS])) as arrays:
                found |= {f"{REPLICAS} {name}": arrays[name] for name in arrays.files}
    except replicas.WRONG as error:
        raise ValueError(f"{REPLICAS}: {error}") from error
    return found


def largest(before: dict[str, np.ndarray], now: dict[str, np.ndarray]) -> tuple[float, str]:
    """The largest difference, as a share of the largest value of its metric, and in words.

    Infinite where a label, a step or the number of values is another.
    """
    if {key: v.shape for key, v in before.items()} != {key: v.shape for key, v in now.items()}:
        return np.inf, "its rows are at other steps, or of other metrics"
    shares = {key: _share(before[key], now[key]) for key in before}
    key = max(shares, key=lambda key: shares[key])
    share = shares[key]
    return share, f"by at most {share:.1e} of the largest {key}" if share else "the same values"


def _share(before: np.ndarray, now: np.ndarray) -> float:
    if np.array_equal(before, now, equal_nan=before.dtype.kind == now.dtype.kind == "f"):
        return 0.0
    if before.dtype.kind not in "fi" or now.dtype.kind not in "fi":
        return np.inf
    with np.errstate(all="ignore"):
        found = float(np.abs(before.astype(float) - now).max() / np.nanmax(np.abs(before.astype(float))))
    return found if np.isfinite(found) else np.inf  # NaN: of replicas, one died, or another
