"""A worker process: takes jobs from a pipe, runs them, answers how each ended."""

import logging
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from genreg.launcher.job import Job, Outcome, run

LOG = "job.log"  # what a job prints, in its run folder


def work(connection: Connection, launcher: int, threads: int, retry_failed: bool) -> None:
    """Run jobs until None comes. launcher: its process id; when it has died, save and stop."""
    os.setpgid(0, 0)  # the terminal's Ctrl-C reaches the launcher alone, which asks each worker once
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    threading.Thread(target=_follow, args=(launcher,), daemon=True).start()
    sys.stdout, sys.stderr = (open(fd, "w", buffering=1, closefd=False) for fd in (1, 2))  # noqa: SIM115
    form = "[%(asctime)s][%(levelname)s] - %(message)s"
    logging.basicConfig(level=logging.INFO, format=form, stream=sys.stdout, force=True)
    import torch

    torch.set_num_threads(threads)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        while os.getppid() == launcher and (job := connection.recv()):
            connection.send(_logged(job, retry_failed))


def _logged(job: Job, retry_failed: bool) -> Outcome:
    """Run a job with its output in its folder; a job refused before it wrote anything leaves no folder."""
    folder = job.folder.path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _print_into(folder / LOG)
    except OSError as error:
        return Outcome("failed", f"output_dir: expected a folder that can be written, got {error}", 2)
    outcome = run(job, retry_failed)
    if outcome.exit_code == 2 and set(os.listdir(folder)) == {LOG}:
        with suppress(OSError):
            (folder / LOG).unlink()
            folder.rmdir()
            folder.parent.rmdir()
    return outcome


def _print_into(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)


def _follow(launcher: int) -> None:
    """A launcher that was killed cannot ask its workers to stop."""
    while os.getppid() == launcher:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
