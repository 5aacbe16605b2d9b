"""Which passes move the running statistics of batch normalization, and by how much."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def running_statistics(layers: Sequence[_BatchNorm], share: float, rest: float = 0.0) -> Iterator[None]:
    """Let the pass inside make `share` of a step's move of the running statistics; share 0 freezes them.

    rest: the share of passes of the same step still to come. With momentum m and batch statistics a, b,
    a pass of (share=s, rest=1-s) and then one of (share=1-s) take r to (1 - m) r + m (s a + (1 - s) b), and
    count as one batch. A layer without momentum (a plain average) moves in full or not at all. A frozen
    pass in training mode still normalizes by its own batch.
    """
    momenta = [layer.momentum for layer in layers]
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.track_running_stats = share > 0
        layer.momentum = momentum and momentum * share / (1 - momentum * rest)
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.track_running_stats, layer.momentum = True, momentum
            if rest and layer.training and layer.num_batches_tracked is not None:
                layer.num_batches_tracked.sub_(1)
