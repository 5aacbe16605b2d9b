"""Lengths of tensors whose squares leave the range of their type."""

import torch
from torch import Tensor


def power_of_two(largest: Tensor) -> Tensor:
    """For each number, none negative, the power of two at or next below it; 1 where it is zero.

    Dividing by it is exact, so that a length computed of x over this of max |x|, and multiplied by it, has
    the bits of the plain formula wherever that neither under- nor overflows.
    """
    mantissa, _ = torch.frexp(largest)  # in [1/2, 1)
    return torch.where(largest > 0, largest / (2 * mantissa), torch.ones_like(largest))


def norm(x: Tensor) -> Tensor:
    """The l2 norm over all dimensions."""
    scale = power_of_two(x.abs().max())
    length: Tensor = (x / scale).norm() * scale
    return length
