"""Classifiers of texts, and tables that were trained before."""

import pickle
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genreg import download
from genreg.dataset.tokenizer import Vocabulary
from genreg.errors import InputError
from genreg.model.base import Classifier
from genreg.run.data import PRETRAINED
from genreg.run.find import find_runs, weights_of

Pooling = Literal["mean", "max", "cls"]


class TextClassifier(nn.Module, ABC):
    """The part of a classifier that reads rows of token numbers (B, T), in front of `Classifier`'s.

    `embed` looks tokens up in a table, `encode` gives a state for each (B, T, states), and one vector of a
    text is pooled of them.

    pooling: `mean` or `max` over positions that are not padding, or the state of the first token, `cls`.
    dropout: share of the numbers of a text's vector that are dropped.
    width: of a table of its own, drawn from N(0, 1); None for a model that brings another.
    normalize_embeddings: rows are shifted and scaled so that over the pool's tokens each coordinate has mean
    0 and variance 1 (Miyato, Dai and Goodfellow, arXiv:1605.07725, equation 1): a perturbation of a given
    length cannot be made small by longer embeddings.
    sees_next: true if a state reads tokens behind its own.
    spread: standard deviation of the numbers of the table, when they were drawn.
    """

    sees_next = True
    spread = 1.0
    frequencies: Tensor
    checksums: Mapping[str, str]

    def __init__(
        self, *, vocabulary: Vocabulary, outputs: int, states: int, pooling: Pooling, dropout: float,
        width: int | None = None, normalize_embeddings: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.pad, self.states, self.pooling = vocabulary.pad, states, pooling
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(states, outputs)
        if width is not None:
            self.embeddings = nn.Embedding(len(vocabulary), width, padding_idx=self.pad)
            self.normalize_embeddings = normalize_embeddings
            self.register_buffer("frequencies", vocabulary.frequencies[:, None], persistent=False)

    def embed(self, x: Tensor) -> Tensor:
        """Rows of the table, (B, T, width)."""
        return F.embedding(x, self.table(), padding_idx=self.pad)

    def table(self) -> Tensor:
        """The rows that `embed` looks up, (V, width), with their history."""
        v = self.embeddings.weight
        if not self.normalize_embeddings:
            return v
        frequencies = self.frequencies.to(v.dtype)
        centered = v - (frequencies * v).sum(0)
        variance = (frequencies * centered.square()).sum(0)
        return centered / variance.clamp_min(torch.finfo(v.dtype).tiny).sqrt()

    @abstractmethod
    def encode(self, embedding: Tensor, mask: Tensor | None = None) -> Tensor:
        """The states (B, T, states) of an embedded batch; those at padding mean nothing."""

    def mask(self, x: Tensor) -> Tensor:
        return x != self.pad

    def classify(self, embedding: Tensor, mask: Tensor | None = None) -> Tensor:
        vector = pooled(self.encode(embedding, mask), mask, self.pooling)
        outputs: Tensor = self.output(self.dropout(vector))
        return outputs

    def trimmed(self, x: Tensor) -> Tensor:
        return x[:, : int(self.mask(x).sum(1).max())]


def pooled(states: Tensor, mask: Tensor | None, pooling: Pooling) -> Tensor:
    """One vector (B, states) of each text."""
    if pooling == "cls":
        return states[:, 0]
    if mask is None:
        return states.mean(1) if pooling == "mean" else states.amax(1)
    here = mask[..., None]
    if pooling == "max":
        return states.masked_fill(~here, -torch.inf).amax(1)
    return (states * here).sum(1) / here.sum(1)


NEW = ("output.",)
"""Parameters of a classifier that a run of `task=pretrain` does not teach: they start as they were drawn."""


def load_pretrained(model: Classifier, folder: str | None) -> None:
    """Give a model the weights that a run of `task=pretrain` chose, all but those of its output.

    folder: the run's own, or one with no other finished run below. Raises InputError where there is none
    or more than one, and for weights of another model or vocabulary.
    """
    if folder is None:
        return
    paths = weights_of(find_runs(Path(folder)))
    if len(paths) != 1:
        near = [str(path.parent) for path in paths[:5]]
        raise InputError("model.pretrained", "the folder of one finished run of task=pretrain", folder, near)
    (path,) = paths
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise InputError("model.pretrained", f"tensors in {path.name}", str(error).splitlines()[0]) from error
    prefix = "encoder."
    weights = {name.removeprefix(prefix): w for name, w in found.items() if name.startswith(prefix)}
    own = {name: w for name, w in model.state_dict().items() if not name.startswith(NEW)}
    wrong = [name for name in own if name not in weights or weights[name].shape != own[name].shape]
    if wrong:
        name = wrong[0]
        got = tuple(weights[name].shape) if name in weights else "none"
        expected = f"a run with the same data and model: {name} of shape {tuple(own[name].shape)}"
        raise InputError("model.pretrained", expected, f"{got} in {folder}")
    model.load_state_dict({name: weights[name] for name in own}, strict=False)
    model.checksums = {PRETRAINED: download.of_file(path)}
