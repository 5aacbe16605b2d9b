"""What the loop asks of a task."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor


class Task(Protocol):
    """Owns what is trained and how one update is made.

    selection: the metric that chooses the best step, and `max` or `min`; None keeps the last.
    progress: the metrics worth showing while it runs. checksums: sha256 of the files it read.
    """

    selection: tuple[str, str] | None
    progress: Sequence[str]
    device: torch.device
    checksums: dict[str, str]

    def step(self, step: int) -> dict[str, Tensor]:
        """Make update `step` (from 0); returns its terms, scalars on the device that no step overwrites."""
        ...

    def evaluate(self) -> dict[str, float]:
        """Metrics of the model as it stands."""
        ...

    def weights(self) -> dict[str, Tensor]:
        """What a trained model is."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on, beside its number and the configuration."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up `state_dict()` of another process, whose tensors come on the CPU."""
        ...
