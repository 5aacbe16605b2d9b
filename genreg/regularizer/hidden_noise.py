"""Noise on hidden layers."""

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from genreg import streams
from genreg.parameters import STRICT, NonNegative
from genreg.regularizer.base import Regularizer
from genreg.regularizer.hidden import attach_noise
from genreg.regularizer.input_noise import Mode


@dataclass(config=STRICT, kw_only=True)
class HiddenNoise(Regularizer):
    """Each chosen layer's output in training is h + sigma n, or h (1 + sigma n), with n ~ N(0, I).

    Poole, Sohl-Dickstein and Ganguli, arXiv:1406.1831; multiplicative: Srivastava et al., JMLR 15
    (2014), section 10. All passes of an update over one batch share n.

    sigma: standard deviation; additive, in units of h.
    layers: pattern of the names of layers, as in `Dropout`. Raises InputError where nothing matches.
    """

    sigma: NonNegative = 0.1
    mode: Mode = "additive"
    layers: str | None = None

    @property
    def idle(self) -> bool:
        return not self.sigma

    def attach(self, model: nn.Module) -> None:
        attach_noise(model, self.layers, self.name, self.noisy)

    def noisy(self, h: Tensor, draw: torch.Generator) -> Tensor:
        """h with noise."""
        n = self.sigma * streams.normal_like(h, draw)
        return h + (n if self.mode == "additive" else n * h)
