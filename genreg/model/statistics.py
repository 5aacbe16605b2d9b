"""Running statistics of batch normalization, which move once in an update."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from genreg import streams
from genreg.run import ranks

Buffers = dict[str, Tensor | None]


class RunningStatistics:
    """A model's running statistics, and which passes of an update move them how far.

    A pass in training mode moves them as torch does. Where an update makes a second one, that one starts
    from where the first did, and `settle` averages both ends: one move by both batches, and a layer that
    averages plainly (no momentum) counts one batch. A frozen pass still normalizes by its own batch.
    """

    def __init__(self, model: nn.Module) -> None:
        self.layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
        self.start: list[Buffers] = []
        self.share = 0.0  # of the second pass

    def frozen(self) -> AbstractContextManager[None]:
        """Inside, no pass moves them."""
        return self._frozen() if self.layers else nullcontext()

    @contextmanager
    def _frozen(self) -> Iterator[None]:
        before = [layer.track_running_stats for layer in self.layers]
        for layer in self.layers:
            layer.track_running_stats = False
        try:
            yield
        finally:
            for layer, tracks in zip(self.layers, before, strict=True):
                layer.track_running_stats = tracks

    def begin(self) -> None:
        """Remember where they are, before the first of two passes."""
        self.start = [
            {name: buffer if buffer is None else buffer.clone() for name, buffer in layer._buffers.items()}
            for layer in self.layers
        ]

    @contextmanager
    def second(self, share: float) -> Iterator[None]:
        """The pass inside moves them from where `begin` saw them; it counts as `share` of the update."""
        self.share = share
        self._exchange()  # other tensors: the backward of the first pass refuses buffers that moved since
        try:
            yield
        finally:
            self._exchange()

    @contextmanager
    def anew(self, show: Callable[[], None]) -> Iterator[None]:
        """Inside, they are the plain averages over the batches of `show`, which passes them in training mode.

        After it they are bit for bit as they were. Layers in evaluation mode keep theirs throughout.
        """
        layers = [layer for layer in self.layers if layer.training]
        momenta = [layer.momentum for layer in layers]
        self.begin()
        self._exchange()
        try:
            for layer in layers:
                layer.momentum = None
                layer.reset_running_stats()
            show()
            yield
        finally:
            for layer, momentum in zip(layers, momenta, strict=True):
                layer.momentum = momentum
            self._exchange()
            self.start = []

    def _exchange(self) -> None:
        for layer, other in zip(self.layers, self.start, strict=True):
            for name, buffer in other.items():
                other[name], layer._buffers[name] = layer._buffers[name], buffer

    def settle(self) -> None:
        """After the backward pass, which reads the buffers: take the average of both passes."""
        for layer, second in zip(self.layers, self.start, strict=False):
            for name in ("running_mean", "running_var"):
                with torch.no_grad():
                    layer._buffers[name].lerp_(second[name], self.share)  # type: ignore[union-attr, arg-type]
        self.start = []


@contextmanager
def statistics_of(model: nn.Module, clean: Callable[[], Any]) -> Iterator[None]:
    """Inside, a pass is normalized by the batch statistics of the pass `clean()`, whatever it is shown.

    They keep their history. Without layers that normalize by batches, `clean` is not called.
    """
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and by_batch(m)]
    if not layers:
        yield
        return
    seen: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {layer: [] for layer in layers}

    def note(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen[layer].append(moments(given[0]))

    def replace(layer: _BatchNorm, given: tuple[Tensor, ...], _: Tensor) -> Tensor:
        own = seen[layer].pop(0)  # a layer may be called several times
        seen[layer].append(own)
        return normalized(layer, given[0], *own)

    with _hooked([layer.register_forward_pre_hook(note) for layer in layers]):
        clean()
    # first, so that what a method attached acts on what is replaced
    with _hooked([layer.register_forward_hook(replace, prepend=True) for layer in layers]):
        yield


@contextmanager
def _hooked(hooks: list[Any]) -> Iterator[None]:
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def by_batch(layer: _BatchNorm) -> bool:
    return layer.training or layer.running_mean is None


def moments(h: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each channel, (1, C, 1, ...), in float32 at least; of the whole batch."""
    wide = h.to(torch.promote_types(h.dtype, torch.float32))
    variance, mean = torch.var_mean(wide, [0, *range(2, h.ndim)], correction=0, keepdim=True)
    if streams.processes == 1:
        return mean, variance
    of_all = over_processes(mean)
    return of_all, over_processes(variance + (mean - of_all).square())


class OverProcesses(torch.autograd.Function):
    """The mean over the processes that share a batch.

    It is its own adjoint: a process's x counts by 1 / n in the objective of each, and their gradients meet on
    the way back. So it may be differentiated again, and forward.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        found = x.detach().clone()
        ranks.average([found])
        return found

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return over_processes(g)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        return over_processes(tangent)


def over_processes(x: Tensor) -> Tensor:
    """The mean over the processes that share a batch, as a function that is differentiated."""
    found: Tensor = OverProcesses.apply(x)  # type: ignore[no-untyped-call]
    return found


def normalized(layer: _BatchNorm, h: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    scaled = (h - mean) * (variance + layer.eps).rsqrt()
    if layer.affine:
        scaled = scaled * layer.weight.view_as(mean) + layer.bias.view_as(mean)
    return scaled.to(h.dtype)
