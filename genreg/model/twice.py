"""Passes through which a gradient is differentiated again."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch.nn.attention import SDPBackend, sdpa_kernel

_wanted = False


def wanted() -> bool:
    """Whether the pass that is being made must have a second derivative, or a forward one."""
    return _wanted


@contextmanager
def twice() -> Iterator[None]:
    """Inside, attention is made of plain products, and recurrent layers of plain steps.

    Fused kernels have neither a derivative of their backward pass nor a forward derivative. What plain ones
    cost is in docs/text.md.
    """
    global _wanted
    before, _wanted = _wanted, True
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        _wanted = before
