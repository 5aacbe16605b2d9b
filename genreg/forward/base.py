"""The view of one update that every task gives a method."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from genreg import streams
from genreg.dataset.base import factor_of, mean_of
from genreg.streams import Draw, Seed


class Draws(dict[str, Draw]):
    """A generator for each method, from a stream of its name: none can change the draws of another."""

    def __init__(self, seed: Seed, step: int, device: torch.device) -> None:
        self.seed, self.step, self.device = seed, step, device
        self.replicas = streams.replicas_of(seed)

    def __missing__(self, method: str) -> Draw:
        self[method] = streams.draw_of(self.seed, streams.of_method(method), self.step, self.device)
        return self[method]


class Forward(ABC):
    """One forward pass of the trained model, computed once and shared by all methods of an update.

    model: called, never reached into. step: number of the update, from 0.
    """

    method = ""  # whose turn it is
    slope: ClassVar[float] = 0.0
    """The default target of a gradient penalty for the slope of `score`: 0 for a loss."""

    def __init__(self, model: nn.Module, draws: Draws) -> None:
        self.model, self.draws, self.step = model, draws, draws.step

    def of(self, method: str) -> Self:
        """The same pass as `method` sees it: with its own generator."""
        seen = object.__new__(type(self))
        seen.__dict__.update(self.__dict__, method=method)
        return seen

    @property
    def draw(self) -> Any:
        """The method's own generator of this update, on the device of the inputs."""
        return self.draws[self.method]

    @property
    def parameters(self) -> list[Tensor]:
        """The parameters that are trained."""
        return [p for p in self.model.parameters() if p.requires_grad]

    @property
    def unlabeled(self) -> Any:
        """The pass over the unlabeled batch, made only if a method says that it reads it."""
        raise RuntimeError("forward.unlabeled: the method must say reads = {'unlabeled'} on its class")

    @property
    def layers(self) -> nn.Sequential | None:
        """The layers of which `score` is the whole chain, from `joined(x)` on, if it is one."""
        return None

    def joined(self, x: Tensor) -> Tensor:
        """The input of `layers` at x: x, and channels behind it that do not depend on it."""
        return x

    @property
    @abstractmethod
    def points(self) -> Tensor:
        """Points at which a slope is penalized, batch first, without history."""

    def mean(self, values: Tensor) -> Tensor:
        """The mean of one value for each item, (B,): a scalar; of replicas, (R,)."""
        return mean_of(values, self.draws.replicas)

    def factor(self, value: Any, like: Tensor) -> Any:
        """A method's parameter as a factor of `like`; of replicas, a column of the numbers of each."""
        return factor_of(value, like, self.draws.replicas)

    @abstractmethod
    def score(self, x: Tensor) -> Tensor:
        """The function whose slope that is: one number for each item of x, (B,)."""
