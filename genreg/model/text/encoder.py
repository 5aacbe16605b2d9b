"""Classifiers whose states come from an encoder of transformers: BERT of any size, trained from the start."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from genreg.dataset.encoder import transformers
from genreg.dataset.tokenizer import Vocabulary
from genreg.errors import InputError
from genreg.model.base import Classifier
from genreg.model.text.base import Pooling, TextClassifier, load_pretrained
from genreg.parameters import Count, Fraction, checked

Attention = Literal["sdpa", "eager"]

WHOLE_MASK = frozenset({"bert", "roberta", "xlm-roberta", "electra", "ernie"})
"""Architectures that take a mask of pairs of positions as it is; others look at theirs: the host waits."""


class Bert(TextClassifier, Classifier):
    """BERT as transformers has it, with the vocabulary of the data (Devlin et al., arXiv:1810.04805).

    `genreg export` makes an encoder's folder of its run. width: of an embedding and of the states; between
    them layers are four times as wide. positions: tokens of the longest text that it could ever read.
    dropout: of every part, and of a text's vector. attention: as in `PretrainedEncoder`.
    pretrained: folder of a run of task=pretrain with the same data and model.
    """

    encoder: Any

    @checked
    def __init__(
        self,
        *,
        vocabulary: Vocabulary,
        input_shape: Sequence[int],
        outputs: Count,
        width: Count = 256,
        layers: Count = 4,
        heads: Count = 4,
        positions: Count = 512,
        pooling: Pooling = "cls",
        dropout: Fraction = 0.1,
        attention: Attention = "sdpa",
        pretrained: str | None = None,
    ) -> None:
        if width % heads:
            raise InputError("model.width", f"a multiple of model.heads ({heads})", width)
        package = transformers()
        config = package.BertConfig(
            vocab_size=len(vocabulary), pad_token_id=vocabulary.pad, max_position_embeddings=positions,
            hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
            num_attention_heads=heads, attn_implementation=attention, hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
        )  # fmt: skip
        super().__init__(
            vocabulary=vocabulary, outputs=outputs, states=width, pooling=pooling, dropout=dropout
        )
        self.spread = config.initializer_range
        self.encoder = package.BertModel(config, add_pooling_layer=False)
        check_length(self.encoder, input_shape[0])
        load_pretrained(self, pretrained)

    def table(self) -> Tensor:
        return words_of(self.encoder)

    def encode(self, embedding: Tensor, mask: Tensor | None = None) -> Tensor:
        return states_of(self.encoder, embedding, mask)


def words_of(encoder: Any) -> Tensor:
    """The table of an encoder's words; positions and normalization stand behind it, in `states_of`."""
    words: Tensor = encoder.get_input_embeddings().weight
    return words


def states_of(encoder: Any, embedding: Tensor, mask: Tensor | None) -> Tensor:
    """The states (B, T, states) that an encoder makes of embedded words."""
    seen = None if mask is None else _seen(mask, encoder.config, embedding.dtype)
    states: Tensor = encoder(inputs_embeds=embedding, attention_mask=seen).last_hidden_state
    return states


def _seen(mask: Tensor, config: Any, dtype: torch.dtype) -> Tensor:
    """The mask as the encoder reads it."""
    if config.model_type not in WHOLE_MASK:
        return mask.long()
    pairs = mask[:, None, None, :]
    if config._attn_implementation == "sdpa":
        return pairs
    return torch.zeros_like(pairs, dtype=dtype).masked_fill(~pairs, torch.finfo(dtype).min)


def layers_of(encoder: Any) -> nn.ModuleList:
    """The layers of an encoder in order; InputError for one that has no list of them."""
    count = getattr(encoder.config, "num_hidden_layers", 0)
    for module in encoder.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise InputError("model.name", "an encoder with a list of layers", type(encoder).__name__)


def check_length(encoder: Any, length: int) -> None:
    """InputError for texts of more tokens than the encoder has positions."""
    positions = getattr(getattr(encoder, "embeddings", None), "position_embeddings", None)
    if not isinstance(positions, nn.Embedding):
        return
    before = 0 if positions.padding_idx is None else positions.padding_idx + 1
    if length > (room := positions.num_embeddings - before):
        raise InputError("dataset.max_length", f"at most {room}, the encoder's positions", length)
