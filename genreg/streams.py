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
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch


def derive(seed: int, stream: str, counter: int = 0) -> int:
    """A 63-bit seed for one draw of one stream."""
    digest = hashlib.blake2b(f"{seed}/{stream}/{counter}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(
    seed: int, stream: str, counter: int = 0, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A fresh generator at the start of draw `counter` of `stream`."""
    return torch.Generator(device).manual_seed(derive(seed, stream, counter))


def normal_like(x: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Independent standard normal numbers, shaped like `x`, of its type and on its device."""
    return torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=draw)


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


_masks = 0  # of the pass that is being made


def begin_pass(masks: int, device: torch.device) -> None:
    """Put whatever draws inside a pass at its start: dropout, and the layers that methods attached."""
    global _masks
    _masks = masks
    reseed_default(masks, device)


def of_layer(name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """The generator of an attached layer called `name`: the same draws at every pass of equal masks."""
    return generator(_masks, f"layer/{name}", device=device)


def replayed() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Let attached layers draw the same when a part of a pass is made again on the way back."""
    return nullcontext(), _masked(_masks)


@contextmanager
def _masked(masks: int) -> Iterator[None]:
    global _masks
    before, _masks = _masks, masks
    try:
        yield
    finally:
        _masks = before
