"""The protocol of a task, which the loop calls."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import torch
from torch import Tensor, nn

from genreg.run.metric import Family, Metric


class Program(Protocol):
    """Several runs whose updates are made together."""

    def step(self, step: int) -> Sequence[dict[str, Tensor]]:
        """Make update `step` of all; the terms of each, as its own task would return them."""

    def release(self) -> None:
        """Let each task make its steps by itself, or in another program."""


class Task(ABC):
    """Owns what is trained and how one update is made.

    groups: the configuration groups that it is built from; every other one must be empty. trains: the kind
    of its model, and what to call one. wraps: true if a module of no such kind is made one. metrics: what
    each number of an evaluation is. families: what the first word of a number's key says of it, where that
    is more than a name. baselines: names of arms
    without a method, with which others are compared. selection: the metric that chooses the best step, and
    `max` or `min`; None keeps the last. progress: the metrics worth showing while it runs. checksums: sha256
    of the files it read. conditions: what every evaluation's row must name for its metrics to mean anything.
    sizes: what the memory of a step grows with, by its key. items: how many each split of its data has. told:
    of data of one's own, one line of what was read. suggests: overrides for a first run with a method, a
    literal: `genreg train` reads it without an import. replicas: a literal that says that runs may be trained
    as one program, and which of the task's parameters may then differ; None: each is one of its own. by_item:
    a literal that says that processes may share a batch (as of a `Regularizer`); it has `methods` and
    a `loss`. frames:
    the steps at which its pictures are drawn, 0 before the first update; None: at every evaluation.
    """

    groups: ClassVar[frozenset[str]]
    trains: ClassVar[tuple[type, str]]
    wraps: ClassVar[bool] = False
    suggests: ClassVar[tuple[str, ...]] = ()
    replicas: ClassVar[tuple[str, ...] | None] = None
    by_item: ClassVar[tuple[str, ...] | None] = None
    metrics: Sequence[Metric] = ()
    families: Sequence[Family] = ()
    baselines: ClassVar[Sequence[str]] = ("none", "supervised", "gd", "sgd")
    model: nn.Module
    selection: tuple[str, str] | None
    progress: Sequence[str]
    device: torch.device
    checksums: dict[str, str]
    conditions: Mapping[str, str] = MappingProxyType({})
    sizes: Mapping[str, int] = MappingProxyType({})
    items: Mapping[str, int] = MappingProxyType({})
    told: str = ""
    frames: Collection[int] | None = None

    @classmethod
    def reports(cls, **parts: Any) -> dict[str, Metric]:
        """The metrics that a task of these parts may report, by key of a row; no data are read.

        parts: what the constructor would be given, but for data. What only data decide (real targets, items
        that stand in two splits) is taken as there. Empty: the task does not say, and nothing is refused.
        """
        return {}

    @classmethod
    def program(cls, tasks: Sequence[Any]) -> Program:
        """The updates of several runs as one tensor program, of a task that declares `replicas`.

        All stand at the same step. From here on only it makes their steps.
        """
        # never reached: what a task declares is read before its runs are grouped
        raise NotImplementedError(f"{cls.__name__} declares no replicas")

    def join(self, other: Self) -> int:
        """Hold data once that this task and another have, of which a program is made.

        Returns how many runs such a program should have at most: more need more memory than they save time.
        """
        return 1

    @abstractmethod
    def step(self, step: int) -> dict[str, Tensor]:
        """Make update `step` (from 0); returns its terms, scalars on the device that no step overwrites."""

    @abstractmethod
    def evaluate(self) -> dict[str, float]:
        """Metrics of the model as it stands. Raises GenregError if the run is not worth going on with."""

    def remark(self, row: dict[str, Any]) -> str:
        """One line that warns of what a row of the run shows, at the first such row; else empty."""
        return ""

    @abstractmethod
    def weights(self) -> dict[str, Tensor]:
        """A copy of what a trained model is."""

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Take up `weights()` of another process, which come on the CPU, to be judged: training ends here."""
        self.model.load_state_dict(weights)

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on, beside its number and the configuration."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up `state_dict()` of another process, whose tensors come on the CPU."""

    def images(self) -> dict[str, np.ndarray]:
        """Pictures of the model as it stands, (H, W, 3) of uint8, by the folder that they belong in."""
        return {}

    def results(self) -> dict[str, dict[str, Tensor]]:
        """Arrays worth keeping beside the rows, by the name of their file."""
        return {}
