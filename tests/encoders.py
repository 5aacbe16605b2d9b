"""Encoders of a few units with random weights, saved as others save theirs; texts that they can read."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from reviews import WORDS, reviews
from torch import Tensor

from genreg.dataset.encoder import fast_tokenizer, transformers
from genreg.model import PretrainedEncoder
from genreg.task.alternate import Alternate
from genreg.task.classify import Classify

X, Y = reviews().test.x[:8], reviews().test.y[:8]
SIZE: dict[str, Any] = {"vocab_size": len(WORDS), "hidden_size": 16, "num_hidden_layers": 2,
                        "pad_token_id": 0, "num_attention_heads": 2, "intermediate_size": 32,
                        "max_position_embeddings": 40, "embedding_size": 8}  # fmt: skip


def encoder(folder: Path, kind: str = "bert", tokens: Sequence[str] = WORDS, **options: Any) -> str:
    """A folder with config.json, safetensors and a tokenizer of words; its weights are far from zero."""
    package = transformers()
    config = package.AutoConfig.for_model(kind, **{**SIZE, "vocab_size": len(tokens), **options})
    torch.manual_seed(0)
    made = package.AutoModel.from_config(config)
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    made.save_pretrained(folder)
    fast_tokenizer("words", tokens).save_pretrained(folder)
    return str(folder)


def model(name: str, **options: Any) -> PretrainedEncoder:
    torch.manual_seed(0)
    data = reviews()
    given = {"vocabulary": data.vocabulary, "input_shape": data.input_shape, "outputs": 2, "name": name}
    return PretrainedEncoder(**{**given, **options})


def classify(name: str, regularizer: dict[str, Any] | None = None, **options: Any) -> Classify:
    return Classify(**_given(name, regularizer, **options))


def alternate(name: str, regularizer: dict[str, Any] | None = None, **options: Any) -> Alternate:
    return Alternate(**_given(name, regularizer, **options), unlabeled_optimizer=partial(adam, lr=1e-3))


def _given(name: str, regularizer: dict[str, Any] | None, **options: Any) -> dict[str, Any]:
    return {"dataset": lambda seed: reviews(), "model": partial(PretrainedEncoder, name=name, **options),
            "regularizer": regularizer or {}, "optimizer": partial(adam, lr=2e-3), "batch_size": 8,
            "unlabeled_batch_size": 8}  # fmt: skip


def adam(parameters: Any, lr: float) -> torch.optim.Adam:
    return torch.optim.Adam(parameters, lr=lr)


def trained(task: Any, steps: range) -> dict[str, Tensor]:
    for step in steps:
        task.step(step)
    return dict(task.model.state_dict())
