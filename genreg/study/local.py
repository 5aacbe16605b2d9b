"""Jobs as processes of this machine."""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass as plain_dataclass
from importlib import import_module
from inspect import unwrap
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Literal

from pydantic.dataclasses import dataclass

from genreg.errors import unwritable
from genreg.parameters import STRICT, Count
from genreg.study.groups import grouped
from genreg.study.job import LOST, Job, Outcome, Status, environment, run_together
from genreg.study.table import Table

LOG = "job.log"  # what a job prints, in its run folder
DEATHS = 3  # a job whose worker was ended so often is given up


@dataclass(config=STRICT, kw_only=True)
class Options:
    """hydra/launcher/local.yaml says what each means."""

    workers: Count | Literal["auto"] = "auto"
    threads: Count = 1
    jobs_per_gpu: Count = 1
    replicas: Count | Literal["auto"] = "auto"
    keep_going: bool = True
    retry_failed: bool = False


@plain_dataclass
class Worker:
    """A process that takes jobs from `pipe`. jobs: the numbers of those it has. gpu: the one it sees."""

    process: BaseProcess
    pipe: Connection
    gpu: str | None
    jobs: Sequence[int] = ()


class Pool:
    """Gives jobs to workers and replaces workers that die."""

    def __init__(self, jobs: Sequence[Job], options: Options, table: Table) -> None:
        self.jobs, self.options, self.table = jobs, options, table
        self.waiting: deque[Sequence[int]] = deque()  # what a worker takes at a time: a group of jobs, or one
        self.deaths = [0] * len(jobs)
        self.outcomes: list[Outcome | None] = [None] * len(jobs)
        self.workers: list[Worker] = []
        self.stopping = False

    def run(self) -> list[Outcome | None]:
        """Run all jobs and return the outcome of each, None where it was not started.

        Ctrl-C lets running jobs save and end; a second one kills them.
        """
        from genreg.run.loop import stop_signals

        gpus = slots(self.jobs, self.options)
        self.waiting.extend(grouped(self.jobs, self.options.replicas, len(gpus)))
        # A fork shares what this process has imported, and starts in milliseconds; but a process that was
        # forked cannot use CUDA where the parent has, and CUDA_VISIBLE_DEVICES is read once.
        context = "spawn" if gpus and uses_cuda(self.jobs) else "fork"
        if context == "fork":
            preload(self.jobs)
        try:
            with stop_signals() as received, self.table:
                for gpu in gpus:
                    self._start(gpu, context)
                while busy := [worker for worker in self.workers if worker.jobs]:
                    for pipe in wait([worker.pipe for worker in busy], timeout=0.25):
                        self._answer(next(worker for worker in busy if worker.pipe is pipe), context)
                    if received and not self.stopping:
                        self._stop()
                    self.table.show()
        except KeyboardInterrupt:  # the second
            for worker in self.workers:
                worker.process.kill()
        for worker in self.workers:
            with suppress(BrokenPipeError, ConnectionResetError):
                # Closing the pipe would not end it: workers forked later hold copies of our end.
                worker.pipe.send(None)
            worker.process.join()
        return self.outcomes

    def _start(self, gpu: str | None, context: str) -> None:
        """Start a worker and give it a job, if there is one left."""
        if self.stopping or not self.waiting:
            return
        maker: Any = multiprocessing.get_context(context)
        ours, theirs = maker.Pipe()
        options = self.options
        arguments = (theirs, os.getpid(), options.threads, options.retry_failed)
        process = maker.Process(target=work, args=arguments, daemon=True)
        with environment(OMP_NUM_THREADS=str(options.threads), CUDA_VISIBLE_DEVICES=gpu):
            process.start()
        theirs.close()
        worker = Worker(process, ours, gpu)
        self.workers.append(worker)
        self._give(worker)

    def _give(self, worker: Worker) -> None:
        worker.jobs = ()
        if self.waiting and not self.stopping:
            worker.jobs = self.waiting.popleft()
            for number in worker.jobs:
                self.table.started(self.jobs[number])
            with suppress(BrokenPipeError, ConnectionResetError):  # it died: its pipe will say so
                worker.pipe.send([self.jobs[number] for number in worker.jobs])

    def _answer(self, worker: Worker, context: str) -> None:
        """Take a worker's answer and give it the next jobs; or note its death and replace it."""
        try:
            outcomes = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            worker.process.join()
            worker.pipe.close()
            self.workers.remove(worker)
            for number in reversed(worker.jobs):
                self._bury(worker, number)
            self._start(worker.gpu, context)
            return
        for number, outcome in zip(worker.jobs, outcomes, strict=True):
            self._ended(number, outcome)
        self._give(worker)

    def _bury(self, worker: Worker, number: int) -> None:
        """Give a killed worker's job to another worker, alone, unless it has killed several."""
        self.deaths[number] += 1
        if self.stopping:
            self._ended(number, Outcome("interrupted", "stopped before it could save", 130))
        elif self.deaths[number] < DEATHS:
            self.table.put_back(self.jobs[number])
            self.waiting.appendleft([number])
        else:
            code = worker.process.exitcode or 0
            how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
            status: Status = "broken" if code < 0 else "failed"  # killed from outside, or it ended itself
            reason = f"its worker was ended {how}, {DEATHS} times"
            folder = self.jobs[number].folder
            with suppress(Exception), folder.lock():
                folder.write_summary({**folder.summary(), "status": status, "reason": reason})
            self._ended(number, Outcome(status, reason, 1, folder.summary()))

    def _ended(self, number: int, outcome: Outcome) -> None:
        self.outcomes[number] = outcome
        self.table.ended(self.jobs[number], outcome)
        if outcome.status in LOST and not self.options.keep_going and not self.stopping:
            self._stop()

    def _stop(self) -> None:
        """Start nothing more; running jobs save their state and end."""
        self.stopping = True
        for worker in self.workers:
            if worker.jobs and worker.process.pid:
                with suppress(ProcessLookupError):
                    os.kill(worker.process.pid, signal.SIGTERM)


def work(connection: Connection, launcher: int, threads: int, retry_failed: bool) -> None:
    """Run jobs until None comes. launcher: its process id; when it has died, save and stop."""
    # A process group of its own: a terminal sends Ctrl-C to the whole foreground group, and a worker that got
    # it from there and from the launcher too would take the second for "at once, without saving".
    os.setpgid(0, 0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    threading.Thread(target=_follow, args=(launcher,), daemon=True).start()
    sys.stdout, sys.stderr = (open(fd, "w", buffering=1, closefd=False) for fd in (1, 2))  # noqa: SIM115
    form = "[%(asctime)s][%(levelname)s] - %(message)s"
    logging.basicConfig(level=logging.INFO, format=form, stream=sys.stdout, force=True)
    import torch

    torch.set_num_threads(threads)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        while os.getppid() == launcher and (jobs := connection.recv()):
            connection.send(_logged(jobs, retry_failed))


def _logged(jobs: Sequence[Job], retry_failed: bool) -> list[Outcome]:
    """Run jobs with the output of each in its folder; one refused before it wrote anything leaves none."""
    try:
        for job in jobs:
            job.folder.path.mkdir(parents=True, exist_ok=True)
            _print_into(job)
    except OSError as error:
        failure = unwritable("output_dir", error)
        status: Status = "broken" if failure.of_machine else "failed"
        return [Outcome(status, str(failure), failure.exit_code) for _ in jobs]
    outcomes = run_together(jobs, retry_failed, _print_into)
    for job, outcome in zip(jobs, outcomes, strict=True):
        folder = job.folder.path
        if outcome.exit_code == 2 and set(os.listdir(folder)) == {LOG}:
            with suppress(OSError):
                (folder / LOG).unlink()
                folder.rmdir()
                folder.parent.rmdir()
    return outcomes


def _print_into(job: Job) -> None:
    """Send all that this process and its libraries print to a job's log, also without sys.stdout."""
    descriptor = os.open(job.folder.path / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)


def _follow(launcher: int) -> None:
    """Stop this process when the launcher has died: a killed launcher cannot ask its workers to."""
    while os.getppid() == launcher:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def slots(jobs: Sequence[Job], options: Options) -> list[str | None]:
    """The GPU that each worker sees, one entry a worker; None: those that the launcher sees."""
    if uses_cuda(jobs) and not any("cuda:" in job.settings.device for job in jobs):
        import torch

        given = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = given.split(",") if given else [str(i) for i in range(torch.cuda.device_count())]
        gpus: list[str | None] = [name for _ in range(options.jobs_per_gpu) for name in names]
        count = len(gpus) if options.workers == "auto" else options.workers
        return [gpus[i % len(gpus)] for i in range(min(count, len(jobs)))]
    auto = options.jobs_per_gpu if uses_cuda(jobs) else max(1, cores() // options.threads)
    count = auto if options.workers == "auto" else options.workers
    return [None] * min(count, len(jobs))


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def uses_cuda(jobs: Sequence[Job]) -> bool:
    """True if any job runs on CUDA. Devices are counted without starting CUDA, which forks could not use."""
    if not any(job.settings.device.startswith(("cuda", "auto")) for job in jobs):
        return False
    import torch

    return bool(torch.cuda.device_count())


def preload(jobs: Sequence[Job]) -> None:
    """Import the modules of the jobs once, so that workers forked from here need not.

    Those too that torch imports with the first optimizer, and a loader of data when it is called.
    """
    import torch

    from genreg.run import loop  # noqa: F401
    from genreg.run.environment import describe

    describe({}, torch.device("cpu"), {})  # remembers versions and commit
    torch.optim.SGD([torch.zeros(1, requires_grad=True)])  # imports torch._dynamo, 1.4 s
    for target in {target for job in jobs for target in _targets(job.config)}:
        with suppress(Exception):  # a wrong target is its job's failure
            module, _, name = target.rpartition(".")
            function = unwrap(getattr(import_module(module), name))
            for inner in (name for name in function.__code__.co_names if "." in name):
                import_module(inner)


def _targets(node: Any) -> set[str]:
    if not isinstance(node, dict):
        return set()
    inner = {target for value in node.values() for target in _targets(value)}
    return inner | ({node["_target_"]} if isinstance(node.get("_target_"), str) else set())
