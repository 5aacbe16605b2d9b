"""One run: skipped if it has finished, otherwise locked, built, trained and recorded."""

import logging
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass as plain_dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic.dataclasses import dataclass

from genreg.errors import InputError, cause
from genreg.parameters import STRICT, Count, CountOrZero, blame
from genreg.run import code, data, display, ranks
from genreg.run.code import changes, in_words
from genreg.run.display import Display, print_line, print_summary
from genreg.run.factory import GROUPS
from genreg.run.find import finished_runs
from genreg.run.folder import Row, RunFolder
from genreg.run.identity import Config, experiment_hash, experiment_name, run_path

log = logging.getLogger("genreg")


@dataclass(config=STRICT, kw_only=True, frozen=True)
class Settings:
    """The scalars of a configuration; train.yaml says what each means."""

    name: str | None
    steps: Count
    seed: CountOrZero
    device: str
    precision: Literal["fp32", "tf32", "bf16"]
    eval_every: Count
    log_every: Count
    checkpoint_every: Count
    keep_state: bool | None = None
    data_dir: str | None
    output_dir: str
    quiet: bool

    @classmethod
    def of(cls, config: dict[str, Any]) -> Self:
        """Read those of a configuration; InputError names the first bad or unknown key."""
        with blame("", cls):
            found = cls(**{key: value for key, value in config.items() if key not in GROUPS})
        if not found.output_dir.strip():
            raise InputError("output_dir", "the name of a folder", found.output_dir)
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", found.device):
            raise InputError("device", "one of auto, cpu, cuda or cuda:N", found.device)
        return found


def train(config: Config, *, in_sweep: bool = False, retry_failed: bool = True, again: bool = False) -> Row:
    """Run `config` in its folder, or return the summary at once if it is finished there.

    in_sweep: print the result in one line, and do not draw curves.png, which takes longer than a small run.
    retry_failed: if false, the summary of a run that has failed is returned as that of a finished one.
    again: start from the beginning whatever is in the folder, which is set aside first.
    Raises what `loop.run` raises; InputError for a bad value or an unfinished run of other data, before
    anything is written; FolderInUseError if a live process holds the folder. Of processes that make one run
    together rank 0 does all this, and the others make its steps beside it.
    """
    settings = Settings.of(config)
    if ranks.rank:
        return _assist(config, settings)
    folder = RunFolder(run_path(config))
    summary = folder.summary()
    over = ("done",) if retry_failed else ("done", "failed")
    if ranks.first(again or summary.get("status") not in over):
        if not (in_sweep or again or summary or folder.begun or settings.quiet):
            _log_fewer_steps(config)
        keep = not in_sweep if settings.keep_state is None else settings.keep_state
        summary = _run(config, settings, folder, over, again, keep)
    else:
        _log_finished(config, folder, settings.quiet)
    if summary["status"] == "done":
        folder.drop_checkpoints()  # a kill may have come before
    if in_sweep and not settings.quiet and summary["status"] == "done":
        print_line(summary, str(folder.path))
    elif not in_sweep and not settings.quiet:
        print_summary(summary, str(folder.path))
    if not in_sweep:
        _draw(folder, summary)
    return summary


def _draw(folder: RunFolder, summary: Row) -> None:
    """Draw curves.png if there is none, which takes a second: the result was told before.

    A disk that is full or cannot be written is worth a line.
    """
    picture = folder.path / "curves.png"
    try:
        if not picture.exists():
            display.draw(folder.rows(), summary, picture)
    except OSError as error:
        log.warning("curves.png is not drawn: %s", cause(error))


def _assist(config: Config, settings: Settings) -> Row:
    """Do what is left of a run to a process that has not its folder."""
    from genreg.run import loop

    if ranks.first():
        s, built = settings, build({**config, "logger": {}}, settings)
        loop.assist(built.task, loop.Pace(s.steps, s.log_every, s.eval_every, s.checkpoint_every))
    return {}


def _run(
    config: Config, settings: Settings, folder: RunFolder, over: Sequence[str], again: bool, keep: bool
) -> Row:
    """Build everything, then hold the folder while it trains. torch is imported from here on."""
    from genreg.run import loop

    built = build(config, settings)
    if again:
        folder.set_aside()
    with opened(built, folder, over) as views:
        if views is None:
            if ranks.size > 1:
                ranks.first_state()
            return folder.summary()
        return loop.run(
            built.task, folder, steps=settings.steps, log_every=settings.log_every,
            eval_every=settings.eval_every, checkpoint_every=settings.checkpoint_every, keep_state=keep,
            views=views,
        )  # fmt: skip


@plain_dataclass
class Built:
    """A run before its folder is touched. began: when its data began to be read."""

    config: Config
    settings: Settings
    task: Any
    loggers: list[Any]
    device: Any
    began: float


def build(config: Config, settings: Settings) -> Built:
    """Make the task and the loggers of a configuration."""
    from genreg.run.build import build_each, build_task, check_nodes, choose_device
    from genreg.run.factory import find_target
    from genreg.run.logger import SafeLogger

    device, began = choose_device(settings.device), time.time()
    check_nodes(config)
    ranks.check_task(find_target(config["task"], "task"))
    task = build_task(config, device)
    ranks.check(task)
    if task.told and not settings.quiet:
        log.info(task.told)
    made = build_each(config, "logger").items()
    loggers = [SafeLogger(name, logger, settings.quiet) for name, logger in made]
    return Built(config, settings, task, loggers, device, began)


@contextmanager
def opened(
    built: Built, folder: RunFolder, over: Sequence[str], replicas: int = 1
) -> Iterator[list[Any] | None]:
    """Hold the folder, record this start in it, and yield the views of the rows; None if the run is over.

    replicas: runs that are trained as one program with it.
    """
    from genreg.run import environment

    config, settings, task = built.config, built.settings, built.task
    display = Display(settings.steps, task.progress, task.selection, settings.quiet or replicas > 1)
    with folder.lock():
        if folder.summary().get("status") in over:  # finished while the task was built
            yield None
            return
        if resumed := folder.begun:
            data.check(folder, task.checksums)
            _log_changed_code(folder)
        data.remember(config, task.checksums, built.began)
        folder.write_config(config)
        started = {**environment.describe(config, built.device, task.checksums), "resumed": resumed}
        started |= {"dataset": task.told} if task.told else {}
        started |= {"processes": ranks.size} if ranks.size > 1 else {}
        folder.add_environment(started | ({"replicas": replicas} if replicas > 1 else {}))
        for logger in built.loggers:
            logger.start(folder, config)
        try:
            with display:
                yield [display, *built.loggers]
        finally:
            for logger in built.loggers:
                logger.finish(folder.summary())


def _log_finished(config: Config, folder: RunFolder, quiet: bool) -> None:
    """Say that there is nothing to do, and where the result is not what the command would give now."""
    if found := changes(folder, config, data.Cache()):
        log.warning("finished already, with %s: --again repeats it: %s", in_words([found]), folder.path)
    elif not quiet:
        log.info("finished already: %s", folder.path)
    if found.unknown and not quiet:
        log.info("its data cannot be compared: %s", "; ".join(found.unknown))


def _log_fewer_steps(config: Config) -> None:
    """Say that a run does not go on from a finished one of another number of steps."""
    name, seed = experiment_name(config), int(config["seed"])
    for path in finished_runs(Path(config["output_dir"]), name, seed):
        found = RunFolder(path).config()
        if experiment_hash({**found, "steps": config["steps"]}) == experiment_hash(config):
            why = "--extend goes on from it" if RunFolder(path).last_state else "its optimizer was not kept"
            log.info("starts from the beginning: %s has %s steps; %s", path, found.get("steps"), why)
            return


def _log_changed_code(folder: RunFolder) -> None:
    """Say that a run goes on with other code than it began with."""
    if changed := code.changed(folder):
        message = "goes on, begun with other code of %s: --again starts from the beginning: %s"
        log.warning(message, ", ".join(changed), folder.path)
