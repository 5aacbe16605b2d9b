"""`genreg sync`: shows run folders to W&B or TensorBoard afterwards, as training would have shown them."""

from collections.abc import Sequence
from pathlib import Path

from genreg.errors import FolderInUseError, GenregError, InputError, nearest, report
from genreg.logger import TensorBoard, WandB
from genreg.parameters import blame
from genreg.run.folder import Row, RunFolder, is_whole, printable, some_runs
from genreg.run.identity import Config

TARGETS = ("wandb", "tensorboard")


def sync(folders: Sequence[Path], to: str, artifacts: bool, **wandb: str | None) -> int:
    """Show every run below `folders`; the exit code: 0, 1 if some failed, 2 if nothing could be shown.

    wandb: project, entity and mode. Raises InputError for a bad option, and where there are no runs.
    """
    if to not in TARGETS:
        raise InputError("--to", "a target", to, nearest(to, TARGETS))
    if artifacts and to != "wandb":
        raise InputError("--artifacts", "--to wandb: TensorBoard keeps no files")
    with blame("", WandB):
        logger = WandB(**wandb) if to == "wandb" else TensorBoard()  # type: ignore[arg-type]
    paths = {path.resolve(): path for folder in folders for path in some_runs(folder)}.values()
    results: list[str] = []
    for path in paths:
        results.append(_sync(RunFolder(path), logger, artifacts))
        print(f"{results[-1]:9} {printable(path)}", flush=True)
    offline = "synced" in results and isinstance(logger, WandB) and logger.delivery == "offline"
    print(", ".join(f"{results.count(word)} {word}" for word in dict.fromkeys(results)), end="")
    print("; offline: `wandb sync RUN_FOLDER/wandb/offline-run-*` uploads them" if offline else "")
    return 0 if "failed" not in results else 1 if {"synced", "unchanged"} & set(results) else 2


def _sync(folder: RunFolder, logger: WandB | TensorBoard, artifacts: bool) -> str:
    """What became of one run: synced, unchanged since it was, running (left to its process) or failed."""
    try:
        with folder.lock():
            return _replay(folder, logger, artifacts)
    except FolderInUseError:
        return "running"
    except Exception as error:  # a folder may hold anything, and the others are to go on
        line = (str(error).splitlines() or [""])[0]
        reason = line if isinstance(error, GenregError) else f"{type(error).__name__}: {line}"
        told = GenregError(f"{printable(folder.path)}: {reason}")
        told.__cause__ = error
        report(told)
        return "failed"


def _replay(folder: RunFolder, logger: WandB | TensorBoard, artifacts: bool) -> str:
    """Show the folder's rows in order, with the pictures of their steps, unless that was done before."""
    config, rows, summary = _read(folder)
    target, size = type(logger).__name__, (folder.path / "metrics.jsonl").stat().st_size
    state = {"bytes": size, "status": summary["status"], "artifacts": artifacts}
    if _covers(folder.synced(target), state | logger.place):
        return "unchanged"
    logger.clear(folder)
    pictures = folder.pictures()
    logger.start(folder, config)
    try:
        for row in rows:
            logger.show(row, pictures.get(row["step"], {}))
        if isinstance(logger, WandB) and artifacts:
            logger.keep(folder)
    finally:
        logger.finish(summary)
    folder.write_synced(target, state | logger.place)  # `place` anew: auto may have become offline
    return "synced"


def _covers(before: Row, wanted: Row) -> bool:
    """Whether nothing that is wanted is left to do: online is more than offline, artifacts than none."""
    more = {"mode": "online", "artifacts": True}
    return all(before.get(key, ...) in (value, more.get(key, value)) for key, value in wanted.items())


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
