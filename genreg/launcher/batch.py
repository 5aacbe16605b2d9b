"""Jobs as a whole: which are over, which are left, what became of them."""

import sys
from collections.abc import Callable, Sequence

from genreg.errors import GenregError, InputError, Interrupted
from genreg.launcher.job import Job, Outcome, finished
from genreg.launcher.table import Table, clock
from genreg.run.code import changed
from genreg.run.identity import same_run

Run = Callable[[list[Job], Table], Sequence[Outcome | None]]
"""What a launcher does: the outcome of each job, None where it was not started."""

SHOWN = 5  # first commands of a dry run


class SweepFailedError(GenregError):
    """Jobs failed, and were listed."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def run_batch(
    jobs: list[Job], run: Run, *, retry_failed: bool, keep_going: bool, again: bool = False
) -> list[Outcome | None]:
    """Run what is not over yet, and tell what became of all.

    again: set finished runs of other code aside, and run them too.

    Raises SweepFailedError if any job has failed, now or before, and Interrupted if Ctrl-C stopped it.
    """
    outcomes = look(jobs, retry_failed)
    for job, outcome in zip(jobs, outcomes, strict=True):
        if outcome and outcome.status == "done":
            job.folder.drop_checkpoints()
    for number in _of_other_code(jobs, outcomes) if again else ():
        jobs[number].folder.set_aside()
        outcomes[number] = None
    left = [number for number, outcome in enumerate(outcomes) if outcome is None]
    quiet = all(job.settings.quiet for job in jobs)
    if not quiet:
        print(_counts(jobs, outcomes), flush=True)
    if left:
        table = Table(jobs, outcomes)
        for number, outcome in zip(left, run([jobs[number] for number in left], table), strict=True):
            outcomes[number] = outcome
    _conclude(jobs, outcomes, set(left), keep_going, quiet)
    return outcomes


def look(jobs: list[Job], retry_failed: bool) -> list[Outcome | None]:
    """The outcome of each job that is over; InputError if two jobs are the same run."""
    first: dict[object, Job] = {}
    for job in jobs:
        other = first.setdefault(same_run(job.config), job)
        if other is not job:
            raise InputError(
                "sweep", "no run twice", f"{' '.join(other.overrides)} and {' '.join(job.overrides)}"
            )
    if not jobs:
        raise InputError("sweep", "at least one job")
    found = [finished(job) for job in jobs]
    return [None if o and o.status == "failed" and retry_failed else o for o in found]


def dry_run(jobs: list[Job], workers: int, retry_failed: bool) -> None:
    """Print how many jobs there are, how many are over, how long the others may take, and the first."""
    outcomes = look(jobs, retry_failed)
    left = [job for job, outcome in zip(jobs, outcomes, strict=True) if outcome is None]
    print(_counts(jobs, outcomes))
    if left:
        print(_estimate(jobs, outcomes, workers))
        print(*(f"  {job.command}" for job in left[:SHOWN]), sep="\n")
    if len(left) > SHOWN:
        print(f"  ... {len(left) - SHOWN} more")


def _counts(jobs: list[Job], outcomes: list[Outcome | None]) -> str:
    status = [outcome.status if outcome else "left" for outcome in outcomes]
    failed = status.count("failed")
    again = f", {failed} failed (hydra.launcher.retry_failed=true runs them again)" if failed else ""
    counts = f"{len(jobs)} jobs: {status.count('done')} finished{again}, {status.count('left')} to run"
    other = _of_other_code(jobs, outcomes)
    if not other:
        return counts
    parts = ", ".join(dict.fromkeys(part for parts in other.values() for part in parts))
    return f"{counts}\n{len(other)} finished with other code of {parts}: --again repeats them"


def _of_other_code(jobs: list[Job], outcomes: list[Outcome | None]) -> dict[int, list[str]]:
    """What has changed since each finished job ran, by its number."""
    done = [number for number, outcome in enumerate(outcomes) if outcome and outcome.status == "done"]
    return {number: other for number in done if (other := changed(jobs[number].folder))}


def _estimate(jobs: list[Job], outcomes: list[Outcome | None], workers: int) -> str:
    """From the mean seconds of finished jobs of one arm, or of all where an arm has none."""
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
    return (
        f"estimated time: {clock(total / workers)} with {workers} at once, from {len(took['all'])} finished"
    )


def _conclude(
    jobs: list[Job], outcomes: list[Outcome | None], ran: set[int], keep_going: bool, quiet: bool
) -> None:
    """Tell what is not done; raise what the exit code follows from."""
    pairs = [(number, jobs[number], outcome) for number, outcome in enumerate(outcomes)]
    failed = [
        (number, job, outcome) for number, job, outcome in pairs if outcome and outcome.status == "failed"
    ]
    elsewhere = sum(bool(outcome and outcome.status == "in use") for outcome in outcomes)
    stopped = sum(outcome is None or outcome.status == "interrupted" for outcome in outcomes)
    for number, job, outcome in failed:
        before = "" if number in ran else " (failed before, not run again)"
        print(f"genreg: {outcome.reason}{before}\n  {job.command}", file=sys.stderr, flush=True)
    if elsewhere and not quiet:
        print(f"{elsewhere} jobs were passed over: another process runs them")
    if stopped and (keep_going or not failed):
        raise Interrupted(f"interrupted: {stopped} of {len(jobs)} jobs are left; the same command goes on")
    if failed:
        code = 2 if all(outcome.exit_code == 2 for _, _, outcome in failed) else 1
        left = f", {stopped} are left" if stopped else ""
        raise SweepFailedError(f"{len(failed)} of {len(jobs)} jobs failed{left}", code)
