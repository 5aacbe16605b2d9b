"""Noise that is replayed from its number, for parameters of any layout and any number of replicas."""

from collections.abc import Sequence
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from genreg import streams

Kind = Literal["gaussian", "rademacher"]

BLOCK = 1 << 14  # numbers a replica draws at a time: many small replicas cost no more than a large one


@cache
def _signs(dtype: torch.dtype, device: torch.device) -> Tensor:
    """(256, 8): the bits of a byte as +-1; made on the device, since a copy from the host waits for it."""
    bits = (torch.arange(256, device=device)[:, None] >> torch.arange(8, device=device)) & 1
    return 2 * bits.to(dtype) - 1


class Noise:
    """xi_1, xi_2, ...: independent tensors of mean 0 and variance 1, shaped and strided like `parameters`.

    Replica k draws from the stream `<stream>/k` of `seed`, in blocks of so many xi that a block is about
    `BLOCK` numbers: its noise depends neither on the other replicas nor on how many there are. A single
    model is replica 0.

    kind: gaussian, or rademacher (+-1 with equal chance, unpacked from random bits, 8 times cheaper).
    """

    def __init__(
        self, parameters: Sequence[Tensor], *, kind: Kind = "gaussian", seed: int = 0,
        stream: str = "perturbation", replicas: range | None = None,
    ) -> None:  # fmt: skip
        self.parameters, self.kind, self.replicas = list(parameters), kind, replicas
        self.seed, self.stream = seed, stream
        first = self.parameters[0]
        self.numbers = range(1) if replicas is None else replicas
        self.widths = [p.numel() // len(self.numbers) for p in self.parameters]
        self.size = sum(self.widths)  # numbers of one replica
        self.rows = max(1, min(BLOCK // self.size, 256))  # xi in a block
        self.buffers = [first.new_empty(self.rows, len(self.numbers), self.size) for _ in range(2)]
        self.drawn = [-1, -1]  # which block each buffer holds
        self.views: dict[tuple[int, int], list[Tensor]] = {}  # the buffers stay, so do their views

    def __call__(self, n: int) -> list[Tensor]:
        """Views of xi_n, one for each parameter; xi_n and xi_{n-1} are held at once, older ones are not."""
        block, row = divmod(n, self.rows)
        if self.drawn[block % 2] != block:
            self._draw(block)
        place = block % 2, row
        if place not in self.views:
            self.views[place] = self._views(self.buffers[block % 2][row])
        return self.views[place]

    def _views(self, flat: Tensor) -> list[Tensor]:
        """(replicas, size) as one view for each parameter."""
        parts = zip(self.parameters, flat.split(self.widths, 1), strict=True)
        if self.replicas:
            return [part.view(p.shape) for p, part in parts]
        return [_laid_out_as(p, part[0]) for p, part in parts]

    def _draw(self, block: int) -> None:
        buffer = self.buffers[block % 2]
        alone = len(self.numbers) == 1
        drawn = buffer if alone else torch.empty_like(buffer[:, 0])  # (rows, size), small enough for a cache
        for index, k in enumerate(self.numbers):
            draw = streams.generator(self.seed, f"{self.stream}/{k}", block, buffer.device)
            if self.kind == "gaussian":
                drawn.normal_(generator=draw)
            else:
                rademacher_(drawn.view(-1), draw)
            if not alone:
                buffer[:, index] = drawn
        self.drawn[block % 2] = block


def _laid_out_as(parameter: Tensor, flat: Tensor) -> Tensor:
    """`flat` as a view with the parameter's strides where they are channels_last, else contiguous."""
    if parameter.ndim == 4 and parameter.is_contiguous(memory_format=torch.channels_last):
        return flat.as_strided(parameter.shape, parameter.stride(), flat.storage_offset())
    return flat.view(parameter.shape)


def rademacher_(out: Tensor, generator: torch.Generator) -> Tensor:
    """Fill a contiguous vector with independent signs: one random 64-bit word for 64 numbers."""
    n = out.numel()
    words = torch.empty(-(-n // 64), dtype=torch.int64, device=out.device)
    words.random_(-(1 << 63), None, generator=generator)
    index = words.view(torch.uint8).int()
    signs = _signs(out.dtype, out.device)
    whole = n // 8
    torch.index_select(signs, 0, index[:whole], out=out[: whole * 8].view(whole, 8))
    if n % 8:
        last = torch.index_select(signs, 0, index[whole : whole + 1])  # `signs[index[whole]]` reads the index
        out[whole * 8 :] = last[0, : n % 8]
    return out
