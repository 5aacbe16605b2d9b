"""Many jobs: run those that are left, by a launcher, and say how each ended."""

import re
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol, runtime_checkable

from genreg.errors import FolderInUseError, GenregError, InputError, Interrupted, report
from genreg.run import data
from genreg.run.code import Changes, changes, in_words
from genreg.run.factory import factory
from genreg.run.identity import same_run
from genreg.study.job import LOST, Job, Outcome, finished
from genreg.study.table import Table, clock

Run = Callable[[list[Job], Table], Sequence[Outcome | None]]
"""`Launcher.run`, or what stands in for it with a launcher that composes each job for itself."""


@runtime_checkable
class Launcher(Protocol):
    """Starts jobs somewhere: `hydra/launcher=NAME`, whose class is the `_target_` of its YAML.

    Hydra wants that class in a module below `hydra_plugins`, and one that inherits from `GenregLauncher`
    there. `run_batch` obeys `retry_failed` and `keep_going` of its YAML. A launcher of Hydra that is not of
    this kind is given the overrides of each job, and composes it again.
    """

    def run(self, jobs: list[Job], table: Table) -> Sequence[Outcome | None]:
        """Run jobs that are left and return the outcome of each, None where it was not started.

        Each start and end is said to the table. Ctrl-C stops jobs that cannot go on without the launcher.
        """

    def workers(self, jobs: list[Job]) -> int:
        """Return how many of these jobs run at once, for the time that a dry run expects."""

    def remarks(self, jobs: list[Job]) -> list[str]:
        """Return lines for a dry run on how these jobs would be run."""


SHOWN = 5  # first commands of a dry run
COMMANDS = 3  # of jobs that failed for one reason


class SweepFailedError(GenregError):
    """Jobs failed or are broken, and were listed. outcomes: of all jobs, if any was run."""

    def __init__(self, message: str, exit_code: int, outcomes: Sequence[Outcome | None] = ()) -> None:
        super().__init__(message)
        self.exit_code, self.outcomes = exit_code, outcomes


def run_batch(
    jobs: list[Job],
    run: Run,
    *,
    retry_failed: bool,
    keep_going: bool,
    again: bool = False,
    whole: bool = True,
) -> list[Outcome | None]:
    """Run the jobs that are not over, by `run`, and print how all of them ended.

    again: set runs of other code or data aside, and make them anew. whole: these are all jobs of the sweep;
    of a stage only failures are printed.

    Raises SweepFailedError if any job has failed, now or before, or is broken, and Interrupted if Ctrl-C
    stopped it.
    """
    outcomes = ended(jobs, retry_failed)
    for job, outcome in zip(jobs, outcomes, strict=True):
        if outcome and outcome.status == "done":
            job.folder.drop_checkpoints()
    changed = _changed(jobs, outcomes)
    if again:
        changed = _set_aside(jobs, outcomes, changed)
    left = [number for number, outcome in enumerate(outcomes) if outcome is None]
    quiet = not whole or all(job.settings.quiet for job in jobs)
    if not quiet:
        print(_counts(jobs, outcomes, changed), flush=True)
    if left:
        _prepare_loggers([jobs[number] for number in left])
        table = Table(jobs, outcomes)
        for number, outcome in zip(left, run([jobs[number] for number in left], table), strict=True):
            outcomes[number] = outcome
    _conclude(jobs, outcomes, set(left), keep_going, quiet)
    return outcomes


def _prepare_loggers(jobs: list[Job]) -> None:
    """Let each logger find out once what all jobs would wait for, and say so."""
    nodes = {(name, repr(node)): node for job in jobs for name, node in job.config["logger"].items()}
    for (name, _), node in nodes.items():
        with suppress(Exception):  # of each run it is a warning, or the error that says what is wrong
            if line := factory(node, f"logger.{name}")().prepare():
                print(f"logger.{name}: {line}", file=sys.stderr, flush=True)


def ended(jobs: list[Job], retry_failed: bool) -> list[Outcome | None]:
    """The outcome of each job that is over, else None; InputError if two jobs are the same run."""
    check_once(jobs, [" ".join(job.overrides) for job in jobs])
    if not jobs:
        raise InputError("sweep", "at least one job")
    found = [finished(job) for job in jobs]
    return [None if o and o.status == "failed" and retry_failed else o for o in found]


def check_once(jobs: Sequence[Job], words: Sequence[str], key: str = "sweep") -> None:
    """InputError if two jobs are the same run, however they were typed. words: a name of each job."""
    first: dict[object, int] = {}
    for number, job in enumerate(jobs):
        same = first.setdefault(same_run(job.config), number)
        if same != number:
            raise InputError(key, "no run twice", _both(words[same], words[number]))


def _both(one: str, other: str) -> str:
    """Two lists of overrides; where they are the same, once."""
    return f"twice {one}" if one == other else f"{one} and {other}"


def dry_run(jobs: list[Job], launcher: Launcher | None, retry_failed: bool) -> None:
    """Print the numbers of jobs and of finished ones, the time that the others may take, and the first few.

    launcher: one of genreg's; asked only where jobs are left, since it may import torch.
    """
    outcomes = ended(jobs, retry_failed)
    left = [job for job, outcome in zip(jobs, outcomes, strict=True) if outcome is None]
    print(_counts(jobs, outcomes, _changed(jobs, outcomes)))
    if left:
        print(_estimate(jobs, outcomes, launcher.workers if launcher else lambda _jobs: 1))
        remarks = launcher.remarks(left) if launcher else []
        print(*remarks, *(f"  {job.command}" for job in left[:SHOWN]), sep="\n")
    if len(left) > SHOWN:
        print(f"  ... {len(left) - SHOWN} more")


def _counts(jobs: list[Job], outcomes: list[Outcome | None], changed: dict[int, Changes]) -> str:
    status = [outcome.status if outcome else "left" for outcome in outcomes]
    failed = status.count("failed")
    again = f", {failed} failed (hydra.launcher.retry_failed=true runs them again)" if failed else ""
    broken = sum(not o and job.folder.summary().get("status") == "broken"
                 for job, o in zip(jobs, outcomes, strict=True))  # fmt: skip
    left = f"{status.count('left')} to run" + (f" ({broken} were broken)" if broken else "")
    lines = [f"{len(jobs)} jobs: {status.count('done')} finished{again}, {left}"]
    for kind, what in (("done", "finished with {}: --again repeats them"),
                       ("left", "begun with {}, and go no further: --again makes them anew")):  # fmt: skip
        found = [one for number, one in changed.items() if status[number] == kind]
        lines += [f"{len(found)} {what.format(in_words(found))}"] if found else []
    return "\n".join(lines)


def _changed(jobs: list[Job], outcomes: list[Outcome | None]) -> dict[int, Changes]:
    """The changes since each finished job ran, by its number, and in the data of unfinished ones."""
    cache, found = data.Cache(), {}
    for number, (job, outcome) in enumerate(zip(jobs, outcomes, strict=True)):
        if (outcome and outcome.status == "done") or (not outcome and job.folder.begun):
            found[number] = changes(job.folder, job.config, cache, begun=not outcome)
    return {number: one for number, one in found.items() if one}


def _set_aside(
    jobs: list[Job], outcomes: list[Outcome | None], changed: dict[int, Changes]
) -> dict[int, Changes]:
    """Set the folders of changed jobs aside, to be run anew; returns those that another process holds."""
    held = {}
    for number, found in changed.items():
        try:
            jobs[number].folder.set_aside()
            outcomes[number] = None
        except FolderInUseError:
            held[number] = found
    return held


def _estimate(jobs: list[Job], outcomes: list[Outcome | None], workers: Callable[[list[Job]], int]) -> str:
    """The time left in words, by the mean seconds of finished jobs of an arm, or of all where it has none."""
    took: dict[object, list[float]] = {}
    for job, outcome in zip(jobs, outcomes, strict=True):
        if outcome and outcome.status == "done":
            for key in (job.folder.path.parent, "all"):
                took.setdefault(key, []).append(outcome.summary["seconds"])
    if not took:
        return "estimated time: unknown until a job has finished"
    means = {key: sum(seconds) / len(seconds) for key, seconds in took.items()}
    left = [job for job, outcome in zip(jobs, outcomes, strict=True) if outcome is None]
    total = sum(means.get(job.folder.path.parent, means["all"]) for job in left)
    once = workers(left)
    return f"estimated time: {clock(total / once)} with {once} at once, from {len(took['all'])} finished"


def _conclude(
    jobs: list[Job], outcomes: list[Outcome | None], ran: set[int], keep_going: bool, quiet: bool
) -> None:
    """Print what is not done and the next command; raises the error that decides the exit code."""
    failed = {n: o for n, o in enumerate(outcomes) if o and o.status in LOST}
    elsewhere = sum(bool(outcome and outcome.status == "in use") for outcome in outcomes)
    stopped = sum(outcome is None or outcome.status == "interrupted" for outcome in outcomes)
    _print_failures(jobs, failed, ran)
    if elsewhere and not quiet:
        print(f"{elsewhere} jobs were passed over: another process runs them")
    if stopped and (keep_going or not failed):
        raise Interrupted(f"interrupted: {stopped} of {len(jobs)} jobs are left; the same command goes on")
    error = None
    if failed:
        code = 2 if all(outcome.exit_code == 2 for outcome in failed.values()) else 1
        error = SweepFailedError(_lost(list(failed.values()), len(jobs), stopped), code, outcomes)
        report(error)
    if not quiet and any(outcome and outcome.status == "done" for outcome in outcomes):
        folders = dict.fromkeys(job.settings.output_dir for job in jobs)
        print(f"next: {shlex.join(['genreg', 'report', *folders])}", flush=True)
    if error:
        raise error


def _lost(lost: Sequence[Outcome], jobs: int, left: int) -> str:
    """`2 of 8 jobs failed, 1 is left`; of broken ones, that the same command tries them again."""
    broken = sum(outcome.status == "broken" for outcome in lost)
    words = [f"{len(lost) - broken} of {jobs} jobs failed"] if len(lost) > broken else []
    if broken:
        again = "the same command tries them again"
        words.append(f"{broken} of {jobs} jobs are broken, by the machine and not the method: {again}")
    return "; ".join(words) + (f", {left} are left" if left else "")


def _print_failures(jobs: list[Job], failed: dict[int, Outcome], ran: set[int]) -> None:
    """Print each reason once, with its count and the commands of the first jobs that failed for it."""
    alike: dict[tuple[str, bool], list[int]] = {}
    for number, outcome in failed.items():
        reason = re.sub(r" at step \d+", "", outcome.reason)
        alike.setdefault((reason, number in ran), []).append(number)
    for (_, now), numbers in alike.items():
        notes = [f"{len(numbers)} jobs"] if len(numbers) > 1 else []
        notes += [] if now else ["failed before, not run again"]
        said = f" ({', '.join(notes)})" if notes else ""
        print(f"genreg: {failed[numbers[0]].reason}{said}", file=sys.stderr)
        for number in numbers[:COMMANDS]:
            print(f"  {jobs[number].command}", file=sys.stderr)
        if len(numbers) > COMMANDS:
            print(f"  ... {len(numbers) - COMMANDS} more", file=sys.stderr)
    sys.stderr.flush()
