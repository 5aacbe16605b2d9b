"""Gated recurrent units over tokens."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genreg.dataset.tokenizer import Vocabulary
from genreg.model.base import Classifier
from genreg.model.passes import differentiated_twice
from genreg.model.text.base import Pooling, TextClassifier, load_pretrained
from genreg.parameters import Count, Fraction, checked


class GRU(TextClassifier, Classifier):
    """One layer of gated recurrent units from the first token to the last, and one back.

    Cho et al., arXiv:1406.1078, equations 5 to 8, as torch has them. The way back begins at the last token
    of each text, not in its padding.

    width: of an embedding. units: of each way. bidirectional: false leaves out the way back.
    pretrained: folder of a run of task=pretrain with the same data and model; others: `TextClassifier`.
    """

    by_item = ()

    @checked
    def __init__(
        self,
        *,
        vocabulary: Vocabulary,
        input_shape: Sequence[int],
        outputs: Count,
        width: Count = 64,
        units: Count = 64,
        bidirectional: bool = True,
        pooling: Pooling = "max",
        dropout: Fraction = 0.5,
        normalize_embeddings: bool = False,
        pretrained: str | None = None,
    ) -> None:
        super().__init__(
            vocabulary=vocabulary, width=width, outputs=outputs, states=units * (1 + bidirectional),
            pooling=pooling, dropout=dropout, normalize_embeddings=normalize_embeddings,
        )  # fmt: skip
        self.sees_next = bidirectional
        self.forth = nn.GRU(width, units, batch_first=True)
        self.back = nn.GRU(width, units, batch_first=True) if bidirectional else None
        load_pretrained(self, pretrained)

    def encode(self, embedding: Tensor, mask: Tensor | None = None) -> Tensor:
        # cuDNN has no backward pass in evaluation mode, and no second derivative in any
        fused = self.training and not differentiated_twice()
        with torch.backends.cudnn.flags(enabled=fused):
            forth, _ = self.forth(embedding)
            if self.back is None:
                return forth  # type: ignore[no-any-return]
            order = turned(embedding, mask)
            back, _ = self.back(embedding.gather(1, order.expand_as(embedding)))
            return torch.cat((forth, back.gather(1, order.expand_as(back))), 2)


def turned(embedding: Tensor, mask: Tensor | None) -> Tensor:
    """(B, T, 1) the positions of each text from its last token to its first, then those of its padding."""
    positions = torch.arange(embedding.shape[1], device=embedding.device).expand(embedding.shape[:2])
    if mask is None:
        return positions.flip(1)[..., None]
    behind = mask.sum(1, keepdim=True) - 1 - positions
    return torch.where(behind >= 0, behind, positions)[..., None]
