"""A sweep from stage to stage: tune, compare, look again, until nothing is left to run."""

import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from genreg.errors import GenregError
from genreg.report.read.find import parts_of
from genreg.report.read.parts import check_reported
from genreg.run import data
from genreg.run.code import changes
from genreg.run.identity import Config
from genreg.study import record
from genreg.study.batch import check_once
from genreg.study.file import Arm, Sweep, arms_of, check_threshold
from genreg.study.job import Job, finished, merged
from genreg.study.record import advance, begin
from genreg.study.tune import Values

if TYPE_CHECKING:
    from genreg.report.judge.result import PartResult  # with scipy: only stages need it


PATIENCE = 1.0  # seconds between looks at runs that other launchers have

Compose = Callable[[list[list[str]]], list[Job]]


@dataclass(frozen=True)
class Wanted:
    """A run that a stage needs: of which arm, at which values of a trial."""

    part: str
    arm: Arm
    values: Values
    seed: int
    tuning: bool

    def __str__(self) -> str:
        values = [f"{key}={value}" for key, value in self.values.items()]
        return " ".join([f"{self.part}:", self.arm.name, *values, f"seed={self.seed}"])


class Stages:
    """The state of a sweep. command: what was typed, for sweep.json; None writes no file.

    whole: what sweep.json is to say; it is written when a stage is started, never while stages that are over
    are passed, so that a sweep that is killed at its start leaves the file as it was.
    """

    def __init__(self, name: str, sweep: Sweep, given: list[str], compose: Compose,
                 command: list[str] | None) -> None:  # fmt: skip
        self.name, self.sweep, self.given, self.compose, self.command = name, sweep, given, compose, command
        self.arms = {name: arms_of(name, part, sweep.seeds) for name, part in sweep.parts.items()}
        self.progress = {name: begin(part, self.arms[name]) for name, part in sweep.parts.items()}
        self.many = any(map(self.is_staged, sweep.parts))
        self.folder = Path()
        self.whole: record.Json = {}
        self.part_of: dict[Path, str] = {}
        self.configs: dict[tuple[str, str], Config] = {}
        self.before: dict[str, record.Json] | None = None
        self.seen: list[str] = []

    def jobs(self) -> list[Job]:
        """All that the stages so far need, seed by seed, so that early results can be compared."""
        wanted = [one for name in self.sweep.parts for one in self._wanted(name)]
        jobs = self.compose([[*merged(w.arm.at(w.values), self.given), f"seed={w.seed}"] for w in wanted])
        self.folder = Path(jobs[0].settings.output_dir)
        check_once(jobs, list(map(str, wanted)), "sweep.parts")
        self.part_of = {job.folder.path: one.part for one, job in zip(wanted, jobs, strict=True)}
        self._describe(wanted, jobs)
        self.configs = {(one.part, one.arm.name): job.config for one, job in zip(wanted, jobs, strict=True)}
        return jobs

    def check(self) -> None:
        """InputError, as of `genreg report` at the end, for a part whose arms do not report what it names."""
        from genreg.run.build import reported

        told = parts_of(self.whole, self.folder)
        for own, (name, part) in zip(told, self.sweep.parts.items(), strict=True):
            for arm in self.arms[name]:
                found = reported(self.configs[name, arm.name])
                check_reported(own, found, f"arm {arm.name}", f"sweep.parts.{name}.")
                check_threshold(f"sweep.parts.{name}", part, found)

    def advance(self) -> "list[PartResult]":
        """Look at the results and go on where there is more to do; the results of parts with stages."""
        from genreg.report.evaluate import evaluate

        staged = [part for part in self.whole["parts"] if self.is_staged(part["name"])]
        results = [evaluate(part) for part in parts_of({**self.whole, "parts": staged}, self.folder)]
        for result in results:
            name = result.part.name
            part, arms = self.sweep.parts[name], self.arms[name]
            self.progress[name] = advance(part, arms, self.progress[name], result)
        return results

    def is_staged(self, name: str) -> bool:
        return bool(self.sweep.parts[name].tune or self.sweep.parts[name].until)

    def words(self, left: Sequence[Job]) -> Iterator[str]:
        """A few words for each part on what it is about to do."""
        runs = Counter(self.part_of[job.folder.path] for job in left)
        for name, count in runs.items():
            progress = self.progress[name]
            seeds = "" if progress.winners is None else f"{max(progress.seeds.values())} seeds"
            yield f"{name}: {seeds or 'tuning'}, {count} runs"

    def _wanted(self, name: str) -> Iterator[Wanted]:
        arms, progress, tune = self.arms[name], self.progress[name], self.sweep.parts[name].tune
        for seed in tune.own_seeds if tune else ():
            for number in range(max(map(len, progress.trials.values()))):
                for arm in arms:
                    if number < len(progress.trials[arm.name]):
                        yield Wanted(name, arm, progress.trials[arm.name][number], seed, True)
        if progress.winners is not None:
            for place, seed in enumerate(arms[0].seeds):
                for arm in arms:
                    if place < progress.seeds[arm.name]:
                        yield Wanted(name, arm, progress.winners[arm.name], seed, False)

    def _describe(self, wanted: Sequence[Wanted], jobs: Sequence[Job]) -> None:
        """Make what sweep.json is to say now."""
        parts = []
        own: dict[tuple[str, str], list[tuple[Wanted, Job]]] = {}
        for one, job in zip(wanted, jobs, strict=True):
            own.setdefault((one.part, one.arm.name), []).append((one, job))
        for name, part in self.sweep.parts.items():
            made = [self._made(arm, own.get((name, arm.name), [])) for arm in self.arms[name]]
            parts.append(record.part_of(name, part, made))
        if self.before is None:
            self.before = record.read(self.folder)
            self.seen = _seen(self.before, self.folder)
        self.whole = {
            "sweep": self.name, "command": shlex.join(["genreg", "train", *(self.command or ())]),
            "question": self.sweep.question, "parts": record.with_history(parts, self.before, self.seen),
        }  # fmt: skip

    def write(self) -> None:
        if self.command is not None:
            record.write(self.folder, self.whole)

    def _made(self, arm: Arm, own: Sequence[tuple[Wanted, Job]]) -> record.Made:
        compared = [(w, job) for w, job in own if not w.tuning]
        first = own[0][0].seed if own else 0
        trials = [(w.values, self._place(job)) for w, job in own if w.tuning and w.seed == first]
        if not compared:
            return record.Made(arm, None, "", [], trials)
        words = [o for o in compared[0][1].overrides if not o.startswith("seed=")]
        command = shlex.join(["genreg", "train", *words]) + " seed=N"
        return record.Made(arm, self._place(compared[0][1]), command, [w.seed for w, _ in compared], trials)

    def _place(self, job: Job) -> str:
        return job.folder.path.parent.relative_to(self.folder).as_posix()


def _seen(before: dict[str, record.Json], folder: Path) -> list[str]:
    """The parts of which results could be seen: a run of the comparison has finished."""
    try:
        parts = parts_of({"parts": list(before.values())}, folder)
    except (GenregError, ValueError, KeyError, TypeError, AttributeError):  # it is written anew
        return []
    return [part.name for part in parts if any(run.status == "done" for run in part.runs())]


def run_stages(
    stages: Stages, start: Callable[[list[Job], bool], None], retry_failed: bool, again: bool, dry_run: bool
) -> None:
    """Run stage after stage, and say what came of it.

    start: runs jobs, of which it is told whether they are all. Runs that another launcher has are waited for
    where a later stage needs them. dry_run: no further than the first stage that is not over.
    """
    tried: set[Path] = set()
    while True:
        jobs, cache = stages.jobs(), data.Cache() if again else None
        left = [job for job in jobs if job.folder.path not in tried and not _over(job, retry_failed, cache)]
        if left and not tried and not dry_run:  # with torch, which an answer alone must not cost
            stages.check()
        if not stages.many or (left and dry_run):
            stages.write()
            start(jobs, True)
            return
        quiet = all(job.settings.quiet for job in jobs)
        if left:
            if not quiet:
                print("; ".join(stages.words(left)), flush=True)
            stages.write()
            start(left, False)
            tried |= {job.folder.path for job in left if finished(job)}
            if any(not finished(job) for job in left):
                time.sleep(PATIENCE)
            continue
        before = dict(stages.progress)
        results = stages.advance()
        if stages.progress == before:
            for line in () if quiet else conclusions(results):
                print(line, flush=True)
            stages.write()
            start(jobs, True)
            return


def conclusions(results: "Sequence[PartResult]") -> Iterator[str]:
    """The verdicts of parts that were tuned or had seeds added, a line each."""
    for result in results:
        for arm in result.arms:
            if arm.verdict:
                pairs = arm.comparison.pairs if arm.comparison else 0
                against = f"{arm.arm.name} against {result.part.baseline}"
                yield f"{result.part.name}: {against}: {arm.verdict} after {pairs} pairs"


def _over(job: Job, retry_failed: bool, cache: data.Cache | None) -> bool:
    """True if nothing is left to do. cache: given where finished runs of other code or data are repeated."""
    outcome = finished(job)
    if outcome is None or (outcome.status == "failed" and retry_failed):
        return False
    return not (cache and outcome.status == "done" and changes(job.folder, job.config, cache))
