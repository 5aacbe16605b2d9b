"""Schedules of the learning rate that torch has not as one."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from genreg.parameters import Count, Fraction, checked


@checked
def late_linear(optimizer: Optimizer, *, total_iters: Count, start: Fraction = 0.9) -> LambdaLR:
    """The learning rate as it is for a share `start` of the run, then a straight line to 0.

    Miyato et al., arXiv:1704.03976, for CIFAR-10 and SVHN (there in steps of 400 updates). start: from 0 to
    below 1.
    """
    first = start * total_iters
    return LambdaLR(optimizer, lambda step: min(1.0, (total_iters - step) / (total_iters - first)))
