"""One run of many: its configuration, its command, what became of it."""

import shlex
import sys
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from genreg.errors import FolderInUseError, explained, report
from genreg.launcher.surroundings import Surroundings
from genreg.run.folder import Row, RunFolder
from genreg.run.identity import Config, run_path
from genreg.run.settings import Settings
from genreg.run.train import train

Status = Literal["done", "failed", "interrupted", "in use"]


@dataclass(frozen=True)
class Job:
    """overrides: what `genreg train` takes to make this run alone.

    hydra: the launcher and the sweeper that its files ask for.
    """

    overrides: list[str]
    config: Config
    surroundings: Surroundings = field(default_factory=Surroundings)
    hydra: dict[str, dict[str, Any]] = field(default_factory=dict)

    @cached_property
    def settings(self) -> Settings:
        """InputError for a bad one."""
        return Settings.of(self.config)

    @property
    def folder(self) -> RunFolder:
        return RunFolder(run_path(self.config))

    @property
    def command(self) -> str:
        return shlex.join(["genreg", "train", *self.overrides])


@dataclass(frozen=True)
class Outcome:
    """How a job ended. exit_code: what `genreg train` answers to it. summary: that of its folder."""

    status: Status
    reason: str = ""
    exit_code: int = 0
    summary: Row = field(default_factory=dict)


def finished(job: Job) -> Outcome | None:
    """What the folder says of a job that is over, or None; a failed run is over."""
    summary = job.folder.summary()
    if summary.get("status") == "done":
        return Outcome("done", summary=summary)
    if summary.get("status") == "failed":
        return Outcome("failed", summary.get("reason", "unknown"), 1, summary)
    return None


def run(job: Job, retry_failed: bool) -> Outcome:
    """Run one job in this process; whatever goes wrong is its outcome."""
    sys.argv = ["genreg", *job.overrides]  # what environment.json records
    try:
        with job.surroundings.entered():
            summary = train(job.config, in_sweep=True, retry_failed=retry_failed)
    except KeyboardInterrupt as error:
        return Outcome("interrupted", str(error) or "stopped before its first step", 130)
    except FolderInUseError as error:
        return Outcome("in use", str(error))
    except Exception as error:
        failure = explained(error)
        report(failure)
        return Outcome("failed", str(failure), failure.exit_code)
    if summary["status"] == "failed":
        return Outcome("failed", summary.get("reason", "unknown"), 1, summary)
    return Outcome("done", summary=summary)
