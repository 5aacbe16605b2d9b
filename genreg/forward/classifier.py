"""A forward pass of a classifier (or a regression) as methods see it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor, nn

from genreg import streams
from genreg.dataset.base import Batch
from genreg.forward.base import Draws, Forward
from genreg.loss import CrossEntropy, Loss
from genreg.model.base import Classifier
from genreg.model.passes import twice
from genreg.model.statistics import RunningStatistics, statistics_of
from genreg.streams import Seed

Pullback = Callable[[Tensor], Tensor]
"""From a cotangent of the logits to the gradient in the embedding."""


class ClassifierForward(Forward):
    """The clean pass over one batch: `embedding` is where inputs are perturbed, `logits` (B, k) what came.

    masks: the seed of this pass's dropout masks and of attached layers; all passes at other points draw the
    same ones, so that within an update the model is one fixed function and a perturbation of length zero
    changes exactly nothing. gradient: whether `logits` have history. statistics: left alone by every pass
    but this one. dtype: of autocast, or None.
    """

    def __init__(
        self, model: nn.Module, batch: Batch, *, draws: Draws | None = None, masks: Seed = 0,
        loss: Loss | None = None, statistics: RunningStatistics | None = None, gradient: bool = True,
        dtype: torch.dtype | None = None, unlabeled: "ClassifierForward | None" = None,
    ) -> None:  # fmt: skip
        super().__init__(model, Draws(0, 0, batch.e.device) if draws is None else draws)
        self.batch, self.masks, self.dtype = batch, masks, dtype
        self.loss = loss or CrossEntropy()
        self.statistics = statistics or RunningStatistics(model)
        self.unlabeled_pass = unlabeled
        self.further: dict[tuple[Any, ...], Tensor] = {}
        self.embedding, self.mask = batch.e, batch.mask
        with nullcontext() if gradient else torch.no_grad():
            self.logits = self._call(self.embedding, masks)

    def at(self, embedding: Tensor) -> Tensor:
        """Logits at another point of the embedding, with the same masks; statistics are left alone."""
        with self.statistics.frozen():
            return self._call(embedding, self.masks)

    def again(self, k: int = 1, model: nn.Module | None = None) -> Tensor:
        """Logits at the same point with other masks, the k-th others: computed once, shared by all terms.

        model: another one than that which is trained, such as a teacher. Statistics are left alone.
        """
        key = k, model, self.dtype, torch.is_grad_enabled()
        if key not in self.further:
            statistics = self.statistics if model is None else RunningStatistics(model)
            with statistics.frozen():
                masks = streams.derived(self.masks, "again", k)
                self.further[key] = self._call(self.embedding, masks, model)
        return self.further[key]

    def _call(self, embedding: Tensor, masks: Seed, model: nn.Module | None = None) -> Tensor:
        streams.begin_pass(masks, embedding.device)
        called: Callable[..., Tensor] = self.model if model is None else model
        if self.dtype is None:
            return called(embedding=embedding, mask=self.mask)
        with torch.autocast(embedding.device.type, self.dtype):
            return called(embedding=embedding, mask=self.mask).to(embedding.dtype)

    def vjp(self, point: Tensor) -> tuple[Tensor, Pullback]:
        """Logits at `point`, and the pullback there; no parameter's gradient is touched."""
        with torch.enable_grad():
            point = point.detach().requires_grad_()
            logits = self.at(point)
        return logits.detach(), lambda cotangent: torch.autograd.grad(logits, point, cotangent)[0]

    def jvp(self, point: Tensor, tangent: Tensor) -> tuple[Tensor, Tensor, Pullback]:
        """Logits at `point`, their derivative along `tangent`, and the pullback, by one pass.

        The reverse pass is taken outside the dual level: CUDA's dropout has no forward derivative of its
        backward pass.
        """
        with torch.enable_grad(), twice(), forward_ad.dual_level():
            point = point.detach().requires_grad_()
            # of J'FJu, Ju comes with the pass itself, and J' by the reverse pass of its primal
            dual = forward_ad.unpack_dual(self.at(forward_ad.make_dual(point, tangent)))
            logits, slope = dual.primal, dual.tangent.detach()
        return logits.detach(), slope, lambda cotangent: torch.autograd.grad(logits, point, cotangent)[0]

    @contextmanager
    def full_precision(self) -> Iterator[Tensor]:
        """Inside, passes run in float32 (no autocast, no tf32); yields the clean logits at that precision.

        A finite difference does not survive the eight bits of a bfloat16 mantissa.
        """
        matmul, cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
        if self.dtype is None and matmul == "highest" and not (cudnn and self.embedding.is_cuda):
            yield self.logits.detach()
            return
        dtype, self.dtype = self.dtype, None
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        try:
            with torch.no_grad():
                clean = self.at(self.embedding)
            yield clean
        finally:
            self.dtype = dtype
            torch.set_float32_matmul_precision(matmul)
            torch.backends.cudnn.allow_tf32 = cudnn

    @property
    def unlabeled(self) -> "ClassifierForward":
        clean = self.unlabeled_pass
        return super().unlabeled if clean is None else clean.of(self.method)

    @property
    def numbers(self) -> Tensor:
        """The places in the pool of the items of an unlabeled batch, (B,)."""
        if self.batch.numbers is None:
            raise RuntimeError("forward.numbers: the method must say reads = {'numbers'} on its class")
        return self.batch.numbers

    @property
    def y(self) -> Tensor:
        """The targets, as `Batch.y`."""
        return self.batch.y

    @property
    def points(self) -> Tensor:
        """The embeddings of the labeled items."""
        return self.embedding

    def score(self, x: Tensor) -> Tensor:
        """The loss of each labeled item, had it alone the embedding x, (B,).

        Batch normalization keeps the statistics of the labeled batch as it is, so that no item's loss depends
        on another's x; how they depend on the weights is differentiated.
        """
        return self.loss(self.alone(x), self.batch)

    def alone(self, x: Tensor) -> Tensor:
        """The logits of each labeled item, had it alone the embedding x: what `score` compares."""
        with self.fixed_statistics(), twice():
            return self.at(x)

    def fixed_statistics(self) -> AbstractContextManager[None]:
        """Inside, batch normalization keeps the statistics of this batch, whatever a pass is shown."""
        return statistics_of(self.model, lambda: self.at(self.embedding))


def embedded(
    model: Classifier, x: Tensor, y: Tensor, classes: int = 0, vocabulary: int = 0, replicas: int = 1
) -> Batch:
    """A batch as the model embeds it; vocabulary: rows of its table, where x are their numbers."""
    tokens = x if vocabulary else None
    return Batch(model.embed(x), y, classes, model.mask(x), tokens, vocabulary, replicas)
