"""Jobs on a cluster: one SLURM array, submitted by submitit, watched through squeue and the run folders.

SLURM's accounting (sacct) is not used: not every cluster has it.
"""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from types import FrameType
from typing import Any

from pydantic.dataclasses import dataclass

from genreg import groups
from genreg.errors import InputError, extra
from genreg.files import write_atomic
from genreg.parameters import STRICT, Count, CountOrZero
from genreg.study.job import Job, Outcome, finished, run
from genreg.study.table import Table


@dataclass(config=STRICT, kw_only=True)
class Options:
    """hydra/launcher/slurm.yaml says what each means."""

    partition: str | None = None
    timeout_min: Count = 60
    signal_delay_s: Count = 60
    requeues: CountOrZero = 20
    gpus_per_node: CountOrZero = 0
    cpus_per_task: Count = 1
    mem_gb: Count | None = None
    array_parallelism: Count = 256
    setup: list[str] = field(default_factory=list)
    additional_parameters: dict[str, Any] = field(default_factory=dict)
    retry_failed: bool = False
    poll_s: Count = 10


def launch(jobs: Sequence[Job], options: Options, table: Table) -> list[Outcome | None]:
    """Submit the jobs that are not in the queue already, and wait for all; Ctrl-C leaves them running."""
    records = Path(jobs[0].settings.output_dir) / "slurm"
    tasks = _adopted(jobs, records, _queue() or {})
    missing = [job for job in jobs if str(job.folder.path) not in tasks]
    if len(missing) < len(jobs):
        print(f"{len(jobs) - len(missing)} jobs are in the queue already", flush=True)
    if missing:
        tasks |= _submit(missing, options, records)
    outcomes: list[Outcome | None] = [None] * len(jobs)
    try:
        with table:
            _watch(jobs, [tasks[str(job.folder.path)] for job in jobs], outcomes, options, records, table)
    except KeyboardInterrupt:
        arrays = " ".join(sorted({task.partition("_")[0] for task in tasks.values()}))
        print(f"the jobs go on without the launcher; `scancel {arrays}` stops them", flush=True)
    return outcomes


class OnNode:
    """The function of one job in the process that submitit starts on a node."""

    def __init__(self, options: Options) -> None:
        self.options, self.path, self.own = options, sys.path, groups.OWN

    def __call__(self, job: Job) -> Outcome:
        """Run or resume the job; near the time limit save its state and put it back into the queue."""
        import torch

        sys.path += [folder for folder in self.path if folder not in sys.path]  # modules of --config-dir
        groups.OWN[:] = self.own
        torch.set_num_threads(self.options.cpus_per_task)
        at_limit: list[int] = []

        # In place of submitit's handler: the loop saves, as after Ctrl-C.
        def stop(number: int, _frame: FrameType | None) -> None:
            at_limit.append(number)
            os.kill(os.getpid(), signal.SIGTERM)  # the loop saves and returns

        signal.signal(signal.SIGUSR2, stop)
        outcome = run(job, self.options.retry_failed)
        restarts = int(os.environ.get("SLURM_RESTART_COUNT", 0))
        if at_limit and outcome.status == "interrupted" and restarts < self.options.requeues:
            subprocess.run(["scontrol", "requeue", os.environ["SLURM_JOB_ID"]], check=True)
        return outcome


def _submit(jobs: list[Job], options: Options, records: Path) -> dict[str, str]:
    """Submit one array; the task's id by run folder, also written down for the next launcher."""
    try:
        from submitit import SlurmExecutor
    except ImportError as error:
        raise InputError("hydra/launcher", f"{extra('slurm')} for slurm", "no submitit") from error
    try:
        executor = SlurmExecutor(folder=records)
    except RuntimeError as error:
        raise InputError("hydra/launcher", "a machine with SLURM for slurm", "no srun") from error
    memory = {"mem": f"{options.mem_gb}GB"} if options.mem_gb else {}
    partition = {"partition": options.partition} if options.partition else {}
    gpus = {"gpus_per_node": options.gpus_per_node} if options.gpus_per_node else {}
    executor.update_parameters(
        job_name="genreg", time=options.timeout_min, cpus_per_task=options.cpus_per_task,
        signal_delay_s=options.signal_delay_s, array_parallelism=options.array_parallelism,
        setup=[f"export OMP_NUM_THREADS={options.cpus_per_task}", *options.setup], stderr_to_stdout=True,
        additional_parameters={"requeue": True, **options.additional_parameters},
        **memory, **partition, **gpus,
    )  # fmt: skip
    submitted = executor.map_array(OnNode(options), jobs)
    tasks = {str(job.folder.path): task.job_id for job, task in zip(jobs, submitted, strict=True)}
    array = submitted[0].job_id.partition("_")[0]
    with write_atomic(records / f"{array}.json") as file:  # a second launcher may be reading
        file.write(json.dumps(tasks, indent=2).encode() + b"\n")
    return tasks


def _adopted(jobs: Sequence[Job], records: Path, queue: dict[str, str]) -> dict[str, str]:
    """Tasks of an earlier launcher that are still in the queue, by run folder."""
    folders = {str(job.folder.path) for job in jobs}
    written = [json.loads(path.read_text()) for path in records.glob("*.json")]
    return {
        folder: task
        for tasks in written
        for folder, task in tasks.items()
        if folder in folders and task in queue
    }


def _watch(
    jobs: Sequence[Job],
    tasks: list[str],
    outcomes: list[Outcome | None],
    options: Options,
    records: Path,
    table: Table,
) -> None:
    """Fill in the outcome of each job as it leaves the queue."""
    running: set[int] = set()
    while left := [number for number, outcome in enumerate(outcomes) if outcome is None]:
        queue = _queue()
        for number in left if queue is not None else []:
            state = (queue or {}).get(tasks[number], "GONE")
            if number not in running and state in ("RUNNING", "GONE"):
                running.add(number)
                table.started(jobs[number])
            if state == "GONE":
                outcomes[number] = outcome = _outcome(jobs[number], tasks[number], records)
                table.ended(jobs[number], outcome)
        table.show()
        if None in outcomes:
            time.sleep(options.poll_s)


def _queue() -> dict[str, str] | None:
    """The state of each of the user's tasks that SLURM still has; None if it does not answer."""
    try:
        command = ["squeue", "--me", "--noheader", "--array", "--format=%i %T"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except FileNotFoundError as error:
        raise InputError("hydra/launcher", "a machine with SLURM for slurm", "no squeue") from error
    except subprocess.TimeoutExpired:
        return None
    lines = [line.split() for line in answer.stdout.splitlines()]
    return dict(lines) if answer.returncode == 0 else None


def _outcome(job: Job, task: str, records: Path) -> Outcome:
    """The outcome of a job that has left the queue: by its folder, else by what its process returned."""
    if outcome := finished(job):
        return outcome
    try:
        _, returned = pickle.loads((records / f"{task}_0_result.pkl").read_bytes())
    except (OSError, ValueError, EOFError, pickle.UnpicklingError):
        returned = None
    if isinstance(returned, Outcome) and returned.status != "done":
        return returned
    reason = f"SLURM ended task {task} before it finished; see {records / f'{task}_0_log.out'}"
    return Outcome("interrupted", reason, 130)
