"""What a regularizer sees of one step of a classifier: its clean passes, computed once for all terms."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from genreg import streams
from genreg.forward.base import Forward
from genreg.model.base import Classifier
from genreg.model.statistics import running_statistics


class Pass:
    """One clean pass of a classifier over a batch.

    embedding: `model.embed(x)`, the space in which inputs are perturbed; logits: (B, classes), without
    history if `gradient` is false. The clean pass moves running statistics (`share` and `rest` as in
    `running_statistics`); perturbed passes never do. All passes draw the same dropout masks (`seed`), so
    that over one step the model is one fixed function and a perturbation of length zero diverges by
    exactly zero.
    """

    def __init__(
        self,
        model: Classifier,
        x: Tensor,
        *,
        seed: int = 0,
        gradient: bool = True,
        share: float = 1.0,
        rest: float = 0.0,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.model, self.seed, self.dtype = model, seed, dtype
        self.embedding = model.embed(x)
        with running_statistics(model.batch_norms, share, rest), torch.set_grad_enabled(gradient):
            self.logits = self._classify(self.embedding)

    def perturbed(self, embedding: Tensor) -> Tensor:
        """Logits at another point of the embedding, with the same masks and frozen statistics."""
        with running_statistics(self.model.batch_norms, 0):
            return self._classify(embedding)

    @contextmanager
    def full_precision(self) -> Iterator[Tensor]:
        """Inside, passes run in float32 (no autocast, no tf32); yields the clean logits at that precision.

        A finite difference does not survive the eight bits of a bfloat16 mantissa.
        """
        dtype, self.dtype = self.dtype, None
        matmul, cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
        reduced = dtype is not None or matmul != "highest"
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        try:
            with torch.no_grad():
                yield self.perturbed(self.embedding) if reduced else self.logits.detach()
        finally:
            self.dtype = dtype
            torch.set_float32_matmul_precision(matmul)
            torch.backends.cudnn.allow_tf32 = cudnn

    def _classify(self, embedding: Tensor) -> Tensor:
        streams.reseed_default(self.seed, embedding.device)
        with torch.autocast(embedding.device.type, self.dtype) if self.dtype else nullcontext():
            return self.model.classify(embedding).to(embedding.dtype)


@dataclass(kw_only=True)
class ClassifierForward(Forward):
    """The clean passes of a step: labeled items with classes y, and unlabeled ones if a method reads them."""

    model: Classifier
    labeled: Pass
    y: Tensor
    unlabeled_pass: Pass | None

    @property
    def unlabeled(self) -> Pass:
        if self.unlabeled_pass is None:
            raise RuntimeError("a penalty reads forward.unlabeled, but no method says uses_unlabeled")
        return self.unlabeled_pass

    @property
    def points(self) -> Tensor:
        """The embeddings of the labeled items."""
        return self.labeled.embedding

    def score(self, x: Tensor) -> Tensor:
        """The cross-entropy of each labeled item, had it the embedding x."""
        return F.cross_entropy(self.labeled.perturbed(x), self.y, reduction="none")
