"""The result of every measure."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Estimate:
    """value: the estimate; stderr: its standard error; n: how many samples it is the mean of."""

    value: float
    stderr: float
    n: int


def mean(samples: Tensor) -> Estimate:
    """The mean of independent samples, with its standard error (NaN for fewer than two)."""
    samples = samples.double()
    value, n = samples.mean().item(), samples.numel()
    return Estimate(value, samples.std().item() / n**0.5 if n > 1 else float("nan"), n)
