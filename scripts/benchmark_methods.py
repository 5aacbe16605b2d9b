"""What a step of each method takes over a plain step: in time, and in counted operations.

    OMP_NUM_THREADS=1 python scripts/benchmark_methods.py
    OMP_NUM_THREADS=1 python scripts/benchmark_methods.py --methods weight_noise,l2 --items 512

Steps of the method and of the same task without it take turns; a ratio of times is the median over neighbors.
Time is that of the CPU, so that other programs count little; with one thread it is the clock's. Inputs are
random: 784 numbers for an MLP (256, 256), 28x28 for conv_small where a method needs pictures. The optimizer
is Adam. "Operations" are those of matrix products and convolutions, as torch's FlopCounterMode counts them:
products of a matrix with a vector, random numbers and what runs over all weights, the optimizer's step among
it, count nothing. Second table: penalties whose cost grows with the number of inputs or of outputs, over a
plain step of the same size.
"""

import argparse
import time
from functools import partial
from statistics import median
from typing import NamedTuple

import torch
from benchmark import configured, operations
from rich.console import Console
from rich.table import Table

from genreg import CONFIGS
from genreg.dataset.base import Dataset, Split
from genreg.regularizer import Regularizer
from genreg.task.classify import Classify

SECONDS = 1.5  # of all neighbors of one ratio, of which there are three at least
EXCESS = 1.25  # of time over operations that is told
EVERY = sorted(path.stem for path in (CONFIGS / "regularizer").glob("*.yaml") if path.stem != "none")


class Case(NamedTuple):
    """Shape of an input, outputs, labeled items a step."""

    shape: tuple[int, ...]
    outputs: int = 10
    items: int = 32

    @property
    def model(self) -> str:
        return "conv_small" if len(self.shape) == 3 else "mlp"


def random_items(case: Case, seed: int) -> Dataset:
    draw = torch.Generator().manual_seed(seed)
    x, y = torch.rand(2000, *case.shape, generator=draw), torch.arange(2000) % case.outputs
    labeled = Split(x[:1000], y[:1000], y[:1000] >= 0)
    return Dataset(labeled, x, labeled, labeled, classes=case.outputs)


def build(case: Case, chosen: dict[str, Regularizer], dropout: float) -> Classify:
    task = Classify(
        dataset=partial(random_items, case), model=configured("model", case.model, dropout=dropout),
        optimizer=configured("optimizer", "adam"), regularizer=chosen, batch_size=case.items,
    )  # fmt: skip
    task.labeled_batch(0), task.unlabeled_batch(0)  # drawn in blocks, once in hundreds of steps
    return task


def seconds(task: Classify, step: int) -> float:
    began = time.process_time()
    task.step(step)
    return time.process_time() - began


def ratios(method: Regularizer, case: Case, steps: int) -> tuple[float, float]:
    """Of times and of operations, the method's step over the plain one."""
    dropout = 0.5 if "again" in method.reads else 0.0  # its further pass must differ from the first
    other, plain = (build(case, chosen, dropout) for chosen in ({"method": method}, {}))
    counted = operations(other) / operations(plain)
    both = seconds(other, 1) + seconds(plain, 1)  # warms up, too
    neighbors = range(2, 2 + max(3, min(steps, int(SECONDS / both))))
    return median(seconds(other, k) / seconds(plain, k) for k in neighbors), counted


def compare_methods(names: list[str], items: int, steps: int, console: Console) -> None:
    table = Table("method", "model", "time, method / none", "operations, method / none", "time / operations")
    slower = []
    for name in names:
        method = configured("regularizer", name)()
        case = Case((1, 28, 28), items=8) if "pictures" in method.reads else Case((784,), items=items)
        taken, counted = ratios(method, case, steps)
        table.add_row(name, case.model, *(f"{ratio:.2f}" for ratio in (taken, counted, taken / counted)))
        slower += [name] if taken > EXCESS * counted else []
    console.print(table)
    console.print(f"time more than 25 % above operations: {', '.join(slower) or 'none'}")


def compare_sizes(items: int, steps: int, console: Console) -> None:
    """Time (operations) of the two penalties that differentiate in each input or in each output."""
    cases = [Case((d,), k, items) for d, k in ((16, 10), (64, 10), (256, 10), (64, 2), (64, 50))]
    table = Table("inputs, outputs", *(f"{case.shape[0]}, {case.outputs}" for case in cases))
    for name in ("jacobian_penalty", "laplacian_penalty"):
        for estimator in ("exact", "sampled"):
            method = configured("regularizer", name, estimator=estimator)()
            found = [ratios(method, case, steps) for case in cases]
            table.add_row(
                f"{name}, {estimator}", *(f"{taken:.1f} ({counted:.1f})" for taken, counted in found)
            )
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--methods", type=lambda text: sorted(text.split(",")), default=EVERY)
    parser.add_argument("--items", type=int, default=32, help="labeled items a step of the MLP")
    parser.add_argument("--steps", type=int, default=100, help="measured neighbors of a ratio, at most")
    given = parser.parse_args()
    console = Console(width=140)
    console.print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {given.items} items")
    compare_methods(given.methods, given.items, given.steps, console)
    if given.methods == EVERY:
        compare_sizes(given.items, given.steps, console)


if __name__ == "__main__":
    main()
