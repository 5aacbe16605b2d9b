"""An encoder that others have trained, from the hub or a local folder."""

import hashlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from genreg.dataset.encoder import EncoderTokenizer, first_line, reading, transformers
from genreg.dataset.tokenizer import Vocabulary
from genreg.errors import InputError
from genreg.model.base import Classifier
from genreg.model.passes import recompute
from genreg.model.text.base import Pooling, TextClassifier
from genreg.model.text.encoder import Attention, check_length, layers_of, states_of, words_of
from genreg.parameters import Count, CountOrZero, Fraction, Neutral, checked


class PretrainedEncoder(TextClassifier, Classifier):
    """A dense layer on a pretrained encoder, both trained (Devlin et al., arXiv:1810.04805, section 3.2).

    name: on the hub, or a local folder that `save_pretrained` wrote; the data must be cut by its own
    tokenizer (`dataset.tokenizer`). pooling: as in `TextClassifier`. dropout: of a text's vector.
    encoder_dropout: of every dropout layer inside the encoder; None: as it was trained. frozen_layers: the
    first ones that are not trained, nor are the embeddings then. frozen_embeddings: these alone are not,
    which spares a large table its gradient and moments; they are perturbed all the same.
    gradient_checkpointing: `recompute` its layers, for memory. random_weights: its architecture, with
    weights drawn by `seed`. attention: `sdpa`, or `eager`: plain products, so that all passes draw the same
    masks on a GPU too.
    """

    encoder: Any
    by_item = ("encoder_dropout=0.0",)  # fused attention draws its masks by itself

    @checked
    def __init__(
        self,
        *,
        vocabulary: Vocabulary,
        input_shape: Sequence[int],
        outputs: Count,
        name: str,
        pooling: Pooling = "cls",
        dropout: Fraction = 0.0,
        encoder_dropout: Fraction | None = None,
        frozen_layers: CountOrZero = 0,
        frozen_embeddings: Annotated[bool, Neutral(False)] = False,
        gradient_checkpointing: bool = False,
        random_weights: bool = False,
        attention: Attention = "sdpa",
    ) -> None:
        with reading(name, "model.name"):
            config = transformers().AutoConfig.from_pretrained(name)
        super().__init__(
            vocabulary=vocabulary, outputs=outputs, states=config.hidden_size, pooling=pooling,
            dropout=dropout,
        )  # fmt: skip
        self.encoder_dropout = encoder_dropout
        self.spread = getattr(config, "initializer_range", 1.0)
        self.encoder = drawn(config, attention) if random_weights else read(name, config, attention)
        check_length(self.encoder, input_shape[0])
        check_vocabulary(name, vocabulary, len(self.table()), own=not random_weights)
        if not random_weights:
            self.checksums = {name: digest(self.encoder)}
        if encoder_dropout is not None:
            for layer in self.encoder.modules():
                if isinstance(layer, nn.Dropout):
                    layer.p = encoder_dropout
        if frozen_layers or frozen_embeddings:
            self._freeze(frozen_layers)
        if gradient_checkpointing:
            recompute(layers_of(self.encoder))

    def _freeze(self, count: int) -> None:
        """Take the embeddings and the first layers, `count` of them, out of training."""
        layers = layers_of(self.encoder)
        if count > len(layers):
            raise InputError("model.frozen_layers", f"at most {len(layers)} (layers)", count)
        below = getattr(self.encoder, "embeddings", self.encoder.get_input_embeddings())
        for part in (below, *layers[:count]):
            part.requires_grad_(False)

    def table(self) -> Tensor:
        return words_of(self.encoder)

    def encode(self, embedding: Tensor, mask: Tensor | None = None) -> Tensor:
        return states_of(self.encoder, embedding, mask)


def drawn(config: Any, attention: Attention) -> nn.Module:
    """The architecture of a configuration, its weights drawn from torch's own generator."""
    made: nn.Module = transformers().AutoModel.from_config(config, **options(config, attention))
    return made.train()


def read(name: str, config: Any, attention: Attention) -> nn.Module:
    """The encoder with its weights, read as safetensors only; InputError where one of them is missing."""
    folder = Path(name)
    if folder.is_dir() and not any(folder.glob("*.safetensors")):
        expected = "weights as safetensors, which save_pretrained writes (others are pickles, which run code)"
        raise InputError("model.name", expected, f"none in {name}")
    package: Any = transformers()
    from safetensors import SafetensorError

    try:
        with reading(name, "model.name"):
            found: tuple[nn.Module, dict[str, Any]] = package.AutoModel.from_pretrained(
                name, config=config, use_safetensors=True, output_loading_info=True,
                **options(config, attention),
            )  # fmt: skip
    except (RuntimeError, SafetensorError) as error:  # of another shape, or damaged
        expected = "weights that its config.json describes"
        raise InputError("model.name", expected, f"{name}: {first_line(error)}") from error
    made, told = found
    if missing := sorted(told["missing_keys"]):
        raise InputError("model.name", "all weights of an encoder", f"{name}, which lacks {missing[0]}")
    return made.train()


def digest(module: nn.Module) -> str:
    """The sha256 of its weights, however they lie in files."""
    found = hashlib.sha256()
    for name, weight in module.state_dict().items():
        found.update(name.encode())
        found.update(weight.contiguous().flatten().view(torch.uint8).numpy())
    return found.hexdigest()


def options(config: Any, attention: Attention) -> dict[str, Any]:
    """Arguments that make an encoder of its states only, in torch's own precision."""
    kind = transformers().MODEL_MAPPING.get(type(config), None)
    plain = kind is not None and "add_pooling_layer" in inspect.signature(kind.__init__).parameters
    found: dict[str, Any] = {"attn_implementation": attention, "dtype": torch.get_default_dtype()}
    return found | ({"add_pooling_layer": False} if plain else {})


def check_vocabulary(name: str, vocabulary: Vocabulary, rows: int, *, own: bool) -> None:
    """InputError where texts were not cut by the encoder's own tokenizer, or have tokens without a row.

    own: whether rows have meanings, so that tokens must be the same; where no tokenizer lies with the
    encoder, only their number is compared.
    """
    expected = f"the encoder's own: dataset.tokenizer={name}"
    if len(vocabulary) > rows:
        raise InputError("dataset.tokenizer", expected, f"{len(vocabulary)} tokens for {rows} rows")
    if not own:
        return
    try:
        tokens = EncoderTokenizer(name).tokens
    except InputError:
        return
    if list(tokens) != list(vocabulary.tokens):
        raise InputError("dataset.tokenizer", expected, f"{len(vocabulary)} other tokens")
