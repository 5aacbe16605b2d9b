"""The tables of scripts/check_cuda.py: costs of a step by precision, replicas, a run of two processes."""

import math
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmark_replicas import Kernels

from genreg.cli.compose import configs
from genreg.cli.jobs import Composer
from genreg.run.build import build_task
from genreg.run.folder import RunFolder
from genreg.run.task import Task

PLAIN = ["logger=none", "quiet=true"]
CASES = {
    "mlp 256-256": ["model.dropout=0.2"],
    "mlp 256-256, vat": ["regularizer=vat", "model.dropout=0.2"],
    "conv_large, vat": ["dataset=npz", "model=conv_large", "regularizer=vat"],
    "gru, vat + fgm": ["dataset=text_csv", "model=gru", "regularizer=[vat,fgm]"],
    "toy WGAN, gradient penalty": ["experiment=wgan_sn_toy/gp"],
    "valley, Anti-PGD": ["task=landscape", "model.replicas=100", "optimizer=anti_pgd"],
}
REPLICATED = ("mlp 256-256, vat", "toy WGAN, gradient penalty")
PRECISIONS = ("fp32", "tf32", "bf16")


def write_data(folder: Path) -> None:
    """Random pictures of 32 x 32 in three colours, and texts: nothing is downloaded."""
    draw = np.random.default_rng(0)
    x, y = draw.integers(256, size=(3000, 3, 32, 32), dtype=np.uint8), np.arange(3000) % 10
    np.savez(folder / "pictures.npz", x_train=x, y_train=y, x_test=x[:500], y_test=y[:500])
    lines = (f"{'ab'[i % 2] * (1 + i % 9)} c,{i % 2}\n" for i in range(400))
    (folder / "texts.csv").write_text("text,label\n" + "".join(lines))


def task_of(overrides: list[str], folder: Path, device: torch.device, *, seed: int = 0) -> Any:
    with configs():
        (job,) = Composer().jobs([[*overrides, *PLAIN, f"seed={seed}", f"data_dir={folder}"]])
    return build_task(job.config, device)


def wait(device: torch.device) -> float:
    """The time, once the device has nothing left to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def rate(step: Callable[[int], Any], device: torch.device, seconds: float) -> float:
    """Steps a second, after some of them."""
    for number in range(5):
        step(number)
    start = wait(device)
    for number in count(5):
        step(number)
        if number % 5 == 0 and (now := wait(device)) > start + seconds:
            return (number - 4) / (now - start)
    raise AssertionError


def apart(a: Task, b: Task) -> float:
    """The largest difference of their weights."""
    pairs = zip(a.weights().values(), b.weights().values(), strict=True)
    return max((x.cpu().double() - y.cpu().double()).abs().max().item() for x, y in pairs)


def costs(folder: Path, device: torch.device, names: list[str], seconds: float, steps: int) -> None:
    """Print a row for each case: speed by precision, launches, memory, and two runs of one seed."""
    print("| case | " + " | ".join(f"{p}, steps/s" for p in PRECISIONS) + " | launches | MiB | two runs |")
    print("|---" * (len(PRECISIONS) + 4) + "|")
    for name in names:
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        rates = []
        for precision in PRECISIONS:
            if precision != "fp32" and "task=landscape" in CASES[name]:
                rates.append("-")
                continue
            task = task_of([*CASES[name], f"precision={precision}"], folder, device)
            rates.append(f"{rate(task.step, device, seconds):.1f}")
        with Kernels() as kernels:
            terms = task.step(0)
        assert all(math.isfinite(term.item()) for term in terms.values()), f"{name}: {terms}"
        most = f"{torch.cuda.max_memory_allocated(device) / 2**20:.0f}" if device.type == "cuda" else "-"
        again = equal(name, folder, device, steps)
        print(f"| {name} | {' | '.join(rates)} | {kernels.count} | {most} | {again} |", flush=True)


def equal(name: str, folder: Path, device: torch.device, steps: int) -> str:
    """`equal` where two runs of one seed have the same bits, else how far they are apart."""
    first, second = (task_of(CASES[name], folder, device) for _ in range(2))
    for number in range(steps):
        first.step(number)
        second.step(number)
    gap = apart(first, second)
    return "equal" if gap == 0 else f"{gap:.0e} apart after {steps} steps"


def replicas(folder: Path, device: torch.device, runs: int, seconds: float) -> None:
    """Print what a program of so many runs gains over single ones, and how far its runs are from those."""
    print(f"\n| {runs} runs as one program | gain | apart after 3 steps |\n|---|---|---|")
    for name in REPLICATED:
        alone, *tasks = (task_of(CASES[name], folder, device, seed=max(0, n - 1)) for n in range(runs + 1))
        program = tasks[0].program(tasks)
        for number in range(3):
            alone.step(number)
            program.step(number)
        gap = apart(alone, tasks[0])
        assert gap < 1e-2, f"{name}: {gap}"
        gain = runs * rate(program.step, device, seconds) / rate(alone.step, device, seconds)
        print(f"| {name} | {gain:.2f} | {gap:.0e} |", flush=True)


def processes(folder: Path, device: str, steps: int) -> None:
    """Print how far a run of two processes is from that of one; on one device they talk by gloo."""
    print("\n| processes | seconds | accuracy apart |\n|---|---|---|")
    rows, launcher = {}, ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for number, words in ((1, []), (2, launcher)):
        place, start = folder / f"processes-{number}", time.perf_counter()
        command = [sys.executable, *words, "-m", "genreg", "train", *PLAIN, *CASES["mlp 256-256, vat"]]
        more = [f"device={device}", f"steps={steps}", f"eval_every={steps}", f"output_dir={place}"]
        done = subprocess.run([*command, *more], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        (path,) = place.glob("*/*/seed=0")
        rows[number] = RunFolder(path).rows()[-1]
        gap = abs(rows[number]["test/accuracy"] - rows[1]["test/accuracy"])
        assert gap < 0.05, f"{number} processes: {gap}"
        print(f"| {number} | {time.perf_counter() - start:.1f} | {gap:.3f} |", flush=True)


def nccl(folder: Path) -> None:
    """Let one process talk to itself by nccl, which shows that it is there; more need as many devices."""
    where = f"file://{folder / 'nccl'}"
    torch.distributed.init_process_group("nccl", init_method=where, rank=0, world_size=1)
    x = torch.ones(1000, device="cuda")
    torch.distributed.all_reduce(x)
    assert x.sum().item() == 1000
    torch.distributed.destroy_process_group()
    print("nccl: a sum over one process")
