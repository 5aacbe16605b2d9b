"""The cost of a step, as ratios of times measured alternately in one run: median [min, max].

    python scripts/benchmark.py
    python scripts/benchmark.py --device cuda --models conv_large --repeat 15

On the CPU times are of the process. Models and methods come from configs/, pictures are random. "Operations"
counts matrix products and convolutions of a step; 3 F_l + 6 F_u over 3 F_l is the floor of VAT, F a pass
over the labeled or the unlabeled batch. Peak memory holds data, weights, optimizer state and activations: on
CUDA what torch allocated, on the CPU what a fresh process (Linux) grew by since its imports.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from genreg import streams
from genreg.dataset.base import Dataset, Split
from genreg.forward.perturbation import kl_divergence, unit
from genreg.run import loop
from genreg.run.factory import factory
from genreg.run.folder import RunFolder
from genreg.task.classify import Classify

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
METHODS = ("supervised", "vat")
NARROW = dict.fromkeys(("mlp_64", "two_moons"), ("mlp", {"widths": [64, 64]}))  # option and values by name
SIZES = {  # shape of a picture, labeled and unlabeled pictures a step, steps timed together
    ("mlp", "cpu"): ((1, 8, 8), 32, 128, 200),
    ("mlp_64", "cpu"): ((1, 8, 8), 32, 128, 100),
    ("two_moons", "cpu"): ((2,), 8, 128, 100),
    ("mlp", "cuda"): ((1, 8, 8), 32, 128, 200),
    ("conv_large", "cpu"): ((3, 32, 32), 8, 8, 2),
    ("conv_large", "cuda"): ((3, 32, 32), 32, 128, 20),
}


class Clocked(Classify):
    """A task that notes when its first step begins and when the evaluation after its last one would."""

    def step(self, step: int) -> dict[str, Tensor]:
        if step == 0:
            self.began = clock(self.device)
        return super().step(step)

    def evaluate(self) -> dict[str, float]:
        self.seconds = clock(self.device) - self.began
        return {"validation/accuracy": 0.0}


def clock(device: torch.device) -> float:
    """Seconds, once the device has done all it was given; on the CPU those of this process."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def configured(group: str, name: str, **changes: Any) -> Callable[..., Any]:
    yaml = OmegaConf.load(CONFIGS / group / f"{name}.yaml")
    return factory({**OmegaConf.to_object(yaml), **changes}, group)


def random_pictures(shape: tuple[int, int, int], seed: int) -> Dataset:
    draw = torch.Generator().manual_seed(seed)
    x, y = torch.rand(2000, *shape, generator=draw), torch.arange(2000) % 10
    labeled = Split(x[:200], y[:200], y[:200] >= 0)
    return Dataset(labeled, x, labeled, labeled, classes=10)


def build(name: str, method: str, device: str, precision: str = "fp32", **optimizer: Any) -> Clocked:
    shape, labeled, unlabeled, _ = SIZES[name, device]
    option, changes = NARROW.get(name, (name, {}))
    task = Clocked(
        dataset=partial(random_pictures, shape),
        model=configured("model", option, **changes),
        optimizer=configured("optimizer", "adam", **optimizer),
        regularizer={method: configured("regularizer", method)()} if method == "vat" else {},
        batch_size=labeled, unlabeled_batch_size=unlabeled,
        device=torch.device(device), precision=precision,
    )  # fmt: skip
    task.labeled_batch(0), task.unlabeled_batch(0)  # drawn in blocks, once in hundreds of steps
    return task


def seconds(task: Clocked, steps: int) -> float:
    began = clock(task.device)
    for step in range(steps):
        task.step(step)
    return clock(task.device) - began


def loop_seconds(task: Clocked, steps: int) -> float:
    """Time of the loop's steps alone: no logging, evaluation or saving falls between first and last."""
    often = dict.fromkeys(("log_every", "eval_every", "checkpoint_every"), steps + 1)
    with tempfile.TemporaryDirectory() as folder:
        loop.run(task, RunFolder(Path(folder)), steps=steps, **often)
    return task.seconds


def bare_seconds(task: Clocked, steps: int) -> float:
    """The same updates written out; batches are slices of an order drawn beforehand."""
    model, optimizer, data, device = task.model, task.optimizer, task.dataset, task.device
    vat, labeled, unlabeled = task.methods.get("vat"), task.labeled_batch, task.unlabeled_batch
    orders = [torch.cat([sampler(s) for s in range(steps)]) for sampler in (labeled, unlabeled)]
    masks = [[streams.derive(0, f"dropout/{x}labeled", s) for x in ("", "un")] for s in range(steps)]
    share = unlabeled.batch / (labeled.batch + unlabeled.batch)

    def logits(x: Tensor, seed: int) -> Tensor:
        streams.reseed_default(seed, device)
        return model(x)

    def frozen(x: Tensor, seed: int) -> Tensor:
        with task.statistics.frozen():
            return logits(x, seed)

    began = clock(device)
    for step, (seed, seed_u) in enumerate(masks):
        i = orders[0][step * labeled.batch : (step + 1) * labeled.batch]
        x, y = data.labeled.x[i], data.labeled.y[i]
        if vat:
            task.statistics.begin()
        loss = F.cross_entropy(logits(x, seed), y)
        if vat:
            u = data.unlabeled[orders[1][step * unlabeled.batch : (step + 1) * unlabeled.batch]]
            with torch.no_grad(), task.statistics.second(share):
                clean = logits(u, seed_u)
            generator = streams.generator(0, "noise", step, device)
            d = unit(torch.randn(u.shape, device=device, generator=generator), "example")
            probe = (u + vat.xi * d).requires_grad_()
            q = frozen(probe, seed_u)
            (gradient,) = torch.autograd.grad(q, probe, q.detach().softmax(1) - clean.softmax(1))
            r = vat.epsilon * unit(gradient, "example", fallback=d)
            loss = loss + vat.weight * kl_divergence(clean, frozen(u + r, seed_u))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        task.statistics.settle()
    return clock(device) - began


def plain_seconds(task: Clocked, steps: int) -> float:
    """The same algorithm as a person writes it: one generator, epochs by permutation, nothing replayed."""
    model, optimizer, data, device = task.model, task.optimizer, task.dataset, task.device
    vat, sizes = task.methods.get("vat"), (task.labeled_batch.batch, task.unlabeled_batch.batch)
    draw = torch.Generator(device).manual_seed(0)
    batches = [
        epochs(len(x), size, draw) for x, size in zip((data.labeled, data.unlabeled), sizes, strict=True)
    ]
    began = clock(device)
    for _ in range(steps):
        i = next(batches[0])
        loss = F.cross_entropy(model(data.labeled.x[i]), data.labeled.y[i])
        if vat:
            u = data.unlabeled[next(batches[1])]
            with torch.no_grad():
                clean = model(u)
            d = unit(torch.randn(u.shape, generator=draw, device=device), "example")
            probe = (u + vat.xi * d).requires_grad_()
            q = model(probe)
            (gradient,) = torch.autograd.grad(q, probe, q.detach().softmax(1) - clean.softmax(1))
            r = vat.epsilon * unit(gradient, "example", fallback=d)
            loss = loss + vat.weight * kl_divergence(clean, model(u + r))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return clock(device) - began


def epochs(n: int, size: int, draw: torch.Generator) -> Iterator[Tensor]:
    """Batches of whole epochs, each in its own order; what is left of one is dropped."""
    while True:
        order = torch.randperm(n, generator=draw, device=draw.device)
        yield from order[: n - n % size].split(size)


def compare(label: str, a: Callable[[], float], b: Callable[[], float], repeat: int) -> list[float]:
    """Print the ratios a/b of neighbors in A B A B ..., after a pair that warms up."""
    ratios = [a() / b() for _ in range(repeat + 1)][1:]
    print(f"{label:<66}{spread(ratios, 3)}", flush=True)
    return ratios


def spread(values: list[float], digits: int = 0) -> str:
    return f"{median(values):.{digits}f} [{min(values):.{digits}f}, {max(values):.{digits}f}]"


def operations(task: Clocked) -> int:
    classify = task.model.classify
    task.model.classify = lambda e, mask=None: classify(
        e.view_as(e)
    )  # the counter refuses a leaf as a module's input
    with FlopCounterMode(display=False) as counter:
        task.step(0)
    return counter.get_total_flops()


def compare_methods(name: str, device: str, repeat: int) -> None:
    _, labeled, unlabeled, steps = SIZES[name, device]
    few, many = (operations(build(name, method, device)) for method in METHODS)
    plain, vat = (build(name, method, device) for method in METHODS)
    label = f"{name}: step of VAT / supervised, {labeled} labeled + {unlabeled} unlabeled"
    times = compare(label, lambda: seconds(vat, steps), lambda: seconds(plain, steps), repeat)
    print(f"  operations: floor {1 + 2 * unlabeled / labeled:.3f}, counted {many / few:.3f}")
    print(f"  time ratio / counted operations ratio: {spread([ratio * few / many for ratio in times], 3)}")


def compare_loops(name: str, method: str, device: str, repeat: int) -> None:
    tasks: dict[Callable[..., float], Clocked] = {}

    def timed(measure: Callable[[Clocked, int], float]) -> float:
        tasks[measure] = build(name, method, device)
        return measure(tasks[measure], SIZES[name, device][3])

    label = f"{name}, {method}: genreg's loop / the same updates written out"
    compare(label, partial(timed, loop_seconds), partial(timed, bare_seconds), repeat)
    label = f"{name}, {method}: genreg's loop / a plain loop"
    compare(label, partial(timed, loop_seconds), partial(timed, plain_seconds), repeat)
    bare = tasks[bare_seconds].weights()
    for key, weight in tasks[loop_seconds].weights().items():
        # CUDA adds in any order; and the bare loop counts each of a step's passes as a batch
        if device == "cpu" and weight.is_floating_point():
            assert torch.equal(weight, bare[key]), f"{name}, {method}: the loops end with different {key}"


def compare_options(name: str, device: str, repeat: int) -> None:
    """Print the worth of two choices made for speed: fused Adam, and weights in channels_last."""
    steps, small = SIZES[name, device][3], name != "conv_large"
    new, old = build(name, "vat", device), build(name, "vat", device, fused=not small)
    if not small:
        old.model.to(memory_format=torch.contiguous_format)
    label = f"{name}, vat: " + ("Adam fused / not fused" if small else "channels_last / contiguous weights")
    compare(label, lambda: seconds(new, steps), lambda: seconds(old, steps), repeat)


def peak_memory(name: str, method: str, device: str) -> float:
    """MiB that three steps and all they need take at most."""
    before = resident("VmRSS")
    seconds(build(name, method, device), 3)
    return torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else resident("VmHWM") - before


def resident(key: str) -> float:
    """MiB of this process in memory: now (VmRSS), or at most so far (VmHWM)."""
    return int(Path("/proc/self/status").read_text().partition(f"{key}:")[2].split()[0]) / 1024


def compare_memory(name: str, device: str, threads: int) -> None:
    """Each peak in a fresh process: allocators give little back, one peak would hide in another."""
    command = [sys.executable, __file__, "--device", device, "--threads", str(threads), "--peak", name]
    plain, vat = (float(subprocess.check_output([*command, method])) for method in METHODS)
    print(f"{name}: peak memory of VAT / supervised: {vat:.0f} / {plain:.0f} MiB = {vat / plain:.2f}")


def throughput(name: str, method: str, precision: str, repeat: int) -> None:
    (_, labeled, unlabeled, steps), task = SIZES[name, "cuda"], build(name, method, "cuda", precision)
    pictures = steps * (labeled + unlabeled * (method == "vat"))
    rates = [pictures / seconds(task, steps) for _ in range(repeat + 1)][1:]
    print(f"{name}, {method}, {precision}: {spread(rates)} pictures a second")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--models", default="mlp,mlp_64,two_moons,conv_large")
    parser.add_argument("--repeat", type=int, default=5, help="measured pairs of each ratio")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    device, repeat, threads = options.device, options.repeat, options.threads
    torch.set_num_threads(threads)
    if options.peak:
        print(peak_memory(*options.peak, device))
        return
    print(f"torch {torch.__version__}, {device}, {threads} threads, {repeat} pairs")
    for name in options.models.split(","):
        compare_methods(name, device, repeat)
        for method in METHODS:
            compare_loops(name, method, device, repeat)
        compare_options(name, device, repeat)
        compare_memory(name, device, threads)
        if device == "cuda" and name == "conv_large":
            for method, precision in product(METHODS, ("fp32", "tf32", "bf16")):
                throughput(name, method, precision, repeat)


if __name__ == "__main__":
    main()
