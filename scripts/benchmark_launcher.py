"""Jobs per minute of genreg's sweep, of Hydra's basic launcher and of one process per job; overhead per job.

    python scripts/benchmark_launcher.py [--jobs 1000] [--few 20]

The jobs are 1 step of 2 replicas of the widening valley, so nearly all that is timed is how they are run.
The two slow ways run `few` of the same jobs. The overhead is what a job costs more in a worker than in a
bare loop.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import hydra

from genreg import CONFIGS

TINY = ["experiment=anti_pgd_valley/anti_pgd", "model.replicas=2", "model.d=3", "steps=1", "logger=none",
        "device=cpu", "quiet=true"]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--few", type=int, default=20)
    flags = parser.parse_args()
    ways: list[tuple[str, int, Callable[[Path, int], None]]] = [
        ("genreg", flags.jobs, sweep),
        ("genreg, 1 worker", flags.jobs, lambda folder, n: sweep(folder, n, "hydra.launcher.workers=1")),
        ("Hydra's basic launcher", flags.few, basic),
        ("one process per job", flags.few, processes),
    ]
    print(f"{'way':<24} {'jobs':>5} {'seconds':>8} {'jobs/min':>9}")
    for name, jobs, run in ways:
        seconds = timed(run, jobs)
        print(f"{name:<24} {jobs:>5} {seconds:>8.1f} {60 * jobs / seconds:>9.0f}", flush=True)
    overhead(flags.jobs)


def timed(run: Callable[[Path, int], None], jobs: int) -> float:
    """Seconds of `jobs` jobs in a new folder."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        run(Path(folder), jobs)
        seconds = time.perf_counter() - started
        made = len(list(Path(folder).rglob("weights.pt")))
        assert made == jobs, f"{made} of {jobs} jobs were made"
        return seconds


def genreg(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "genreg", "train", *arguments], check=True)


def sweep(folder: Path, jobs: int, *options: str) -> None:
    genreg("-m", *TINY, f"seed=range({jobs})", f"output_dir={folder}", *options)


def basic(folder: Path, jobs: int) -> None:
    """As `@hydra.main` does it: Hydra's own sweeper and launcher."""
    sweep(folder, jobs, "hydra/sweeper=basic", "hydra/launcher=basic")


def processes(folder: Path, jobs: int) -> None:
    for seed in range(jobs):
        genreg(*TINY, f"seed={seed}", f"output_dir={folder}")


def overhead(jobs: int) -> None:
    """Milliseconds per job of one worker beyond those of a loop in one process, without their starts."""
    slope = (timed(one_worker, jobs) - timed(one_worker, jobs // 10)) / (jobs - jobs // 10)
    loop = timed_loop(jobs)
    print(f"one job: {1000 * slope:.1f} ms in a worker, {1000 * loop:.1f} ms in a loop; "
          f"overhead {1000 * (slope - loop):.1f} ms")  # fmt: skip


def one_worker(folder: Path, jobs: int) -> None:
    sweep(folder, jobs, "hydra.launcher.workers=1")


def timed_loop(jobs: int) -> float:
    """Seconds per job of `train` alone, after the first."""
    import torch

    from genreg.launcher.compose import compose_jobs
    from genreg.train import train

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
            made = compose_jobs([[*TINY, f"output_dir={folder}", f"seed={k}"] for k in range(jobs)])
        train(made[0].config, made[0].yaml, in_sweep=True)
        started = time.perf_counter()
        for job in made[1:]:
            train(job.config, job.yaml, in_sweep=True)
        return (time.perf_counter() - started) / (jobs - 1)


if __name__ == "__main__":
    main()
