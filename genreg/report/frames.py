"""Runs and their rows as pandas data frames."""

from collections.abc import Iterator
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genreg.errors import InputError, extra
from genreg.report.read.find import plain_parts
from genreg.report.where import as_typed
from genreg.run.find import some_runs
from genreg.run.folder import Row
from genreg.run.identity import hash_in
from genreg.run.read import Run, files_of, short

if TYPE_CHECKING:
    from pandas import DataFrame


def runs(folder: Path | str) -> "DataFrame":
    """One row for each run at or below `folder`, whatever became of it.

    folder, name (the experiment's), arm (the hash of the configuration), seed, status, reason, seconds,
    step, commit, device, data (files, each with the start of its sha256: runs of others are no repetitions of
    one another); the configuration as one types it after `genreg train` (`optimizer`,
    `optimizer.lr`), lists as tuples, without what changes no result; `best/...` and `last/...`, the row that
    validation chose and the last one.

    Raises InputError where there are no runs, or no pandas.
    """
    return _frame(
        [{**start, **_outcome(run), **keys, **_metrics(run)} for run, start, keys in _found(folder)]
    )


def rows(folder: Path | str) -> "DataFrame":
    """One row for each row that the runs at or below `folder` recorded: learning curves.

    folder, name, arm, seed, step, seconds until then; every metric, empty at steps that did not have it.

    Raises InputError where there are no runs, or no pandas, and for a damaged file.
    """
    found = ((start, run.folder.seconds_at(), _rows(run)) for run, start, _ in _found(folder))
    return _frame(
        [
            {**start, "step": row["step"], "seconds": seconds.get(row["step"]), **row}
            for start, seconds, recorded in found
            for row in recorded
        ]
    )


def _found(folder: Path | str) -> Iterator[tuple[Run, Row, Row]]:
    """Each run, with its folder, name, arm and seed, and with the keys of its arm."""
    paths = some_runs(Path(folder))
    for arm in (arm for part in plain_parts({Path(folder): paths}) for arm in part.arms):
        config = arm.config
        keys = {
            key: tuple(value) if isinstance(value, list) else value for key, value in as_typed(config).items()
        }
        name = keys.pop("name") or arm.name
        for _, run in sorted((arm.runs | arm.other).items()):
            digest = hash_in(run.path, config) if config else None
            yield run, {"folder": str(run.path), "name": name, "arm": digest, "seed": run.seed}, keys


def _outcome(run: Run) -> Row:
    """The outcome of a run, with the commit, device and data of its last start."""
    starts = run.environments
    start = starts[-1] if starts else {}
    return {
        "status": run.status, "reason": run.summary.get("reason"),
        "seconds": run.summary.get("seconds"), "step": run.summary.get("step"),
        "commit": start.get("commit"), "device": start.get("device"),
        "data": ", ".join(starmap(short, files_of(run.starts).items())),
    }  # fmt: skip


def _metrics(run: Run) -> Row:
    pairs = (("best", run.best), ("last", run.last))
    return {f"{title}/{name}": value for title, row in pairs for name, value in (row or {}).items()}


def _rows(run: Run) -> list[Row]:
    try:
        found = run.folder.rows()
        return [row for row in found if "step" in row]
    except (ValueError, TypeError) as error:
        raise InputError(str(run.path / "metrics.jsonl"), "a row on every line", str(error)) from error


def _frame(table: list[Row]) -> Any:
    try:
        from pandas import DataFrame
    except ImportError as error:
        raise InputError("genreg", f"{extra('notebook')} for tables", "no pandas") from error
    return DataFrame(table)
