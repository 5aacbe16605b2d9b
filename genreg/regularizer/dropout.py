"""Dropout."""

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from genreg.parameters import STRICT, Fraction
from genreg.regularizer.base import Regularizer
from genreg.regularizer.hidden import attach_noise


@dataclass(config=STRICT, kw_only=True)
class Dropout(Regularizer):
    """Each hidden unit is zero with probability p in training, and otherwise h / (1 - p).

    Srivastava et al., JMLR 15 (2014), section 4; scaled in training, as in its section 10. Masks come from
    the method's own stream, so that arms of one seed with different p drop nested sets of units, and are
    the same in every pass of an update over one batch; a model's own dropout (`model.dropout`) is beside it.

    p: probability, from 0 to below 1.
    layers: pattern of the names of layers after which units are dropped, as `layers.*`; null: after every
    activation that is a module of its own. Raises InputError where nothing matches.
    """

    p: Fraction = 0.5
    layers: str | None = None

    @property
    def idle(self) -> bool:
        return not self.p

    def attach(self, model: nn.Module) -> None:
        attach_noise(model, self.layers, self.name, self.drop)

    def drop(self, h: Tensor, draw: torch.Generator) -> Tensor:
        """h with units dropped."""
        kept = torch.rand(h.shape, device=h.device, generator=draw) >= self.p
        return h * kept / (1 - self.p)
