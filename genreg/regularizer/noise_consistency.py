"""Consistency under random noise."""

from typing import Annotated

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.forward.base import Forward
from genreg.forward.perturbation import (
    Divergence,
    Norm,
    Scope,
    Target,
    at_tokens,
    divergence_along,
    random_direction,
)  # fmt: skip
from genreg.parameters import STRICT, Count, Neutral, NonNegative
from genreg.regularizer.base import Reads, Regularizer, Weight, reads_of


@dataclass(config=STRICT, kw_only=True)
class NoiseConsistency(Regularizer):
    """KL divergence between the prediction at x and at x + r, r a random direction of length epsilon.

    VAT (arXiv:1704.03976) with zero power iterations: the "random perturbation training" it is compared with.
    Parameters mean what they mean in `VAT`. For a small epsilon it is `jacobian_penalty` with sigma =
    epsilon / sqrt(d) for inputs of d numbers (kexue.fm archive 7466).

    samples: directions for each item, over which the term is averaged.
    divergence: `kl` of probabilities, or `mse`, the squared distance of outputs.
    """

    weight: Weight = 1.0
    epsilon: NonNegative = 1.0
    target: Target = "stop"
    scope: Scope = "example"
    norm: Norm = "l2"
    samples: Annotated[Count, Neutral(1)] = 1
    divergence: Annotated[Divergence, Neutral("kl")] = "kl"

    replicas = (
        "weight",
        "epsilon",
    )
    by_item = ("scope=example",)

    @property
    def reads(self) -> frozenset[Reads]:  # type: ignore[override]
        logits = {"classes"} if self.divergence == "kl" else set[Reads]()
        return frozenset({"unlabeled", *logits, *reads_of(self.scope)})

    @property
    def trains_unlabeled(self) -> bool:
        return self.target == "flow"

    def penalty(self, forward: Forward) -> Tensor:
        clean = forward.unlabeled
        options = self.epsilon, self.norm, self.target, self.divergence
        directions = (random_direction(clean, self.scope, forward.draw) for _ in range(self.samples))
        terms = [divergence_along(clean, at_tokens(clean, d, self.scope), *options) for d in directions]
        return torch.stack(terms, -1).mean(-1)
