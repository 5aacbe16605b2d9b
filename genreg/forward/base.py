"""What a regularizer is given of each step."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from genreg import streams


@dataclass(kw_only=True)
class Forward(ABC):
    """What a penalty may read of step `step` of a run of seed `seed`."""

    model: nn.Module
    seed: int
    step: int
    device: torch.device

    @cached_property
    def generator(self) -> torch.Generator:
        """What a method draws from, on the device of the inputs."""
        return streams.generator(self.seed, "noise", self.step, self.device)

    @property
    def unlabeled(self) -> Any:
        """The clean pass over the unlabeled batch, made only if a method says `uses_unlabeled`."""
        raise RuntimeError("a penalty reads forward.unlabeled, but this task has none")

    @property
    def layers(self) -> nn.Sequential | None:
        """The layers of which `score` is the whole chain, if it is one."""
        return None

    @property
    @abstractmethod
    def points(self) -> Tensor:
        """Where a slope is penalized, batch first, without history."""

    @abstractmethod
    def score(self, x: Tensor) -> Tensor:
        """The function whose slope that is: one number for each item of x, (B,)."""
