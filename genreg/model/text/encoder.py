"""What classifiers share whose states come from an encoder of transformers."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from genreg.dataset.tokenizer import Vocabulary
from genreg.errors import InputError
from genreg.model.text.base import Pooling, TextClassifier

Attention = Literal["sdpa", "eager"]

WHOLE_MASK = frozenset({"bert", "roberta", "xlm-roberta", "electra", "ernie"})
"""Architectures that take a mask of pairs of positions as it is; others look at theirs: the host waits."""


class Encoded(TextClassifier):
    """`embed` looks up an encoder's words; its positions, normalization and layers stand behind, in `encode`.

    encoder: set once by who inherits. config: the encoder's.
    """

    encoder: Any

    def __init__(
        self, config: Any, *, vocabulary: Vocabulary, outputs: int, pooling: Pooling, dropout: float
    ) -> None:
        super().__init__(
            vocabulary=vocabulary, outputs=outputs, states=config.hidden_size, pooling=pooling,
            dropout=dropout,
        )  # fmt: skip
        self.spread = getattr(config, "initializer_range", 1.0)

    def table(self) -> Tensor:
        words: Tensor = self.encoder.get_input_embeddings().weight
        return words

    def encode(self, embedding: Tensor, mask: Tensor | None = None) -> Tensor:
        seen = None if mask is None else self._seen(mask, embedding.dtype)
        states: Tensor = self.encoder(inputs_embeds=embedding, attention_mask=seen).last_hidden_state
        return states

    def _seen(self, mask: Tensor, dtype: torch.dtype) -> Tensor:
        """The mask as the encoder reads it."""
        config = self.encoder.config
        if config.model_type not in WHOLE_MASK:
            return mask.long()
        pairs = mask[:, None, None, :]
        if config._attn_implementation == "sdpa":
            return pairs
        return torch.zeros_like(pairs, dtype=dtype).masked_fill(~pairs, torch.finfo(dtype).min)

    def layers(self) -> nn.ModuleList:
        """Its layers in order; InputError for an encoder that has no list of them."""
        count = getattr(self.encoder.config, "num_hidden_layers", 0)
        for module in self.encoder.modules():
            if isinstance(module, nn.ModuleList) and len(module) == count:
                return module
        raise InputError("model.name", "an encoder with a list of layers", type(self.encoder).__name__)

    def check_length(self, length: int) -> None:
        """InputError for texts of more tokens than the encoder has positions."""
        positions = getattr(getattr(self.encoder, "embeddings", None), "position_embeddings", None)
        if not isinstance(positions, nn.Embedding):
            return
        before = 0 if positions.padding_idx is None else positions.padding_idx + 1
        if length > (room := positions.num_embeddings - before):
            raise InputError("dataset.max_length", f"at most {room}, the encoder's positions", length)
