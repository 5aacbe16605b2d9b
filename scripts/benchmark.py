"""What a step costs, as ratios of times measured alternately in one run: median [min, max].

    python scripts/benchmark.py
    python scripts/benchmark.py --models conv_large --repeat 15
    python scripts/benchmark.py --device cuda

Models and methods come from configs/, pictures are random. "Operations" counts the matrix products and
convolutions of one step; 3 F_l + 6 F_u over 3 F_l is the floor of VAT, F one forward pass over the labeled or
the unlabeled batch. Peak memory is of a whole process beyond its imports (CPU, Linux) or of all tensors (CUDA):
data, weights, optimizer state and activations.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from torch import Tensor, nn

from genreg import loop, streams
from genreg.build import factory
from genreg.dataset import Dataset
from genreg.dataset.base import Split
from genreg.records import RunFolder
from genreg.regularizer.perturbation import kl_divergence, unit
from genreg.task.classify import Classify

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
METHODS = ("supervised", "vat")
POOL = 2000  # pictures


@dataclass(frozen=True)
class Size:
    """labeled, unlabeled: pictures a step; steps: updates timed together."""

    shape: tuple[int, int, int]
    labeled: int
    unlabeled: int
    steps: int


SIZES = {
    ("mlp", "cpu"): Size((1, 8, 8), 32, 128, 200),
    ("mlp", "cuda"): Size((1, 8, 8), 32, 128, 200),
    ("conv_large", "cpu"): Size((3, 32, 32), 8, 8, 2),
    ("conv_large", "cuda"): Size((3, 32, 32), 32, 128, 20),
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
    """Seconds, once the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def configured(group: str, name: str, **changes: Any) -> Callable[..., Any]:
    values = OmegaConf.to_container(OmegaConf.load(CONFIGS / group / f"{name}.yaml"))
    return factory(values | changes, group)


def random_pictures(size: Size, seed: int) -> Dataset:
    draw = torch.Generator().manual_seed(seed)
    x, y = torch.rand(POOL, *size.shape, generator=draw), torch.arange(POOL) % 10
    labeled, rest = (Split(x[part], y[part], y[part] >= 0) for part in (slice(200), slice(200, 300)))
    return Dataset(labeled, x, rest, rest, classes=10)


def build(name: str, method: str, device: str, precision: str = "fp32", **optimizer: Any) -> Clocked:
    size = SIZES[name, device]
    task = Clocked(
        dataset=partial(random_pictures, size),
        model=configured("model", name),
        optimizer=configured("optimizer", "adam", **optimizer),
        regularizer={method: configured("regularizer", method)()} if method == "vat" else {},
        batch_size=size.labeled,
        unlabeled_batch_size=size.unlabeled,
        device=torch.device(device),
        precision=precision,
    )
    task.labeled_batch(0), task.unlabeled_batch(0)  # drawn in blocks, once in hundreds of steps
    return task


def seconds(task: Clocked, steps: int) -> float:
    began = clock(task.device)
    for step in range(steps):
        task.step(step)
    return clock(task.device) - began


def loop_seconds(task: Clocked, steps: int) -> float:
    """Time of the loop's steps alone: no logging, evaluation or saving falls between first and last."""
    never = steps + 1
    with tempfile.TemporaryDirectory() as folder:
        often = {"log_every": never, "eval_every": never, "checkpoint_every": never}
        loop.run(task, RunFolder(Path(folder)), steps=steps, **often)
    return task.seconds


def bare_seconds(task: Clocked, steps: int) -> float:
    """The same updates written out, with batches and generators made beforehand."""
    model, optimizer, data, device = task.model, task.optimizer, task.dataset, task.device
    vat, labeled, unlabeled = task.regularizer.get("vat"), task.labeled_batch, task.unlabeled_batch
    plan = [(labeled(s), unlabeled(s), streams.generator(0, "noise", s, device)) for s in range(steps)]
    masks = [[streams.derive(0, f"dropout/{x}labeled", s) for x in ("", "un")] for s in range(steps)]
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    share = unlabeled.batch / (labeled.batch + unlabeled.batch) if vat else 0.0

    def logits(x: Tensor, seed: int, momentum: float = 0.0) -> Tensor:
        streams.reseed_default(seed, device)
        for norm in norms:
            norm.momentum, norm.track_running_stats = momentum, momentum > 0
        return model(x)

    began = clock(device)
    for (i, j, generator), (seed, seed_u) in zip(plan, masks, strict=True):
        moved = 0.1 * (1 - share) / (1 - 0.1 * share)
        loss = F.cross_entropy(logits(data.labeled.x[i], seed, moved), data.labeled.y[i])
        if vat:
            u = data.unlabeled[j]
            with torch.no_grad():
                clean = logits(u, seed_u, 0.1 * share)
            d = unit(torch.randn(u.shape, device=device, generator=generator), "example")
            probe = (u + vat.xi * d).requires_grad_()
            (gradient,) = torch.autograd.grad(kl_divergence(clean, logits(probe, seed_u)), probe)
            r = vat.epsilon * unit(gradient, "example", fallback=d)
            loss = loss + vat.weight * kl_divergence(clean, logits(u + r, seed_u))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return clock(device) - began
