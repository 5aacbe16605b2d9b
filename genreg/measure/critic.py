"""Measures of the critic as options of `measure=`: its own estimate, and how steep it is."""

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.measure.estimate import Estimate, mean
from genreg.measure.generation import Generated, GeneratorMeasure
from genreg.measure.lipschitz import CHUNK, gradient_norms, interpolates, lipschitz_upper, spectral_product
from genreg.parameters import STRICT

BINS = torch.logspace(-3, 3, 61)
"""Edges of the histogram of gradient norms; what lies outside counts in the first or last bin."""


def norms_by_place(seen: Generated, samples: int) -> dict[str, Tensor]:
    """The critic's gradient norms at real items (data), at samples and between the two."""
    fake, real = seen.pair(samples)
    places = {"data": real, "samples": fake, "interpolates": interpolates(real, fake, seen.generator)}
    return {place: gradient_norms(seen.critic, x).detach() for place, x in places.items()}


def steepest(norms: dict[str, Tensor]) -> float:
    return max(float(found.max()) for found in norms.values())


@dataclass(config=STRICT, kw_only=True)
class CriticWasserstein(GeneratorMeasure):
    """`critic_wasserstein`: mean score of real items less that of samples, with its standard error.

    Of a critic with Lipschitz constant 1 it is a lower bound on the Wasserstein-1 distance, but for sampling.
    `critic_wasserstein_scaled` is that over the largest gradient norm found, a critic of slope 1 there;
    a constant critic has none.
    """

    @torch.no_grad()
    def __call__(self, seen: Generated) -> dict[str, Estimate]:
        pair = seen.pair(self.samples)
        fake, real = (torch.cat([seen.critic(chunk) for chunk in x.split(CHUNK)]).double() for x in pair)
        n = len(fake)
        value = (real.mean() - fake.mean()).item()
        error = ((real.var() + fake.var()) / n).sqrt().item()
        found = {"critic_wasserstein": Estimate(value, error, n)}
        if slope := steepest(norms_by_place(seen, self.samples)):
            found["critic_wasserstein_scaled"] = Estimate(value / slope, error / slope, n)
        return found


@dataclass(config=STRICT, kw_only=True)
class Lipschitz(GeneratorMeasure):
    """Bounds on the critic's Lipschitz constant; no standard errors.

    `lipschitz_lower`: the largest gradient norm at real items, samples and between them. `lipschitz_upper`:
    product of the operator norms of all layers, left out where a layer (batch normalization) has none.
    `spectral_product`: of the weights as matrices, what spectral normalization makes 1.
    """

    def __call__(self, seen: Generated) -> dict[str, Estimate]:
        lower = steepest(norms_by_place(seen, self.samples))
        upper = lipschitz_upper(seen.layers, seen.critic, seen.real[:2], seen.generator)
        found = {
            "lipschitz_lower": lower,
            "lipschitz_upper": upper,
            "spectral_product": spectral_product(seen.layers),
        }
        n = len(seen.pair(self.samples)[0])
        return {name: Estimate(value, float("nan"), n) for name, value in found.items() if value is not None}


@dataclass(config=STRICT, kw_only=True)
class GradientNorm(GeneratorMeasure):
    """Mean and standard deviation (`..._std`) of the critic's gradient norm at each of three places.

    `gradient_norm_data`, `gradient_norm_samples`, `gradient_norm_interpolates`.
    """

    def __call__(self, seen: Generated) -> dict[str, Estimate]:
        found: dict[str, Estimate] = {}
        for place, norms in norms_by_place(seen, self.samples).items():
            found[f"gradient_norm_{place}"] = mean(norms)
            spread = Estimate(norms.double().std().item(), float("nan"), len(norms))
            found[f"gradient_norm_{place}_std"] = spread
        return found

    def histogram(self, seen: Generated) -> dict[str, Tensor]:
        """Counts of gradient norms in `BINS` (60,) at each place, and `edges` (61,)."""
        counts: dict[str, Tensor] = {"edges": BINS.clone()}
        for place, norms in norms_by_place(seen, self.samples).items():
            inside = norms.cpu().float().clamp(BINS[0], BINS[-1])
            counts[place] = torch.histogram(inside, BINS).hist.long()
        return counts
