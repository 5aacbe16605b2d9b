"""One update: whatever its optimizer asks for, one set of weights is seen and everything moves once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol

from torch import Tensor
from torch.nn.utils import parametrize

from genreg import streams
from genreg.run import ranks

_counts = True


class Steps(Protocol):
    """An optimizer, or several that step together."""

    def step(self, closure: Callable[[], Any]) -> Any:
        """Ask the closure for gradients, once or more, and move the weights."""


def counts() -> bool:
    """True if this pass moves what moves once in an update: running statistics, power iterations."""
    return _counts


def update(optimizer: Steps, objective: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Make one step of `optimizer`; the terms of its closure's first call.

    objective: makes the gradients at the weights as they are; returns its terms, the last of which is what
    is minimized. An optimizer may ask for it more than once (SAM asks twice): within a call all passes share
    what parametrizations make of the weights, and only the first call moves what `counts` and is logged.
    """
    first: dict[str, Tensor] = {}

    def closure() -> Tensor:
        # The cache is of one call: between two SAM moves the weights, and those of before would go into the
        # second gradient. Inside, a weight is first read with gradients on: what is cached under no_grad has
        # no history, and would train nothing.
        streams.begin_update()
        with parametrize.cached(), uncounted() if first else nullcontext():
            found = objective()
        found = ranks.averaged(found) if streams.processes > 1 else found
        first.update({} if first else found)
        return next(reversed(found.values()))

    optimizer.step(closure)
    return first


def backward(loss: Tensor, parameters: list[Tensor]) -> None:
    """Replace the gradients of `parameters` by those of `loss`; half the host's time of `zero_grad`.

    Of replicas, whose losses are (R,), each parameter of one depends on its own loss only. Of processes that
    share a batch each has the gradients of its items' mean, and they are left with the mean of these. Here,
    since no other gradient is of parameters: those in inputs that methods take are of each item by itself.
    """
    for parameter in parameters:
        parameter.grad = None
    (loss.sum() if loss.ndim else loss).backward()
    if streams.processes > 1:
        ranks.average([parameter.grad for parameter in parameters if parameter.grad is not None])


@contextmanager
def uncounted() -> Iterator[None]:
    """Inside, nothing moves that moves once in an update."""
    global _counts
    before, _counts = _counts, False
    try:
        yield
    finally:
        _counts = before
