"""Checks that need CUDA, in under four minutes: tables of costs, a killed run, options as far as time goes.

    python scripts/check_cuda.py                       on a machine with a GPU
    python scripts/check_cuda.py --device cpu --small  the same path on a CPU

First the tables (`cuda_table.py`): steps a second in each precision, launches of a step, memory, whether two
runs of one seed are equal; the gain of runs that are one program; two processes of one run on this device.
Then a run that is killed and resumed, and one for which the device is too small. Then, until `--seconds` are
over, every regularizer and optimizer in every task that takes it, and every model of texts: three steps,
after the first of which CUDA refuses to wait for the host; the same seed must do the same again, and so must
its checkpoint, which a CPU must be able to take up too.

Exits 1 at the first check that fails. Data are digits, or random pictures and texts: nothing is downloaded.
tests/test_device.py holds the same without a GPU; docs/gpu.md says what was run where.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cuda_table
import torch
from hydra import compose, initialize_config_dir

from genreg import CONFIGS
from genreg.cli.compose import plain
from genreg.dataset import Dataset, Split
from genreg.errors import DeviceMemoryError
from genreg.model import Conv
from genreg.regularizer import VAT
from genreg.run import loop
from genreg.run.build import build_task
from genreg.run.folder import RunFolder
from genreg.run.state import State
from genreg.run.task import Task
from genreg.task.classify import Classify

CLASSIFY = ["model.widths=[32]", "model.batch_norm=true", "model.dropout=0.2"]
PLAYERS = ["task=wgan", "model.widths=[32,32]", "model.generator_widths=[32]", "dataset.items=2000"]
VALLEY = ["task=landscape", "model.replicas=4"]
OF_A_CRITIC = ("dropout", "frobenius", "frobenius_normalization", "frobenius_projection", "gradient_penalty",
               "hidden_noise", "l1", "l2", "orthogonal", "spectral_normalization", "spectral_penalty",
               "spectral_projection", "weight_clipping", "weight_noise")  # fmt: skip
EQUAL = 1e-5  # how far two runs of one seed may be apart on a GPU, and a run on two devices


def genreg(folder: Path, device: str, *overrides: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "genreg", "train", "regularizer=vat", "logger=none", "quiet=true"]
    return subprocess.Popen([*command, f"device={device}", f"output_dir={folder}", *overrides])


def finished(folder: Path) -> RunFolder:
    (path,) = folder.glob("*/*/seed=0")
    run = RunFolder(path)
    assert run.summary()["status"] == "done", run.summary()
    return run


def check_resume(folder: Path, device: str, steps: int) -> None:
    """A run killed after a checkpoint ends like an undisturbed one; on a GPU up to the order of sums."""
    options = [f"steps={steps}", "checkpoint_every=10", "log_every=10", "eval_every=20"]
    assert genreg(folder / "whole", device, *options).wait() == 0
    process = genreg(folder / "killed", device, *options)
    while not list(folder.glob("killed/*/*/*/checkpoint-*.pt")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    assert genreg(folder / "killed", device, *options).wait() == 0
    whole, killed = (finished(folder / name).rows() for name in ("whole", "killed"))
    assert [row.keys() for row in whole] == [row.keys() for row in killed]
    largest = max(abs(a[name] - b[name]) for a, b in zip(whole, killed, strict=True) for name in a)
    assert device == "cpu" or largest < 0.05
    assert device != "cpu" or largest == 0
    print(f"resume: {len(whole)} rows, largest difference to the undisturbed run {largest:g}")


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


def arms(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Every regularizer and optimizer in the tasks that take it, and models of texts."""
    for name in options("regularizer"):
        yield f"classify, {name}", [*CLASSIFY, f"regularizer={name}"]
    yield "classify, vat exact", [*CLASSIFY, "regularizer=vat", "regularizer.vat.direction=exact"]
    for name in OF_A_CRITIC:
        yield f"wgan, {name}", [*PLAYERS, f"regularizer={name}"]
    for name in options("optimizer"):
        yield f"classify, {name}", [*CLASSIFY, "regularizer=vat", f"optimizer={name}"]
        yield f"landscape, {name}", [*VALLEY, f"optimizer={name}"]
    yield "classify, rademacher", [*CLASSIFY, "optimizer=anti_pgd", "optimizer.noise=rademacher"]
    yield "landscape, rademacher", [*VALLEY, "optimizer=anti_pgd", "optimizer.noise=rademacher"]
    lines = (f"{'ab'[i % 2] * (1 + i % 9)} c,{i % 2}\n" for i in range(200))
    (folder / "texts.csv").write_text("text,label\n" + "".join(lines))
    texts = ["dataset=text_csv", f"dataset.path={folder / 'texts.csv'}", "dataset.max_length=12"]
    for name in ("char_cnn", "gru", "transformer", "bert"):
        yield f"texts, {name}", [*texts, f"model={name}", "regularizer=[vat,fgm,noise_consistency]"]
    table = ["model=transformer", "regularizer=[vat,fgm]", "regularizer.vat.scope=table",
             "regularizer.fgm.scope=table", "model.normalize_embeddings=true"]  # fmt: skip
    yield "texts, scope=table", [*texts, *table]
    for name in ("gru", "transformer"):
        exact = [f"model={name}", "regularizer=[vat,jacobian_penalty]", "regularizer.vat.direction=exact"]
        yield f"texts, {name} differentiated twice", [*texts, *exact]
    yield "texts, two updates a step", [*texts, "task=alternate", "model=gru", "regularizer=vat"]
    for name in ("gru", "transformer"):
        yield f"texts, pretraining of {name}", ["task=pretrain", *texts, f"model={name}"]


def check_options(folder: Path, device: torch.device, until: float) -> None:
    """Three steps, the same again, and a checkpoint after two of them, there and on the CPU; until a time."""
    todo = list(arms(folder))
    for number, (name, overrides) in enumerate(todo):
        if time.monotonic() > until:
            print(
                f"options: {number} of {len(todo)} checked, the first of them; --seconds gives them more time"
            )
            return
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            config = plain(compose("train", [*overrides, "logger=none"]))
        place = RunFolder(folder / str(number))
        place.path.mkdir(parents=True)
        first, again, resumed = (built(config, device, chance) for chance in range(3))
        state = State(first, place)
        for step in range(2):
            state.record(stepped(first, step))
        state.evaluated(first.evaluate())
        state.save()
        stepped(first, 2)
        for step in range(3):
            stepped(again, step)
        hosted = built(config, torch.device("cpu"), 3)
        for task in (resumed, hosted):
            State(task, place)
            task.step(2)
        apart = {key: cuda_table.apart(first, task) for key, task in (("again", again), ("resumed", resumed))}
        allowed = 0.0 if device.type == "cpu" else EQUAL
        assert max(apart.values()) <= allowed, f"{name}: {apart}"
        told = ", ".join(f"{key} {gap:g}" for key, gap in apart.items())
        print(f"{name}: three steps; {told}, on the cpu {cuda_table.apart(first, hosted):g} apart")
    print(f"options: all {len(todo)} checked")


def built(config: dict[str, Any], device: torch.device, chance: int) -> Task:
    """The task; draws that the seed does not decide come out by `chance`."""
    torch.manual_seed(chance)
    return build_task(config, device)


def stepped(task: Task, step: int) -> dict[str, torch.Tensor]:
    """The terms of a step during which, but for the first, CUDA raises if it has to wait."""
    if task.device.type != "cuda" or not step:
        return task.step(step)
    torch.cuda.set_sync_debug_mode("error")
    try:
        return task.step(step)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def check_memory(folder: Path, device: torch.device) -> None:
    """A run for which the device is too small is recorded as failed, with a remedy. Only on a GPU."""
    if device.type != "cuda":
        print("memory: not checked on a CPU")
        return
    task = Classify(
        dataset=pictures, model=partial(Conv, widths=[128, 256, 512, 256, 128]),
        optimizer=partial(torch.optim.Adam, lr=1e-3),
        regularizer={"vat": VAT()}, device=device, unlabeled_batch_size=4096,
    )  # fmt: skip
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved(device) + 2**28) / total, device)
    folder.mkdir()
    try:
        loop.run(task, RunFolder(folder), steps=1, log_every=1, eval_every=1, checkpoint_every=1)
        raise AssertionError("256 MiB were enough")
    except DeviceMemoryError as error:
        assert RunFolder(folder).summary()["status"] == "failed"
        print(f"memory: {error}")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)


def pictures(seed: int, n: int = 4096) -> Dataset:
    """Random pictures of 32 x 32 in three colours."""
    draw = torch.Generator().manual_seed(seed)
    x, y = torch.rand(n, 3, 32, 32, generator=draw), torch.arange(n) % 10
    split = Split(x[:512], y[:512], torch.ones(512, dtype=torch.bool))
    return Dataset(split, x, split, split, 10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="short, for a CPU")
    parser.add_argument("--seconds", type=float, default=210, help="after which no further option is begun")
    given = parser.parse_args()
    began, device, small = time.monotonic(), torch.device(given.device), given.small
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cuda_table.write_data(folder)
        names = [case for case in cuda_table.CASES if not (small and "conv" in case)]
        cuda_table.costs(folder, device, names, 0.2 if small else 1.5, 5 if small else 50)
        cuda_table.replicas(folder, device, 4 if small else 16, 0.2 if small else 1.5)
        cuda_table.processes(folder, given.device, 20 if small else 300)
        if device.type == "cuda":
            cuda_table.nccl(folder)
        check_resume(folder / "resume", given.device, 400 if small else 2000)
        check_memory(folder / "memory", device)
        check_options(folder, device, began + given.seconds)
    print(f"all in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
