"""What CUDA must show: a smoke run, a killed and resumed run, bf16, and the speeds of each precision.

    python scripts/check_cuda.py                       on a machine with a GPU; about three minutes
    python scripts/check_cuda.py --device cpu --steps 60 --model mlp      the same path, small, on a CPU

Prints one line for each check and exits 1 at the first that fails. Speeds are those of the second half of a
run, after warm-up; data are digits (mlp) or random pictures of MNIST's shape, so nothing is downloaded.
"""

import argparse
import math
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import torch

from genreg.dataset import Dataset, Split, digits
from genreg.model import MLP, Conv
from genreg.regularizer import VAT
from genreg.run.folder import RunFolder
from genreg.task.classify import Classify
from genreg.task.precision import Precision

MODELS = {
    "mlp": partial(MLP, widths=[256, 256]),
    "conv_large": partial(Conv, widths=[128, 256, 512, 256, 128]),
}


def genreg(folder: Path, device: str, *overrides: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "genreg", "train", "regularizer=vat", "logger=none", "quiet=true"]
    return subprocess.Popen([*command, f"device={device}", f"output_dir={folder}", *overrides])


def finished(folder: Path) -> RunFolder:
    (path,) = folder.glob("*/*/seed=0")
    run = RunFolder(path)
    assert run.summary()["status"] == "done", run.summary()
    return run


def check_smoke(folder: Path, device: str) -> None:
    assert genreg(folder, device, "experiment=smoke/vat").wait() == 0
    print(f"smoke: done on {device}, {finished(folder).summary()['last']}")


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


def pictures(seed: int, n: int = 4096) -> Dataset:
    """Random pictures of 32 x 32 in three colours."""
    draw = torch.Generator().manual_seed(seed)
    x, y = torch.rand(n, 3, 32, 32, generator=draw), torch.arange(n) % 10
    split = Split(x[:512], y[:512], torch.ones(512, dtype=torch.bool))
    return Dataset(split, x, split, split, 10)


def check_speed(device: torch.device, model: str, precision: Precision, steps: int) -> float:
    """VAT steps a second at batches of 32 and 128; the loss must stay finite."""
    task = Classify(
        dataset=digits if model == "mlp" else pictures, model=MODELS[model],
        optimizer=partial(torch.optim.Adam, lr=1e-3, fused=True), regularizer={"vat": VAT()},
        device=device, precision=precision,
    )  # fmt: skip
    for step in range(steps):
        terms = task.step(step)
        if step == steps // 2:
            terms["loss"].item()  # waits for the device
            started = time.perf_counter()
    assert math.isfinite(terms["loss"].item())  # reads the device, so the last step is over
    speed = (steps - steps // 2 - 1) / (time.perf_counter() - started)
    print(f"{model} {precision}: {speed:.1f} VAT steps/s, {speed * 160:.0f} pictures/s")
    return speed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--model", choices=MODELS, default="conv_large")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        check_smoke(Path(folder) / "smoke", options.device)
        check_resume(Path(folder) / "resume", options.device, 5 * options.steps)
    device = torch.device(options.device)
    speeds = {p: check_speed(device, options.model, p, options.steps) for p in ("fp32", "tf32", "bf16")}
    for precision in ("tf32", "bf16"):
        print(f"{precision} over fp32: {speeds[precision] / speeds['fp32']:.2f}")


if __name__ == "__main__":
    main()
