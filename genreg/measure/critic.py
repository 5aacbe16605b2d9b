"""Measures of the critic as options of `measure=`: its own estimate, and how steep it is."""

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.measure.base import Estimate, mean
from genreg.measure.generation import GanMeasure, Generated
from genreg.measure.lipschitz import CHUNK, gradient_norms, interpolates, lipschitz_upper, spectral_product
from genreg.parameters import STRICT
from genreg.run.metric import Metric

BINS = torch.logspace(-3, 3, 61)
"""Edges of the histogram of gradient norms; what lies outside counts in the first or last bin."""


PLACES = ("data", "samples", "interpolates")


def norms_by_place(seen: Generated, samples: int, draw: torch.Generator) -> dict[str, Tensor]:
    """The critic's gradient norms at real items (data), at samples and between the two."""
    fake, real = seen.pair(samples)
    points = (real, fake, interpolates(real, fake, draw))
    return {place: gradient_norms(seen.critic, x).detach() for place, x in zip(PLACES, points, strict=True)}


def steepest(norms: dict[str, Tensor]) -> float:
    return max(float(found.max()) for found in norms.values())


@dataclass(config=STRICT, kw_only=True)
class CriticWasserstein(GanMeasure):
    """`critic_wasserstein`: mean score of real items less that of samples, with its standard error.

    Of a critic with Lipschitz constant 1 it is a lower bound on the Wasserstein-1 distance, but for sampling.
    `critic_wasserstein_scaled` is that over the largest gradient norm found, a critic of slope 1 there;
    a constant critic has none.
    """

    metrics = (Metric("critic_wasserstein"), Metric("critic_wasserstein_scaled"))

    @torch.no_grad()
    def __call__(self, seen: Generated) -> dict[str, Estimate]:
        pair = seen.pair(self.samples)
        fake, real = (torch.cat([seen.critic(chunk) for chunk in x.split(CHUNK)]).double() for x in pair)
        n = len(fake)
        value = (real.mean() - fake.mean()).item()
        error = ((real.var() + fake.var()) / n).sqrt().item()
        found = {"critic_wasserstein": Estimate(value, error, n)}
        if slope := steepest(norms_by_place(seen, self.samples, seen.draw("critic_wasserstein"))):
            found["critic_wasserstein_scaled"] = Estimate(value / slope, error / slope, n)
        return found


@dataclass(config=STRICT, kw_only=True)
class Lipschitz(GanMeasure):
    """Bounds on the critic's Lipschitz constant; no standard errors.

    `lipschitz_lower`: the largest gradient norm at real items, samples and between them. `lipschitz_upper`:
    product of the operator norms of all layers, left out where a layer (batch normalization) has none.
    `spectral_product`: of the weights as matrices, what spectral normalization makes 1.
    """

    metrics = tuple(map(Metric, ("lipschitz_lower", "lipschitz_upper", "spectral_product")))

    def __call__(self, seen: Generated) -> dict[str, Estimate]:
        draw = seen.draw("lipschitz")
        lower = steepest(norms_by_place(seen, self.samples, draw))
        upper = lipschitz_upper(seen.layers, seen.critic, seen.real[:2], draw)
        found = {
            "lipschitz_lower": lower,
            "lipschitz_upper": upper,
            "spectral_product": spectral_product(seen.layers),
        }
        n = len(seen.pair(self.samples)[0])
        return {name: Estimate(value, float("nan"), n) for name, value in found.items() if value is not None}


@dataclass(config=STRICT, kw_only=True)
class GradientNorm(GanMeasure):
    """Mean and standard deviation (`..._std`) of the critic's gradient norm at each of three places.

    `gradient_norm_data`, `gradient_norm_samples`, `gradient_norm_interpolates`.
    """

    metrics = tuple(Metric(f"gradient_norm_{place}{suffix}") for place in PLACES for suffix in ("", "_std"))

    def __call__(self, seen: Generated) -> dict[str, Estimate]:
        found: dict[str, Estimate] = {}
        for place, norms in self._norms(seen).items():
            found[f"gradient_norm_{place}"] = mean(norms)
            spread = Estimate(norms.double().std().item(), float("nan"), len(norms))
            found[f"gradient_norm_{place}_std"] = spread
        return found

    def _norms(self, seen: Generated) -> dict[str, Tensor]:
        return norms_by_place(seen, self.samples, seen.draw("gradient_norm"))

    def histogram(self, seen: Generated) -> dict[str, Tensor]:
        """Counts of gradient norms in `BINS` (60,) at each place, and `edges` (61,)."""
        counts: dict[str, Tensor] = {"edges": BINS.clone()}
        for place, norms in self._norms(seen).items():
            inside = norms.cpu().float().clamp(BINS[0], BINS[-1])
            counts[place] = torch.histogram(inside, BINS).hist.long()
        return counts
