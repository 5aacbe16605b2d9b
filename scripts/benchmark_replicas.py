"""The gain of training many runs as one tensor program, as ratios measured alternately: median [min, max].

    python scripts/benchmark_replicas.py
    python scripts/benchmark_replicas.py --device cuda --replicas 8 32 128

A ratio is the cost of a step of one run times R, over that of one step of R runs that differ in their seed:
CPU seconds of this process on the CPU, whatever else the machine does, and seconds of the device on CUDA.
"kernels" are operations that a step of the program launches over those that a step of one run does, views not
counted. Data, models and methods are those of configs/.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from genreg.cli.compose import configs
from genreg.cli.jobs import Composer
from genreg.run.build import build_task

MOONS, DIGITS = ["dataset=two_moons", "model.widths=[64,64]"], ["dataset=digits"]
GAN = ["experiment=wgan_sn_toy/gp"]
CASES: dict[str, tuple[list[str], int]] = {
    "two moons 64-64, none": (MOONS, 32),
    "two moons 64-64, vat": ([*MOONS, "regularizer=vat"], 32),
    "digits 64-64, none": ([*DIGITS, "model.widths=[64,64]"], 32),
    "digits 64-64, vat": ([*DIGITS, "model.widths=[64,64]", "regularizer=vat"], 32),
    "digits 256-256, none": (DIGITS, 16),
    "digits 256-256, vat": ([*DIGITS, "regularizer=vat"], 16),
    "reviews 256-256, vat": (["dataset=zh_sentiment_ngram", "regularizer=vat"], 16),
    "toy WGAN, gradient penalty": (GAN, 32),
    "Anti-PGD mlp": (["experiment=anti_pgd_mlp/anti_pgd"], 16),
}


class Kernels(TorchDispatchMode):
    """Counts operations that launch a kernel on a device: all but views and allocations."""

    FREE = ("view", "t.", "transpose", "unbind", "slice", "select", "split", "expand", "detach", "alias",
            "empty", "unsqueeze", "squeeze", "as_strided", "_unsafe_view", "permute")  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not str(func).removeprefix("aten.").startswith(self.FREE)
        return func(*args, **(kwargs or {}))


def clock(device: torch.device) -> float:
    """Seconds of this process, or of the device, which then has nothing left to do."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def stepper(step: Callable[[int], Any]) -> Callable[[int], None]:
    """Make n steps, from where the last call stopped."""
    done = 0

    def run(n: int) -> None:
        nonlocal done
        for number in range(done, done + n):
            step(number)
        done += n

    return run


def measure(
    overrides: list[str], replicas: int, device: torch.device, repeat: int
) -> tuple[list[float], float]:
    """The gain in each of `repeat` rounds, and how many more kernels a step of the program launches."""
    seeds = [[*overrides, "logger=none", f"seed={seed}"] for seed in range(replicas + 1)]
    with configs():
        tasks = [build_task(job.config, device) for job in Composer().jobs(seeds)]
    together = tasks[0].program(tasks[:-1])
    one, many = stepper(tasks[-1].step), stepper(together.step)
    one(10)
    many(3)
    counts = []
    for run in (one, many):
        with Kernels() as kernels:
            run(1)
        counts.append(kernels.count)
    steps = max(2, 400 // replicas)
    gains = []
    for _ in range(repeat):
        start = clock(device)
        one(10 * steps // 4)
        between = clock(device)
        many(steps)
        single, joint = (between - start) / (10 * steps // 4), (clock(device) - between) / steps
        gains.append(replicas * single / joint)
    return gains, counts[1] / counts[0]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--replicas", type=int, nargs="*", default=[])
    parser.add_argument("--cases", nargs="*", default=list(CASES))
    parser.add_argument("--repeat", type=int, default=7)
    chosen = parser.parse_args()
    device = torch.device(chosen.device)
    torch.set_num_threads(1)
    print("| case | R | gain | kernels |\n|---|---|---|---|")
    for name in chosen.cases:
        overrides, usual = CASES[name]
        for replicas in chosen.replicas or [usual]:
            gains, kernels = measure(overrides, replicas, device, chosen.repeat)
            spread = f"{median(gains):.2f} [{min(gains):.2f}, {max(gains):.2f}]"
            print(f"| {name} | {replicas} | {spread} | {kernels:.2f} |", flush=True)


if __name__ == "__main__":
    main()
