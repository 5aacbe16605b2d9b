"""One run of many: its overrides, its configuration, and how it ended."""

import logging
import logging.config
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Self

from genreg.errors import NO_SUCH_KEY, FolderInUseError, GenregError, InputError, explained, report
from genreg.run import ranks
from genreg.run.folder import Row, RunFolder
from genreg.run.identity import Config, experiment_name, run_path
from genreg.run.train import Settings, train

log = logging.getLogger("genreg")

PATIENCE = 1.0  # seconds between looks at a folder in use

Status = Literal["done", "failed", "broken", "interrupted", "in use"]
LOST = ("failed", "broken")  # by the method, by the machine


@dataclass(frozen=True)
class ProcessSettings:
    """Settings of the process that runs a job.

    variables: of the environment. log: for `dictConfig`; empty: no change. verbose: loggers at level DEBUG.
    """

    variables: dict[str, str] = field(default_factory=dict)
    log: dict[str, Any] = field(default_factory=dict)
    verbose: list[str] = field(default_factory=list)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Set the log up for good, and the variables for as long as this context lasts."""
        if self.log:
            try:
                logging.config.dictConfig(self.log)
            except ValueError as error:
                raise InputError("hydra.job_logging", "a logging configuration", str(error)) from error
        for name in self.verbose:
            logging.getLogger(name).setLevel(logging.DEBUG)
        with environment(**self.variables):
            yield


@contextmanager
def environment(**values: str | None) -> Iterator[None]:
    """Set environment variables, also for processes started inside; None leaves one as it is."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update({name: value for name, value in values.items() if value is not None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@dataclass(frozen=True)
class Job:
    """One run of many.

    overrides: the arguments of `genreg train` that make it alone. need: a job to be done before it.
    hydra: the launcher and the sweeper that its files choose.
    """

    overrides: list[str]
    config: Config
    process: ProcessSettings = field(default_factory=ProcessSettings)
    need: Self | None = None
    hydra: dict[str, dict[str, Any]] = field(default_factory=dict)

    @cached_property
    def settings(self) -> Settings:
        """The scalars of its configuration; InputError for a bad one."""
        return Settings.of(self.config)

    @cached_property
    def folder(self) -> RunFolder:
        return RunFolder(run_path(self.config))

    @property
    def command(self) -> str:
        return shlex.join(["genreg", "train", *self.overrides])


@dataclass(frozen=True)
class Outcome:
    """The end of a job. exit_code: that of `genreg train`. summary: that of its folder."""

    status: Status
    reason: str = ""
    exit_code: int = 0
    summary: Row = field(default_factory=dict)


def run(job: Job, retry_failed: bool) -> Outcome:
    """Run one job in this process and return how it ended; it raises nothing."""
    sys.argv = ["genreg", *job.overrides]  # what environment.json records
    try:
        with job.process.entered():
            train_needed(job)
            return outcome(train(job.config, in_sweep=True, retry_failed=retry_failed))
    except KeyboardInterrupt as error:  # it may have come after the last step
        return finished(job) or outcome(error)
    except Exception as error:
        return outcome(error)


def run_together(jobs: Sequence[Job], retry_failed: bool, turn: Callable[[Job], None]) -> list[Outcome]:
    """Run jobs in this process as one tensor program, and return how each ended; it raises nothing.

    turn: called with a job before something is done, and may be printed, for it alone. Where the program
    itself fails, as from lack of memory, both halves go on from their checkpoints, in the end each job alone:
    so the failure is recorded of the job that causes it. Jobs that have no common program run alone.
    """
    if len(jobs) == 1:
        turn(jobs[0])
        return [run(jobs[0], retry_failed)]
    from genreg.run.together import train_together  # with torch, which a finished job does without

    def begin(number: int) -> None:
        turn(jobs[number])
        sys.argv = ["genreg", *jobs[number].overrides]

    try:
        with jobs[0].process.entered():
            for number, job in enumerate(jobs):
                begin(number)
                train_needed(job)
            over = ("done",) if retry_failed else ("done", "failed")
            return [outcome(end) for end in train_together([job.config for job in jobs], over, begin)]
    except KeyboardInterrupt as error:
        return [finished(job) or outcome(error) for job in jobs]
    except Exception as error:
        from genreg.model.stacked import Unstackable

        size = 1 if isinstance(error, Unstackable) else -(-len(jobs) // 2)
        log.info("%s jobs go on in groups of %s: %s", len(jobs), size, str(error).partition("\n")[0])
    parts = (jobs[start : start + size] for start in range(0, len(jobs), size))
    return [end for part in parts for end in run_together(part, retry_failed, turn)]


def outcome(end: Row | BaseException) -> Outcome:
    """The outcome of a job, by the summary of its folder or by what was raised, which is reported."""
    if isinstance(end, FolderInUseError):
        return Outcome("in use", str(end))
    if isinstance(end, Exception):
        failure = explained(end)
        with suppress(OSError):  # a full disk, on which job.log lies
            report(failure)
        return Outcome("broken" if failure.of_machine else "failed", str(failure), failure.exit_code)
    if isinstance(end, BaseException):
        return Outcome("interrupted", str(end) or "stopped before its first step", 130)
    if end["status"] == "failed":
        return Outcome("failed", end.get("reason", "unknown"), 1, end)
    return Outcome("done", summary=end)


def train_needed(job: Job) -> None:
    """Train the run that a job needs, once: of several processes one trains it, and the others wait."""
    need = job.need
    if need is None or job.folder.summary().get("status") == "done":
        return
    if ranks.size > 1:
        expected = f"a finished run that it needs, which one process trains: {need.command}"
        raise InputError(experiment_name(job.config), expected)
    log.info("%s is needed first: %s", experiment_name(need.config), need.command)
    command, sys.argv = sys.argv, ["genreg", *need.overrides]  # what environment.json records
    try:
        while need.folder.summary().get("status") != "done":
            try:
                train(need.config, in_sweep=True)
            except FolderInUseError:  # the lock of its folder decides which process trains it
                time.sleep(PATIENCE)
    finally:
        sys.argv = command


def finished(job: Job) -> Outcome | None:
    """The outcome of a job that is over by its folder, or None; a failed run is over, a broken one is not."""
    summary = job.folder.summary()
    if summary.get("status") == "done":
        return Outcome("done", summary=summary)
    if summary.get("status") == "failed":
        return Outcome("failed", summary.get("reason", "unknown"), 1, summary)
    return None


def key(override: str) -> str:
    """The key that an override sets: `a.b` of `++a.b=3`, `optimizer@other` of `optimizer@other=adam`."""
    return override.partition("=")[0].lstrip("+~")


def group(override: str) -> str:
    """The group that an override chooses from: `optimizer` of `optimizer@other=adam`."""
    return key(override).partition("@")[0]


def value(override: str) -> str:
    """The text behind the first `=`, quotes and all."""
    return override.partition("=")[2]


def of_hydra(override: str) -> bool:
    """True for an override of Hydra's own keys, which change no run."""
    return key(override).startswith(("hydra.", "hydra/"))


def of_another_option(error: GenregError, overrides: Iterable[str]) -> GenregError:
    """The error of a key that nobody typed, with its remedy: an experiment sets it for its own option."""
    typed = list(map(key, overrides))
    if not isinstance(error, InputError) or error.expected != NO_SUCH_KEY:
        return error
    if error.key in typed or "experiment" not in typed:
        return error
    remedy = f"{NO_SUCH_KEY} of this option (the experiment sets it for its own: '~{error.key}' takes it out)"
    return InputError(error.key, remedy, error.got)


def merged(overrides: list[str], given: list[str]) -> list[str]:
    """Both lists in one: of several overrides with one key the last counts."""
    return list({key(override): override for override in [*overrides, *given]}.values())


def as_overrides(values: Row) -> list[str]:
    """Values by their keys, as they are typed."""
    return [f"{key}={as_typed(value)}" for key, value in values.items()]


def as_typed(value: Any) -> str:
    """A value as an override on the command line."""
    if isinstance(value, list):
        return f"[{','.join(map(as_typed, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = str(value)
    return text if re.fullmatch(r"[\w./+-]*", text) else f"'{text}'"
