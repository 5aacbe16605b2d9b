"""The items of the batch of step k: a function of (seed, k); texts of like length together."""

from collections.abc import Sequence

import torch
from torch import Tensor

from genreg import streams
from genreg.dataset.tokenizer import Vocabulary

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
        """The items of the batch of `step` that are this process's: all where it is alone."""
        return streams.own(self.whole(step))

    def whole(self, step: int) -> Tensor:
        """All items of the batch of `step`."""
        block, start = divmod(step * self.batch, self.size)
        found, over = self._block(block)[start : start + self.batch], start + self.batch - self.size
        return found if over <= 0 else torch.cat((found, self._block(block + 1)[:over]))

    def take(self, x: Tensor, step: int) -> Tensor:
        """The rows of x that the batch of `step` is."""
        return self.trimmed(x.index_select(0, self(step)), step)

    def trimmed(self, rows: Tensor, step: int) -> Tensor:
        """The rows of the batch of `step` without positions that are padding in all of them."""
        return rows

    def _block(self, number: int) -> Tensor:
        if number not in self._blocks:
            self._blocks.pop(number - 2, None)
            draw = streams.generator(self.seed, self.stream, number)
            order = torch.rand(self.size // self.n, self.n, generator=draw).argsort(dim=1, stable=True)
            self._blocks[number] = order.flatten().to(self.device)
        return self._blocks[number]


class Samplers:
    """The batches of replicas, (R, B): what the `Sampler` of each gives, in one look.

    All have as many items and as many in a batch.
    """

    def __init__(self, samplers: Sequence[Sampler]) -> None:
        self.samplers, self.one = samplers, samplers[0]
        self._blocks: dict[int, Tensor] = {}

    def __call__(self, step: int) -> Tensor:
        block, start = divmod(step * self.one.batch, self.one.size)
        if start + self.one.batch > self.one.size:
            return torch.stack([sampler(step) for sampler in self.samplers])
        if block not in self._blocks:
            self._blocks = {block: torch.stack([sampler._block(block) for sampler in self.samplers])}
        return self._blocks[block][:, start : start + self.one.batch]


class Rows:
    """Rows that each replica takes a batch from: those of all as one tensor, where that is no large one.

    parts: of each replica. Where all are equal only those of the first are held.
    """

    MOST = 64 << 20  # bytes of a tensor of all

    def __init__(self, parts: Sequence[Tensor]) -> None:
        alike = all(part is parts[0] or torch.equal(parts[0], part) for part in parts[1:])
        self.parts, self.starts = [parts[0]] if alike else list(parts), parts[0].new_zeros(1, 1).long()
        if not alike and sum(part.nbytes for part in parts) <= self.MOST:
            self.parts = [torch.cat(list(parts))]
            sizes = torch.tensor([0, *(len(part) for part in parts[:-1])])
            self.starts = sizes.cumsum(0)[:, None].to(parts[0].device)

    def take(self, chosen: Tensor) -> Tensor:
        """The rows of all replicas one after the other; chosen: (R, B) numbers of rows."""
        if len(self.parts) == 1:
            return self.parts[0].index_select(0, (chosen + self.starts).flatten())
        return torch.cat([x.index_select(0, rows) for x, rows in zip(self.parts, chosen, strict=True)])


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

    def whole(self, step: int) -> Tensor:
        return self._window(step // WINDOW)[0][step % WINDOW]

    def trimmed(self, rows: Tensor, step: int) -> Tensor:
        _, widths = self._window(step // WINDOW)
        return rows[:, : widths[step % WINDOW]]

    def _window(self, number: int) -> tuple[Tensor, list[int]]:
        if self._held[0] != number:
            first = number * WINDOW
            batches = torch.stack([super(Buckets, self).whole(first + i) for i in range(WINDOW)])
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
