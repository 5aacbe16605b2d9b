"""Common random numbers: every draw is a function of (seed, stream, counter).

Two runs with one seed share initial weights, labeled subset and batch order whatever their regularizer,
because no stream is shared with another and none advances with what a method draws. And since a step's
draws are replayed from its number, a checkpoint holds no generator at all.

Streams: `model` (initial weights), `labeled` and `validation` (which items are), `batch/...` (batch order),
`dropout/...` (masks of a pass), `noise/METHOD` (a method's own draws), `noise` (a critic's interpolates, and
vat's draws, which are older than streams by name), `layer/NAME` (of an attached layer in one pass),
`perturbation/k` (an optimizer's noise on replica k; the generator's is `generator/perturbation/k`),
`label_noise` (which labels are wrong), `corruption/KIND` (of a copy of the test items), `measure/...`
(`measure/items`: which items of a split measures read, whatever the seed),
`sample` (which labeled items are evaluated, whatever the seed); `model/k` starts replica k of a landscape,
`landscape` makes its random problem.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch

Seed = int | tuple[int, ...]
"""The seed of a run; of replicas that are trained as one program, that of each."""


@dataclass(frozen=True)
class Shared:
    """The generator of a draw for all items of a batch, of which this process has a part."""

    generator: torch.Generator


Draw = torch.Generator | Shared | Sequence[torch.Generator]
"""The generator of a draw; of replicas, one each: a replica draws what its run would draw alone."""


def replicas_of(seed: "Seed | Draw") -> int:
    """The number of runs of which these are the seeds or the generators: 1 of a single run."""
    return 1 if isinstance(seed, int | torch.Generator | Shared) else len(seed)


_rank, processes = 0, 1  # of those that share the items of a batch: where it is 1, this one has all


@contextmanager
def shared(rank: int, size: int) -> Iterator[None]:
    """Inside, every so many-th item of a batch is this process's, from number `rank` on.

    Of k copies of a batch one after another the same holds, since the processes divide its size: a draw needs
    to know neither the batch nor how often it was copied.
    """
    global _rank, processes
    before, (_rank, processes) = (_rank, processes), (rank, size)
    try:
        yield
    finally:
        _rank, processes = before


def own(x: torch.Tensor) -> torch.Tensor:
    """The rows of a whole batch that are this process's."""
    return x[_rank::processes].contiguous() if processes > 1 else x


def whole(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of the whole batch, of which this process has so many items."""
    return (shape[0] * processes, *shape[1:])


def of_items(draw: torch.Generator) -> torch.Generator | Shared:
    """The same generator, for draws that each item has one of."""
    return Shared(draw) if processes > 1 else draw


def derive(seed: int, stream: str, counter: int = 0) -> int:
    """A 63-bit seed for one draw of one stream."""
    digest = hashlib.blake2b(f"{seed}/{stream}/{counter}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(
    seed: int, stream: str, counter: int = 0, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A fresh generator at the start of draw `counter` of `stream`."""
    return torch.Generator(device).manual_seed(derive(seed, stream, counter))


def derived(seed: Seed, stream: str, counter: int = 0) -> Seed:
    """The seed of one draw of one stream; of replicas, that of each."""
    if isinstance(seed, int):
        return derive(seed, stream, counter)
    return tuple(derive(one, stream, counter) for one in seed)


def draw_of(seed: Seed, stream: str, counter: int = 0, device: torch.device | str = "cpu") -> Draw:
    """The generator of draw `counter` of `stream`, for the items of a batch; of replicas, one each."""
    if isinstance(seed, int):
        return of_items(generator(seed, stream, counter, device))
    return [generator(one, stream, counter, device) for one in seed]


def normal_like(x: torch.Tensor, draw: Draw) -> torch.Tensor:
    """Independent standard normal numbers, shaped like `x`, of its type and on its device."""
    return _drawn(torch.randn, x, x.shape, draw)


def normal(n: int, size: int, draw: Draw, device: torch.device) -> torch.Tensor:
    """Independent standard normal numbers, (n, size); of replicas, n of all."""
    return _drawn(torch.randn, torch.empty(0, device=device), (n, size), draw)


def uniform_like(x: torch.Tensor, draw: Draw) -> torch.Tensor:
    """Independent numbers from 0 to 1, shaped like `x`, of its type and on its device."""
    return _drawn(torch.rand, x, x.shape, draw)


def uniform_of_items(x: torch.Tensor, draw: Draw) -> torch.Tensor:
    """One number from 0 to 1 for each item of `x`, (B, 1, ...), of its type and on its device."""
    return _drawn(torch.rand, x, (len(x), *[1] * (x.ndim - 1)), draw)


def uniform(shape: Sequence[int], draw: Draw, device: torch.device) -> torch.Tensor:
    """Independent numbers from 0 to 1, of that shape, in torch's default type."""
    return _drawn(torch.rand, torch.empty(0, device=device), shape, draw)


def uniform_rows(k: int, x: torch.Tensor, draw: Draw) -> torch.Tensor:
    """k numbers from 0 to 1 for each item of `x`, (k, B), of its type and on its device."""
    return _in_rows(torch.rand, k, x, draw)


def integer_rows(k: int, low: int, high: int, x: torch.Tensor, draw: Draw) -> torch.Tensor:
    """k whole numbers from low to below high for each item of `x`, (k, B), on its device."""
    return _in_rows(partial(torch.randint, low, high), k, x.new_empty(len(x), dtype=torch.long), draw)


def _in_rows(make: Callable[..., torch.Tensor], k: int, x: torch.Tensor, draw: Draw) -> torch.Tensor:
    if isinstance(draw, torch.Generator):
        return _drawn(make, x, (k, len(x)), draw)
    assert not isinstance(draw, Shared), "items lie in rows: `by_item` is None"
    parts = x.chunk(replicas_of(draw))
    return torch.cat([_in_rows(make, k, part, one) for part, one in zip(parts, draw, strict=True)], 1)


def signs_like(x: torch.Tensor, draw: Draw) -> torch.Tensor:
    """Independent numbers +1 or -1 with equal probability, shaped like `x`."""
    return 2 * _drawn(partial(torch.randint, 2), x, x.shape, draw) - 1


def permutation(n: int, draw: Draw, device: torch.device) -> torch.Tensor:
    """The numbers below n in random order; of replicas, each of its own items."""
    assert not isinstance(draw, Shared), "an item of another process is not to be had"  # by `by_item`
    if isinstance(draw, torch.Generator):
        return torch.randperm(n, generator=draw, device=device)
    part = n // len(draw)
    return torch.cat([permutation(part, one, device) + i * part for i, one in enumerate(draw)])


def _drawn(
    make: Callable[..., torch.Tensor], x: torch.Tensor, shape: Sequence[int], draw: Draw
) -> torch.Tensor:
    """Numbers of that shape, of the type and on the device of x; of replicas, each draws its part."""
    if isinstance(draw, Shared):
        return own(make(whole(shape), dtype=x.dtype, device=x.device, generator=draw.generator))
    if isinstance(draw, torch.Generator):
        return make(shape, dtype=x.dtype, device=x.device, generator=draw)
    part = (shape[0] // len(draw), *shape[1:])
    return torch.cat([make(part, dtype=x.dtype, device=x.device, generator=one) for one in draw])


def reseed_default(seed: int, device: torch.device) -> None:
    """Put torch's default generator of `device`, which dropout draws from, at `seed`."""
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        module = torch.get_device_module(device)
        index = module.current_device() if device.index is None else device.index
        module.default_generators[index].manual_seed(seed)


def of_method(name: str) -> str:
    """The stream of a method's own draws."""
    return "noise" if name == "vat" else f"noise/{name}"


_masks, _number = 0, 0  # of the pass that is being made, and how many of its masks were made before
_passes: dict[Seed, int] = {}  # of an update so far, by their masks
_pass: list[torch.Generator] = []  # of replicas: what dropout draws from, each in place of the default
_each: tuple[int, ...] = ()  # of replicas: the masks of each in the pass that is being made
_begun: tuple[tuple[int, ...], torch.device] | None = (
    None  # a pass of replicas in which nothing was drawn yet
)


def begin_update() -> None:
    """Count passes anew."""
    _passes.clear()


def begin_pass(masks: Seed, device: torch.device) -> None:
    """Put whatever draws inside a pass at its start: dropout, and the layers that methods attached."""
    global _masks, _number, _each, _begun
    _number = _passes.get(masks, 0)
    _passes[masks] = _number + 1
    if isinstance(masks, int):
        _masks = masks
        reseed_default(masks, device)
    else:
        _each, _begun = masks, (masks, device)


def of_replicas() -> Sequence[torch.Generator]:
    """The generators that dropout of replicas draws from, each at the place that the pass has come to."""
    global _pass, _begun
    if _begun:
        masks, device = _begun
        _pass, _begun = [torch.Generator(device).manual_seed(one) for one in masks], None
    return _pass


def of_layer(name: str, device: torch.device | str = "cpu", each_pass: bool = False) -> torch.Generator:
    """The generator of an attached layer called `name`.

    Its draws are the same at every pass of equal masks, or other ones at `each_pass` of an update.
    """
    return generator(_masks, f"layer/{name}", _number if each_pass else 0, device)


def replica(number: int) -> AbstractContextManager[None]:
    """Let attached layers draw what the run of that replica would, in the pass that is being made."""
    return _masked(_each[number], _number) if _each else nullcontext()


def replayed() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Let attached layers draw the same when a part of a pass is made again on the way back."""
    return nullcontext(), _masked(_masks, _number)


@contextmanager
def _masked(masks: int, number: int) -> Iterator[None]:
    global _masks, _number
    before, (_masks, _number) = (_masks, _number), (masks, number)
    try:
        yield
    finally:
        _masks, _number = before
