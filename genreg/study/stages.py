"""A study from stage to stage: tune, compare, look again, until nothing is left to run."""

import logging
import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from genreg.errors import GenregError, MachineError
from genreg.run import data
from genreg.run.code import changes
from genreg.run.folder import printable
from genreg.run.identity import Config
from genreg.study import record
from genreg.study.batch import check_once
from genreg.study.check import check_reported, check_threshold
from genreg.study.file import SweepFile, study_of
from genreg.study.job import LOST, Job, finished, merged
from genreg.study.model import Part
from genreg.study.planned import advance, begin, counted, place, planned

log = logging.getLogger("genreg")

PATIENCE = 1.0  # seconds between looks at runs that other launchers have

Compose = Callable[[list[list[str]]], list[Job]]

Judge = Callable[[list[Part]], list[Any]]
"""From parts with their runs to tables: `report.evaluate.evaluate_all`, which is a room above this one."""


def run_stages(
    stages: "Stages", start: Callable[[list[Job], bool], None], retry_failed: bool, again: bool, dry_run: bool
) -> None:
    """Run stage after stage, and say what came of it.

    start: writes sweep.json and runs jobs, of which it is told whether they are all. Runs that another
    launcher has are waited for where a later stage needs them. dry_run: no further than the first stage that
    is not over.
    """
    tried: set[Path] = set()
    while True:
        jobs, cache = stages.jobs(), data.Cache() if again else None
        left = [job for job in jobs if job.folder.path not in tried and not _over(job, retry_failed, cache)]
        if left and not tried and not dry_run:  # with torch, which an answer alone must not cost
            stages.check()
        if not stages.many or (left and dry_run):
            start(jobs, True)
            return
        quiet = all(job.settings.quiet for job in jobs)
        if left:
            if not quiet:
                print("; ".join(stages.words(left)), flush=True)
            start(left, False)
            tried |= {job.folder.path for job in left if finished(job)}
            if any(not finished(job) for job in left):
                time.sleep(PATIENCE)
            continue
        results, more = stages.advance()
        if not more:
            for line in () if quiet else conclusions(results):
                print(line, flush=True)
            start(jobs, True)
            return


class Stages:
    """A study on its way. command: what was typed, for sweep.json; None writes no file.

    sweep.json is written when a stage is started, never while stages that are over are passed, so that a
    sweep that is killed at its start leaves the file as it was.
    """

    def __init__(self, name: str, sweep: SweepFile, given: list[str], compose: Compose,
                 command: list[str] | None, judge: Judge) -> None:  # fmt: skip
        self.sweep, self.given, self.compose, self.judge = sweep, given, compose, judge
        self.study = study_of(name, sweep, shlex.join(["genreg", "train", *(command or ())]))
        self.writes = command is not None
        for part in self.study.parts:
            begin(part, sweep.parts[part.name])
        self.many = any(map(self.is_staged, self.study.parts))
        self.part_of: dict[Path, str] = {}
        self.configs: dict[tuple[str, str], Config] = {}
        self.before: dict[str, Part] | None = None

    def jobs(self) -> list[Job]:
        """All that the stages so far need, seed by seed, so that early results can be compared."""
        runs = [run for part in self.study.parts for run in planned(part)]
        given = [merged([*run.arm.overrides, *run.values], self.given) for run in runs]
        jobs = self.compose([[*own, f"seed={run.seed}"] for own, run in zip(given, runs, strict=True)])
        check_once(jobs, list(map(str, runs)), "sweep.parts")
        self.study.root = Path(jobs[0].settings.output_dir)
        for run, job in zip(runs, jobs, strict=True):
            place(run, job)
            self.part_of[job.folder.path] = run.part.name
            self.configs[run.part.name, run.arm.name] = job.config
        if self.before is None:
            self.before = record.seen_before(self.study.root)
        for part in self.study.parts:
            if part.name in self.before:
                record.mark_changes(part, self.before[part.name])
        return jobs

    def check(self) -> None:
        """InputError, as of `genreg report` at the end, for a part whose arms do not report what it names."""
        from genreg.run.build import reported

        for part in self.study.parts:
            for arm in part.arms:
                found = reported(self.configs[part.name, arm.name])
                check_reported(part, found, f"arm {arm.name}", f"sweep.parts.{part.name}.")
                check_threshold(f"sweep.parts.{part.name}", part, found)

    def advance(self) -> tuple[list[Any], bool]:
        """Judge the parts with stages and plan what comes next: their tables, and if there is more to do."""
        staged = [part for part in self.study.parts if self.is_staged(part)]
        found = [part.with_runs() for part in staged]
        for run in (run for part in found for arm in part.arms for run in (*arm.runs.values(), *arm.tried)):
            if run.status not in ("done", *LOST):  # all were over: without it something else would be decided
                raise MachineError(f"{run.path} cannot be read ({run.status}): the same command goes on")
        results = self.judge(found)
        more = [advance(part, self.sweep.parts[part.name], found)
                for part, found in zip(staged, results, strict=True)]  # fmt: skip
        return results, any(more)

    def is_staged(self, part: Part) -> bool:
        given = self.sweep.parts[part.name]
        return bool(given.tune or given.until)

    def words(self, left: Sequence[Job]) -> Iterator[str]:
        """A few words for each part on what it is about to do."""
        counts = Counter(self.part_of[job.folder.path] for job in left)
        for part in (part for part in self.study.parts if part.name in counts):
            many = max(counted(part, arm) for arm in part.arms)
            tuning = any(one.winner is None for arm in part.arms for one in arm.studies)
            stage = f"{many} {part.unit_plural}{', tuning' if tuning else ''}" if many else "tuning"
            yield f"{part.name}: {stage}, {counts[part.name]} runs"

    def write(self, jobs: Sequence[Job]) -> None:
        """Write sweep.json before jobs are run; where all are over, to fail is worth a warning."""
        try:
            if self.writes:
                record.write(self.study)
        except GenregError as error:
            if not all(map(finished, jobs)):
                raise
            log.warning("sweep.json is not written: %s", error)


def conclusions(results: Sequence[Any]) -> Iterator[str]:
    """The verdicts of parts that were tuned or had seeds added, a line each."""
    for result in results:
        for arm in result.arms:
            if arm.verdict:
                pairs = arm.comparison.pairs if arm.comparison else 0
                against = f"{arm.arm.name} against {result.part.baseline}"
                of = "studies, of the methods as tuned" if result.part.fresh else "pairs"
                yield printable(f"{result.part.name}: {against}: {arm.judgement} after {pairs} {of}")


def _over(job: Job, retry_failed: bool, cache: data.Cache | None) -> bool:
    """True if nothing is left to do. cache: given where finished runs of other code or data are repeated."""
    outcome = finished(job)
    if outcome is None or (outcome.status == "failed" and retry_failed):
        return False
    return not (cache and outcome.status == "done" and changes(job.folder, job.config, cache))
