"""What perturbing, climbing and measuring cost, as ratios of times taken in turn in one process.

    OMP_NUM_THREADS=1 python scripts/benchmark_optimizers.py [--rounds 15]

Each line gives the median ratio over rounds, and its quartiles. In a round every part is timed once, so that
what else the machine does weighs on all of them alike.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F

from genreg.measure.hessian import Hessian, classifier_hessian, hessian_trace
from genreg.model import MLP, ResNet
from genreg.model.landscape import WideningValley
from genreg.optimizer import anti_pgd, pgd
from genreg.task.landscape import Minimize

Parts = dict[str, Callable[[], object]]
Times = dict[str, list[float]]


def timed(parts: Parts, rounds: int, repeat: int = 1) -> Times:
    """Seconds of each part in each round; a first round is thrown away."""
    times: Times = {name: [] for name in parts}
    for _ in range(rounds + 1):
        for name, part in parts.items():
            start = time.perf_counter()
            for _ in range(repeat):
                part()
            times[name].append((time.perf_counter() - start) / repeat)
    return {name: values[1:] for name, values in times.items()}


def show(what: str, ratios: list[float], bound: str) -> None:
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(f"{what:<74} {middle:8.2f}  ({low:.2f} to {high:.2f})  {bound}")


def perturbation(rounds: int) -> None:
    """A step on ResNet-18's weights, whose gradients stand still, over the base's and the noise."""
    parts: Parts = {}
    model = ResNet(input_shape=[3, 32, 32], outputs=10, widths=[64, 128, 256, 512], blocks=[2, 2, 2, 2])
    size = sum(p.numel() for p in model.parameters())
    for name, make in {
        "base": partial(torch.optim.SGD, lr=1e-6, momentum=0.9, fused=True),
        "pgd": partial(pgd, lr=1e-6, momentum=0.9),
        "anti_pgd": partial(anti_pgd, lr=1e-6, momentum=0.9),
        "rademacher": partial(anti_pgd, lr=1e-6, momentum=0.9, noise="rademacher"),
    }.items():
        parameters = [torch.nn.Parameter(p.detach().clone()) for p in model.parameters()]
        for p in parameters:
            p.grad = torch.zeros_like(p)
        parts[name] = make(parameters).step
    flat = torch.empty(size)
    parts["noise"] = flat.normal_
    t = timed(parts, rounds)
    noise, base = (1e3 * statistics.median(t[name]) for name in ("noise", "base"))
    print(f"\nResNet-18, {size / 1e6:.1f} M weights; noise alone {noise:.1f} ms, base step {base:.1f} ms")
    over = {name: [a - b for a, b in zip(t[name], t["base"], strict=True)] for name in t}
    for name in ("pgd", "anti_pgd"):
        ratios = [a / b for a, b in zip(over[name], t["noise"], strict=True)]
        show(f"({name} step - base step) / writing {size / 1e6:.1f} M normal numbers", ratios, "at most 1.5")
    cheaper = [a / b for a, b in zip(over["anti_pgd"], over["rademacher"], strict=True)]
    show("gaussian over rademacher, each less the base step", cheaper, "")
    signs = torch.empty(size)
    draws = noise_draws(size, signs)
    t = timed(draws, rounds)
    ratios = [a / b for a, b in zip(t["gaussian"], t["rademacher"], strict=True)]
    show("drawing gaussian over drawing rademacher", ratios, "at least 4")


def noise_draws(size: int, out: torch.Tensor) -> Parts:
    from genreg.optimizer.noise import rademacher_

    draw = torch.Generator().manual_seed(0)
    gaussian = partial(out.normal_, generator=draw)
    return {"gaussian": gaussian, "rademacher": partial(rademacher_, out, draw)}


def valley(replicas: int) -> Minimize:
    return Minimize(
        model=partial(WideningValley, replicas=replicas), optimizer=partial(anti_pgd, lr=0.01, sigma=0.05)
    )


def replicas(rounds: int, n: int, steps: int = 300) -> None:
    """Anti-PGD on the valley, d=100: N replicas at once against one after the other."""

    def run(task: Minimize) -> None:
        for step in range(steps):
            task.step(step)

    noise = torch.empty(n, 101)

    def draw() -> None:
        for _ in range(steps):
            noise.normal_()

    t = timed({"many": partial(run, valley(n)), "one": partial(run, valley(1)), "noise": draw}, rounds)
    print(f"\nwidening valley, d=100, N={n}: {steps * n / statistics.median(t['many']):.0f} replica-steps/s")
    gain = [n * one / many for one, many in zip(t["one"], t["many"], strict=True)]
    show("replica-steps per second over those of one replica at a time", gain, "at least 100")
    ratios = [a / b for a, b in zip(t["many"], t["noise"], strict=True)]
    show("step over torch's normal_ for its noise", ratios, "at most 3")


def trace(rounds: int, k: int = 16) -> None:
    torch.manual_seed(0)
    model = MLP(input_shape=[784], outputs=10, widths=[256, 256]).eval()
    x, y = torch.rand(500, 784), torch.randint(10, (500,))
    hessian = classifier_hessian(model, x, y, F.cross_entropy)
    v = torch.randn(hessian.size)

    def products(hessian: Hessian) -> None:
        for _ in range(k):
            hessian @ v

    def estimate(hessian: Hessian) -> None:
        draw = torch.Generator().manual_seed(0)
        hessian_trace(hessian, relative_error=0, max_samples=k, generator=draw)

    t = timed({"trace": partial(estimate, hessian), "products": partial(products, hessian)}, rounds)
    print(f"\nmlp 784-256-256-10, {len(x)} items")
    ratios = [a / b for a, b in zip(t["trace"], t["products"], strict=True)]
    show(f"Hessian trace with {k} probes over {k} Hessian products, one at a time", ratios, "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print(
        f"torch {torch.__version__}, threads {torch.get_num_threads()}, median of {rounds} rounds (quartiles)"
    )
    perturbation(rounds)
    replicas(rounds, 256)
    replicas(rounds, 1000)
    trace(rounds)


if __name__ == "__main__":
    main()
