"""What a critic's update costs under each constraint, as ratios over weight clipping: median [min, max].

    python scripts/benchmark_gan.py
    python scripts/benchmark_gan.py --device cuda --batch 64 --widths 64 --precision fp32 bf16

Arms take turns in one run, so that a busy machine slows all alike; a ratio is of neighbouring turns.
"Operations" counts the matrix products and convolutions of one update, as torch's counter sees them. On
CUDA it also tells pictures per second of whole steps (five critic updates and one of the generator), for
each precision and memory format.
"""

import argparse
import time
from functools import partial
from statistics import median
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.module_tracker import ModuleTracker

from genreg.dataset.base import Dataset, Split
from genreg.model import DCGan
from genreg.regularizer import GradientPenalty, SpectralNormalization, WeightClipping
from genreg.task.wgan import WGAN

ARMS: dict[str, Any] = {
    "clip": {"weight_clipping": WeightClipping()},
    "gp, adjoint": {"gradient_penalty": GradientPenalty(implementation="adjoint")},
    "gp, double backward": {"gradient_penalty": GradientPenalty(implementation="double_backward")},
    "sn": {"spectral_normalization": SpectralNormalization()},
}
BOUNDS = {("gp, adjoint", 64): 1.75, ("gp, adjoint", 16): 1.75, ("sn", 64): 1.05, ("sn", 16): 1.15}


def random_pictures(size: int, seed: int) -> Dataset:
    x = torch.rand(256, 3, size, size, generator=torch.Generator().manual_seed(seed))
    empty = Split(x[:0], torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.bool))
    split = Split(x, torch.zeros(256, dtype=torch.long), torch.ones(256, dtype=torch.bool))
    return Dataset(empty, x, split, split, classes=0)


def build(arm: str, width: int, given: argparse.Namespace, precision: str = "fp32") -> WGAN:
    adam = partial(torch.optim.Adam, lr=1e-4, betas=(0.0, 0.9), fused=True)
    return WGAN(
        dataset=partial(random_pictures, given.size), model=partial(DCGan, width=width),
        optimizer=adam, generator_optimizer=adam, regularizer=ARMS[arm], batch_size=given.batch,
        device=torch.device(given.device), precision=precision,
    )  # fmt: skip


def clock(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def seconds(task: WGAN, first: int, updates: int) -> float:
    began = clock(task.device)
    for update in range(first, first + updates):
        task.critic_step(update)
    return clock(task.device) - began


class Untracked(ModuleTracker):
    """Counts without regard to modules: torch's hooks refuse a gradient in an input of one."""

    def __enter__(self) -> "Untracked":
        return self

    def __exit__(self, *_: object) -> None:
        pass


def operations(task: WGAN) -> int:
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = Untracked()
    with counter:
        task.critic_step(0)
    return counter.get_total_flops()


def compare(width: int, given: argparse.Namespace) -> None:
    tasks = {arm: build(arm, width, given) for arm in ARMS}
    counted = {arm: operations(task) for arm, task in tasks.items()}
    ratios: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for task in tasks.values():
        seconds(task, 1, 2)
    for turn in range(given.repeat):
        taken = {arm: seconds(task, turn * given.updates, given.updates) for arm, task in tasks.items()}
        for arm in ARMS:
            ratios[arm].append(taken[arm] / taken["clip"])
    print(f"dcgan width {width}, {given.size} pixels, batch {given.batch}, {given.device}: ratios over clip")
    for arm in ARMS:
        found, bound = ratios[arm], BOUNDS.get((arm, width))
        spread = f"[{min(found):.2f}, {max(found):.2f}]" + (f" (at most {bound})" if bound else "")
        print(
            f"  {arm:<20} operations {counted[arm] / counted['clip']:.2f}  time {median(found):.2f} {spread}"
        )


def throughput(width: int, precision: str, channels_last: bool, given: argparse.Namespace) -> None:
    task = build("sn", width, given, precision)
    if not channels_last:
        task.model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    task.step(0)
    began = clock(task.device)
    for step in range(1, 1 + given.updates):
        task.step(step)
    pictures = given.updates * task.critic_steps * given.batch
    rate = pictures / (clock(task.device) - began)
    layout = "channels_last" if channels_last else "contiguous"
    print(f"  width {width}, {precision}, {layout}: {rate:,.0f} pictures/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 16])
    parser.add_argument("--size", type=int, default=64, help="pixels")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--updates", type=int, default=2, help="of the critic, timed together")
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", nargs="+", default=["fp32"], help="of the throughput on CUDA")
    given = parser.parse_args()
    for width in given.widths:
        compare(width, given)
    if given.device.startswith("cuda"):
        for width in given.widths:
            for precision in given.precision:
                for channels_last in (False, True):
                    throughput(width, precision, channels_last, given)


if __name__ == "__main__":
    main()
