"""Batch order as a pure function of the step."""

import torch
from torch import Tensor

from genreg import streams

BLOCK = 1 << 16  # indices drawn at a time, so that a small data set does not copy at every step


class Sampler:
    """Indices of the batch of every step: each epoch visits every item once, in its own random order.

    Epochs follow one another without gap, so that no item is dropped and every batch has `batch` items
    (at most `n`). The order depends on `seed` and `stream` only: not on the device, nor on what came before.
    """

    def __init__(self, n: int, batch: int, *, seed: int, stream: str, device: torch.device | str) -> None:
        self.n, self.batch, self.seed, self.stream, self.device = n, min(batch, n), seed, stream, device
        self.size = -(-BLOCK // n) * n
        self._blocks: dict[int, Tensor] = {}

    def __call__(self, step: int) -> Tensor:
        block, start = divmod(step * self.batch, self.size)
        found = self._block(block)[start : start + self.batch]
        if len(found) == self.batch:
            return found
        return torch.cat((found, self._block(block + 1)[: self.batch - len(found)]))

    def take(self, x: Tensor, step: int) -> Tensor:
        """The rows of x that the batch of `step` is."""
        return x.index_select(0, self(step))

    def _block(self, number: int) -> Tensor:
        if number not in self._blocks:
            self._blocks.pop(number - 2, None)
            draw = streams.generator(self.seed, self.stream, number)
            order = torch.rand(self.size // self.n, self.n, generator=draw).argsort(dim=1, stable=True)
            self._blocks[number] = order.flatten().to(self.device)
        return self._blocks[number]
