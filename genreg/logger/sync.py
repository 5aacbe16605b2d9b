"""`genreg sync`: run folders are shown to a logger afterwards, as training would have shown them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genreg.errors import FolderInUseError, GenregError, InputError, nearest, report
from genreg.groups import find_modules_in, nodes
from genreg.parameters import blame
from genreg.run.factory import find_target
from genreg.run.find import some_runs
from genreg.run.folder import Row, RunFolder, is_whole, printable
from genreg.run.identity import Config
from genreg.run.logger import Logger, LoggerThread, lacking


def sync(
    folders: Sequence[Path], to: str, extra: Path | None, options: Mapping[str, Any], artifacts: bool
) -> int:
    """Show every run below `folders`; the exit code: 0, 1 if some failed, 2 if no folder was fit to be shown.

    to: an option of the group logger. extra: a folder with more of them. options: values that replace those
    of its file, None for none. Raises InputError for a bad option, and where there are no runs.
    """
    logger = _logger(to, extra, options)
    if artifacts and not logger.takes_files:
        raise InputError("--artifacts", f"a logger that takes files, such as wandb: {to} takes none")
    paths = {path.resolve(): path for folder in folders for path in some_runs(folder)}.values()
    results: list[str] = []
    codes: set[int] = set()
    for path in paths:
        result, code = _sync(RunFolder(path), to, logger, artifacts)
        print(f"{result:9} {printable(path)}", flush=True)
        results.append(result)
        codes.add(code)
    counts = ", ".join(f"{results.count(result)} {result}" for result in dict.fromkeys(results))
    note = logger.note if "synced" in results else ""
    print("; ".join(filter(None, (counts, note))))
    return 1 if 1 in codes or codes == {0, 2} else max(codes)


def _logger(name: str, extra: Path | None, options: Mapping[str, Any]) -> Logger:
    """The logger that an option of the group says; InputError if there is none, or it cannot be used here."""
    find_modules_in(extra)
    known = {option: node for option, node in nodes("logger", extra).items() if "_target_" in node}
    if name not in known:
        raise InputError("--to", "an option of the group logger", name, nearest(name, known))
    typed = {key: value for key, value in options.items() if value is not None}
    if unknown := typed.keys() - known[name].keys():
        raise InputError(f"--{min(unknown)}", f"a logger that has it, not {name}")
    target = find_target(known[name], f"logger.{name}")
    with blame("", target):
        logger: Logger = target(**{key: v for key, v in (known[name] | typed).items() if key != "_target_"})
    if missing := lacking(logger):
        expected = f"a logger with {', '.join(missing)} (genreg.run.logger.Logger says what each does)"
        raise InputError("--to", expected, name)
    return logger


def _sync(folder: RunFolder, name: str, logger: Logger, artifacts: bool) -> tuple[str, int]:
    """Show one run. Return synced, unchanged, running (left to its process) or failed, and an exit code."""
    try:
        with folder.lock():
            return _replay(folder, name, logger, artifacts), 0
    except FolderInUseError:
        return "running", 0
    except Exception as error:  # a folder may hold anything, and the others are to go on
        line = (str(error).splitlines() or [""])[0]
        reason = line if isinstance(error, GenregError) else f"{type(error).__name__}: {line}"
        failure = GenregError(f"{printable(folder.path)}: {reason}")
        failure.__cause__ = error
        report(failure)
        return "failed", error.exit_code if isinstance(error, GenregError) else 1


def _replay(folder: RunFolder, name: str, logger: Logger, artifacts: bool) -> str:
    """Show the folder's rows in order, with the pictures of their steps, unless that was done before."""
    config, rows, summary = _read(folder)
    target, size = type(logger).__name__, (folder.path / "metrics.jsonl").stat().st_size
    state = {"bytes": size, "status": summary["status"], "artifacts": artifacts}
    if logger.covers(folder, folder.synced(target), state | logger.place):
        return "unchanged"
    logger.clear(folder)
    pictures, thread = folder.pictures(), LoggerThread(name, logger)
    thread.call("start", folder, config)
    for row in rows:
        thread.call("show", row, pictures.get(row["step"], {}))
    if artifacts:
        thread.call("add_files", folder)
    thread.call("finish", summary)
    if error := thread.end():
        raise error
    folder.write_synced(target, state | logger.place)  # `place` anew: auto may have become offline
    return "synced"


def _read(folder: RunFolder) -> tuple[Config, list[Row], Row]:
    """Configuration, rows and summary, all read before anything is shown. Raises InputError."""
    config = folder.config()
    if not isinstance(config.get("regularizer"), dict):
        raise InputError("config.yaml", "the configuration of a run")
    summary = folder.summary()
    if not is_whole(summary) or "seconds" not in summary:
        raise InputError("summary.json", "the summary of a run that was started")
    if summary["status"] == "running":  # the lock is ours: its process was killed
        summary = {**summary, "status": "interrupted"}
    try:
        rows = folder.rows()
        steps = [int(row["step"]) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError("metrics.jsonl", "a row with a step on every line", str(error)) from error
    if steps != sorted(set(steps)):
        raise InputError("metrics.jsonl", "rows with rising steps")
    return config, rows, summary
