"""BERT of any size, to be trained from the start."""

from collections.abc import Sequence

from genreg.dataset.encoder import transformers
from genreg.dataset.tokenizer import Vocabulary
from genreg.errors import InputError
from genreg.model.text.base import Pooling, load_pretrained
from genreg.model.text.encoder import Attention, Encoded
from genreg.parameters import Count, Fraction, checked


class Bert(Encoded):
    """BERT as transformers has it, with the vocabulary of the data (Devlin et al., arXiv:1810.04805).

    `genreg export` makes an encoder's folder of its run. width: of an embedding and of the states; between
    them layers are four times as wide. positions: tokens of the longest text that it could ever read.
    dropout: of every part, and of a text's vector. attention: as in `PretrainedEncoder`.
    pretrained: folder of a run of task=pretrain with the same data and model.
    """

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
        super().__init__(config, vocabulary=vocabulary, outputs=outputs, pooling=pooling, dropout=dropout)
        self.encoder = package.BertModel(config, add_pooling_layer=False)
        self.check_length(input_shape[0])
        load_pretrained(self, pretrained)
