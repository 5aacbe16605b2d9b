"""Attention over tokens."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genreg.dataset.tokenizer import Vocabulary
from genreg.errors import InputError
from genreg.model.base import Classifier
from genreg.model.text.base import Pooling, TextClassifier, load_pretrained
from genreg.parameters import Count, Fraction, checked


class Block(nn.Module):
    """h + attention, then h + two layers with gelu between, each of them of the normalized h."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.ahead_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attended, self.joined = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.ahead = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor, allowed: Tensor | None) -> Tensor:
        parts = self.attended(self.norm(h)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = parts
        a = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        h = h + self.dropout(self.joined(a.transpose(1, 2).flatten(2)))
        return h + self.dropout(self.ahead(self.ahead_norm(h)))  # type: ignore[no-any-return]


class Transformer(TextClassifier, Classifier):
    """A small transformer, normalized before each part (Xiong et al., arXiv:2002.04745).

    Vaswani et al., arXiv:1706.03762, with learned positions. They are added behind `embed`: a perturbation
    moves tokens, not positions.

    width: of an embedding and of the states. causal: a position attends to none behind it.
    dropout: of each part and of a text's vector.
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
        layers: Count = 2,
        heads: Count = 4,
        causal: bool = False,
        pooling: Pooling = "mean",
        dropout: Fraction = 0.1,
        normalize_embeddings: bool = False,
        pretrained: str | None = None,
    ) -> None:
        if width % heads:
            raise InputError("model.width", f"a multiple of model.heads ({heads})", width)
        super().__init__(
            vocabulary=vocabulary, width=width, outputs=outputs, states=width, pooling=pooling,
            dropout=dropout, normalize_embeddings=normalize_embeddings,
        )  # fmt: skip
        self.sees_next, self.causal = not causal, causal
        self.positions = nn.Parameter(0.02 * torch.randn(input_shape[0], width))
        self.entry, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        load_pretrained(self, pretrained)

    def encode(self, embedding: Tensor, mask: Tensor | None = None) -> Tensor:
        length = embedding.shape[1]
        h = self.dropout(self.entry(embedding + self.positions[:length]))
        allowed = None if mask is None else mask[:, None, None, :]
        if self.causal:
            before = torch.ones(length, length, dtype=torch.bool, device=h.device).tril()
            allowed = before if allowed is None else allowed & before
        for block in self.blocks:
            h = block(h, allowed)
        return self.norm(h)  # type: ignore[no-any-return]
