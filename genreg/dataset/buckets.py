"""Batches of texts of like length."""

import torch
from torch import Tensor

from genreg import streams
from genreg.dataset.sampler import Sampler
from genreg.text.vocabulary import Vocabulary

WINDOW = 32
"""Batches that are put in order of length together."""


class Buckets(Sampler):
    """Batches of a pool in which texts of like length come together, so that few positions are padding.

    `WINDOW` batches of a `Sampler` are sorted by length, cut again, and shown in random order. A set that
    has fewer items stays as it is, lest an item meet itself in many batches; in a larger one it may where a
    window holds the end of an epoch and the start of the next. lengths: (N,) tokens of each item.
    """

    def __init__(
        self, lengths: Tensor, batch: int, *, seed: int, stream: str, device: torch.device | str
    ) -> None:
        super().__init__(len(lengths), batch, seed=seed, stream=stream, device="cpu")
        self.lengths, self.target = lengths.cpu(), device
        self.sorts = len(lengths) >= WINDOW * self.batch
        self._held: tuple[int, Tensor, list[int]] = (-1, torch.empty(0), [])

    def __call__(self, step: int) -> Tensor:
        return self._window(step // WINDOW)[0][step % WINDOW]

    def take(self, x: Tensor, step: int) -> Tensor:
        """The rows of x that the batch of `step` is, as wide as the longest of them."""
        rows, widths = self._window(step // WINDOW)
        return x.index_select(0, rows[step % WINDOW])[:, : widths[step % WINDOW]]

    def _window(self, number: int) -> tuple[Tensor, list[int]]:
        if self._held[0] != number:
            first = number * WINDOW
            batches = torch.stack([super(Buckets, self).__call__(first + i) for i in range(WINDOW)])
            if self.sorts:
                index = batches.flatten()
                batches = index[self.lengths[index].argsort(stable=True)].view(WINDOW, self.batch)
                draw = streams.generator(self.seed, f"{self.stream}/order", number)
                batches = batches[torch.randperm(WINDOW, generator=draw)]
            widths: list[int] = self.lengths[batches].amax(1).tolist()
            self._held = (number, batches.to(self.target), widths)
        return self._held[1:]


def sampler(x: Tensor, batch: int, vocabulary: Vocabulary | None, seed: int, stream: str) -> Sampler:
    """The order in which the rows of x are shown, on their device; texts in `Buckets`."""
    if vocabulary is None:
        return Sampler(len(x), batch, seed=seed, stream=stream, device=x.device)
    lengths = (x != vocabulary.pad).sum(1)
    return Buckets(lengths, batch, seed=seed, stream=stream, device=x.device)
