"""Jobs per minute of genreg's sweep, of Hydra's basic launcher and of one process per job; overhead per job.

    python scripts/benchmark_launcher.py [--jobs 1000] [--few 20]

The jobs are 1 step of 2 replicas of the widening valley, so nearly all that is timed is how they are run.
The two slow ways run `few` of the same jobs. The overhead is what a job costs more in a worker than in a
bare loop.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

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
    print(f"{'way':<24} {'jobs':>5} {'seconds':>8} {'jobs/min':>9} {'CPU ms/job':>11}")
    for name, jobs, run in ways:
        seconds, cpu = timed(run, jobs)
        rate = 60 * jobs / seconds
        print(f"{name:<24} {jobs:>5} {seconds:>8.1f} {rate:>9.0f} {1000 * cpu / jobs:>11.1f}", flush=True)
    overhead(flags.jobs)


def timed(run: Callable[[Path, int], None], jobs: int) -> tuple[float, float]:
    """Seconds, and seconds of processor, of `jobs` jobs in a new folder."""
    with tempfile.TemporaryDirectory() as folder:
        started, used = time.perf_counter(), cpu_seconds(resource.RUSAGE_CHILDREN)
        run(Path(folder), jobs)
        seconds, cpu = time.perf_counter() - started, cpu_seconds(resource.RUSAGE_CHILDREN) - used
        made = len(list(Path(folder).rglob("weights.pt")))
        assert made == jobs, f"{made} of {jobs} jobs were made"
        return seconds, cpu


def cpu_seconds(whose: int) -> float:
    usage = resource.getrusage(whose)
    return usage.ru_utime + usage.ru_stime


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
    """Print what a job costs the processor in a worker and in a bare loop, both without their starts."""
    few = jobs // 10
    slope = (timed(one_worker, jobs)[1] - timed(one_worker, few)[1]) / (jobs - few)
    loop = loop_cpu(jobs)
    print(f"one job: {1000 * slope:.1f} ms of processor in a worker, {1000 * loop:.1f} ms in a loop: "
          f"overhead {1000 * (slope - loop):.1f} ms")  # fmt: skip


def one_worker(folder: Path, jobs: int) -> None:
    sweep(folder, jobs, "hydra.launcher.workers=1")


def loop_cpu(jobs: int) -> float:
    """Seconds of processor per job of `train` alone, after the first."""
    import torch

    from genreg.cli.compose import configs
    from genreg.cli.jobs import Composer
    from genreg.run.train import train

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        with configs():
            made = Composer().jobs([[*TINY, f"output_dir={folder}", f"seed={k}"] for k in range(jobs)])
        train(made[0].config, in_sweep=True)
        used = cpu_seconds(resource.RUSAGE_SELF)
        for job in made[1:]:
            train(job.config, in_sweep=True)
        return (cpu_seconds(resource.RUSAGE_SELF) - used) / (jobs - 1)


if __name__ == "__main__":
    main()
