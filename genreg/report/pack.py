"""`genreg pack`: a study in one small file, and the table of its verdicts that goes with it."""

import json
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from genreg.errors import InputError
from genreg.groups import __version__
from genreg.report.evaluate import evaluate_with_claims
from genreg.report.judge.result import PartResult, matrices
from genreg.report.output.columns import COLUMNS
from genreg.report.output.numbers import finite
from genreg.report.read.find import read_parts, sweep_files
from genreg.run import reader
from genreg.run.code import file_of, recorded
from genreg.run.find import find_runs, is_run, some_runs
from genreg.run.folder import Row
from genreg.run.read import Run, read_run
from genreg.study import archive


def pack(folder: Path, path: Path, force: bool = False) -> None:
    """Write folder's runs, without weights, and its verdicts as an archive; say what is in it, and what not.

    InputError for a folder that is only a part of a study, and for a file of that name with other content.
    """
    if path.suffix != archive.SUFFIX:
        raise InputError("ARCHIVE", f"a name that ends in {archive.SUFFIX}", str(path))
    runs, sweeps = some_runs(folder), _sweeps(folder)
    with TemporaryDirectory(prefix="genreg-") as place:
        root = archive.copy(folder, runs, sweeps, Path(place))
        with chdir(place):  # verdicts are of what is packed, also while runs go on
            results = evaluate_with_claims(read_parts([Path(root.name)]))
            found = [read_run(run) for run in find_runs(Path(root.name))]
            remarks = _remarks(found)
        names = [sweep.relative_to(folder).as_posix() for sweep in sweeps]
        verdicts = {"genreg": __version__, "sweeps": names, "verdicts": verdicts_of(results)}
        archive.write(path, root, verdicts, force)
    size = path.stat().st_size
    print(f"{path}: {len(found)} runs, {size / 1e3:.1f} kB, {size / 1e3 / len(found):.1f} a run")
    print(*remarks, sep="\n", end="")


def _sweeps(folder: Path) -> list[Path]:
    """The sweep files of a folder; InputError where the study lies around it."""
    if is_run(folder):
        raise InputError("FOLDER", "a folder with runs below it", str(folder), [str(folder.parent)])
    found, root = sweep_files(folder), folder.resolve()
    if outside := [path for path in found if not path.parent.resolve().is_relative_to(root)]:
        study = str(outside[0].parent)
        raise InputError("FOLDER", f"the folder of the study, which {outside[0]} is of", str(folder), [study])
    return found


def _remarks(runs: Sequence[Run]) -> list[str]:
    """A line on each thing that the archive does not have."""
    unfinished = sum(run.status not in ("done", "failed") for run in runs)
    lines = [f"{unfinished} runs are not finished: they are as they stand now"] if unfinished else []
    code = dict.fromkeys(name for run in runs for name in own_code(run))
    lines += [f"not in it, and read to make its runs again: {', '.join(code)}"] if code else []
    return [line + "\n" for line in lines]


def own_code(run: Run) -> list[str]:
    """The code of a run that genreg and torch do not bring, each file with the first digits of its sha256."""
    found = ((file_of(module), module, digest) for _, module, digest in recorded(run.starts))
    known = ("genreg", "torch")
    return [f"{file} {digest[:8]}" for file, module, digest in found if module.partition(".")[0] not in known]


UNSTEADY = ("arm", "remark")
"""Columns that say nothing of a result: a name, and words of this version."""


def verdicts_of(results: Sequence[PartResult]) -> dict[str, Row]:
    """Every number and verdict of every arm, claim and average over data sets, by what it is about."""
    found: dict[str, Row] = {}
    for result in results:
        for arm in result.arms:
            values = {c.key: c.value(arm) for c in COLUMNS if c.key not in UNSTEADY}
            _add(found, f"{result.part.name}, {arm.arm.name}", values)
        for judged in result.claims:
            _add(found, f"{result.part.name}, {judged.claim['claim']}", {"verdict": judged.verdict})
    for matrix in matrices(results):
        for row in matrix.rows:
            values = {"mean_rank": row.rank, **(vars(row.average) if row.average else {})}
            _add(found, f"{matrix.group} over {', '.join(matrix.datasets)}, {row.arm}", values)
    plain: dict[str, Row] = reader.clean_json(json.dumps(finite(found)).encode())
    return plain


def _add(found: dict[str, Row], about: str, values: dict[str, Any]) -> None:
    while about in found:
        about += " (again)"  # of two sweeps below one folder
    found[about] = values
