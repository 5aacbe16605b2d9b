"""Convolutions over tokens."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genreg.dataset.tokenizer import Vocabulary
from genreg.model.base import Classifier
from genreg.model.text.base import Pooling, TextClassifier, load_pretrained
from genreg.parameters import Count, Fraction, checked


class CharCNN(TextClassifier, Classifier):
    """Convolutions of several lengths side by side, relu, and the largest value over positions.

    Kim, arXiv:1408.5882, equations 2 to 4; zeros stand around a text, so that every position has a state.

    width: of an embedding. kernel_sizes: tokens that each convolution reads. channels: of each of them.
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
        kernel_sizes: list[Count],
        channels: Count = 64,
        pooling: Pooling = "max",
        dropout: Fraction = 0.5,
        normalize_embeddings: bool = False,
        pretrained: str | None = None,
    ) -> None:
        super().__init__(
            vocabulary=vocabulary, width=width, outputs=outputs, states=channels * len(kernel_sizes),
            pooling=pooling, dropout=dropout, normalize_embeddings=normalize_embeddings,
        )  # fmt: skip
        self.convolutions = nn.ModuleList(convolution(width, channels, size) for size in kernel_sizes)
        load_pretrained(self, pretrained)

    def encode(self, embedding: Tensor, mask: Tensor | None = None) -> Tensor:
        e = embedding if mask is None else embedding * mask[..., None]
        return torch.cat([conv(e.mT).mT for conv in self.convolutions], 2)


def convolution(width: int, channels: int, size: int) -> nn.Sequential:
    """(B, width, T) to (B, channels, T), with zeros around."""
    around = nn.ConstantPad1d(((size - 1) // 2, size // 2), 0.0)
    return nn.Sequential(around, nn.Conv1d(width, channels, size), nn.ReLU())
