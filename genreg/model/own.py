"""Modules that a user brings: what a factory is given of the data, and how a task trains what it makes."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from genreg.dataset.tokenizer import Vocabulary
from genreg.errors import PAGE, InputError, cause, of_machine
from genreg.model.base import Classifier
from genreg.model.gan import Critic, Gan, Generator
from genreg.model.passes import evaluation_mode
from genreg.run.build import OwnModel

SHOWN = 2  # items that a module is shown before the first step


class Wrapped(Classifier):
    """A module of a user's own as a classifier: perturbations act on what it is given.

    module: maps (B, ...) to (B, outputs), or to an object with such `logits`.
    embedding: the dotted name of its table of embeddings. x are then rows of token numbers, perturbations act
    on their embeddings, and in a pass at other points the table's output is replaced.
    pad: the number at positions behind a text; where the module takes an `attention_mask`, it is given one.
    """

    def __init__(self, module: nn.Module, embedding: str | None = None, pad: int | None = None) -> None:
        super().__init__()
        self.module, self.embedding, self.pad = module, embedding, pad
        self.checksums: Mapping[str, str] = getattr(module, "checksums", {})
        self.masked = "attention_mask" in inspect.signature(module.forward).parameters

    @property
    def by_item(self) -> tuple[str, ...] | None:  # type: ignore[override]
        return getattr(self.module, "by_item", None)

    @property
    def output(self) -> nn.Linear:  # type: ignore[override]
        found = [layer for layer in self.module.modules() if isinstance(layer, nn.Linear)]
        if not found:
            raise InputError("model", "a module whose last layer is an nn.Linear", type(self.module).__name__)
        return found[-1]

    def embed(self, x: Tensor) -> Tensor:
        if self.embedding is None:
            return x
        embedded: Tensor = self.module.get_submodule(self.embedding)(x.long())
        return embedded

    def mask(self, x: Tensor) -> Tensor | None:
        return None if self.pad is None else x != self.pad

    def trimmed(self, x: Tensor) -> Tensor:
        return x if self.pad is None else x[:, : int((x != self.pad).sum(1).max())]

    def classify(self, embedding: Tensor, mask: Tensor | None = None) -> Tensor:
        given = {"attention_mask": mask.long()} if self.masked and mask is not None else {}
        if self.embedding is None:
            return _logits(self.module(embedding, **given))
        tokens = torch.zeros(embedding.shape[:-1], dtype=torch.long, device=embedding.device)
        if mask is not None:  # what the module makes of padding itself stays right
            tokens = torch.where(mask, int(self.pad == 0), int(self.pad or 0))
        table = self.module.get_submodule(self.embedding)
        hook = table.register_forward_hook(lambda *_: embedding)
        try:
            return _logits(self.module(tokens, **given))
        finally:
            hook.remove()


def _logits(outputs: Any) -> Tensor:
    """The outputs, or their `logits`. What torch.fx traces is no tensor yet, and has any attribute."""
    plain = isinstance(outputs, Tensor) or "logits" not in dir(outputs)
    found: Tensor = outputs if plain else outputs.logits
    return found


def classifier(
    make: Callable[..., Any],
    *,
    input_shape: Sequence[int],
    outputs: int,
    vocabulary: Vocabulary | None = None,
) -> Classifier:
    """The classifier that a factory makes for the data; a module of another kind comes `Wrapped`."""
    facts: dict[str, Any] = {"input_shape": list(input_shape), "outputs": outputs}
    more: dict[str, Any] = dict.fromkeys(("num_classes", "num_labels", "out_features"), outputs)
    more |= {"in_features": math.prod(input_shape)}
    if len(input_shape) == 3:
        more["in_channels"] = input_shape[0]
    if vocabulary is not None:
        more |= {"vocabulary": vocabulary, "padding_idx": vocabulary.pad}
        more |= dict.fromkeys(("vocab_size", "num_embeddings"), len(vocabulary))
    made = make(**_taken(make, facts, more))
    embedding = make.embedding if isinstance(make, OwnModel) else None
    if isinstance(made, Classifier):
        if embedding is not None:
            raise InputError("model.embedding", "no such key of a classifier, which embeds itself", embedding)
        return made
    if not isinstance(made, nn.Module):
        raise InputError("model", contract(input_shape, outputs), made)
    return _wrapped(made, embedding, vocabulary)


def _taken(make: Callable[..., Any], facts: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """The facts of the data that a factory's signature names; all `facts` where it takes any keyword."""
    parameters = inspect.signature(make).parameters
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    named = {name: fact for name, fact in {**facts, **more}.items() if name in parameters}
    return {**(facts if anything else {}), **named}


def _wrapped(module: nn.Module, embedding: str | None, vocabulary: Vocabulary | None) -> Wrapped:
    """The module as a classifier; InputError where texts are read and no table of embeddings is named."""
    tables = [name for name, layer in module.named_modules() if isinstance(layer, nn.Embedding)]
    if embedding not in tables and (vocabulary is not None or embedding is not None):
        expected = f"the name of the nn.Embedding at whose output inputs are perturbed ({PAGE})"
        raise InputError("model.embedding", expected, str(embedding), tables)
    return Wrapped(module, embedding, None if vocabulary is None else vocabulary.pad)


def contract(input_shape: Sequence[int], outputs: int) -> str:
    """The words for what a module must do, for an error."""
    given = ", ".join(map(str, ["B", *input_shape]))
    return f"a module that maps ({given}) to (B, {outputs}), as the data have them ({PAGE})"


def check_classifier(model: nn.Module, x: Tensor, outputs: int) -> None:
    """InputError for a model of a user's own that does not map x, a few items, to (B, outputs)."""
    if isinstance(model, Wrapped) or not type(model).__module__.startswith("genreg."):
        few = x[:SHOWN]
        few = model.trimmed(few) if isinstance(model, Wrapped) else few
        _check_shape(model, few, [outputs], contract(x.shape[1:], outputs))


def _check_shape(model: nn.Module, x: Tensor, shape: Sequence[int], expected: str) -> None:
    """InputError where the model does not map x to (B, *shape).

    It is in evaluation mode, and no later draw is another one for it.
    """
    with torch.random.fork_rng(devices=[]), evaluation_mode(model), torch.no_grad():
        try:
            found = model(x)
        except Exception as error:  # a user's own code may raise anything
            if of_machine(error) or isinstance(error, InputError):
                raise
            raise InputError("model", expected, f"{type(error).__name__}: {cause(error)}") from error
    if not isinstance(found, Tensor):
        raise InputError("model", expected, type(found).__name__)
    if found.shape != (len(x), *shape):
        batch = "B" if found.shape[:1] == x.shape[:1] else str(list(found.shape[:1]))[1:-1]
        got = ", ".join([batch, *map(str, found.shape[1:])])
        raise InputError("model", expected, f"({got})")


def gan(make: Callable[..., Any], *, input_shape: Sequence[int], classes: int) -> Gan:
    """The players that a factory makes; two modules, a generator and a critic, become a `Gan`.

    The size of what the generator reads is its attribute `latent`, or `model.latent`. Of conditional players
    both read one-hot labels as `classes` more numbers, or channels, of each item.
    """
    facts = {"input_shape": list(input_shape), "classes": classes}
    made = make(**_taken(make, facts, {"in_features": math.prod(input_shape)}))
    if isinstance(made, Gan):
        return made
    if not (isinstance(made, tuple) and len(made) == 2 and all(isinstance(m, nn.Module) for m in made)):
        expected = f"a generator and a critic: a function that returns two modules ({PAGE})"
        raise InputError("model", expected, made)
    generator, critic = made
    latent = getattr(generator, "latent", make.latent if isinstance(make, OwnModel) else None)
    if not isinstance(latent, int) or latent < 1:
        raise InputError("model.latent", "the number of dimensions of what the generator reads", latent)
    chain = critic if isinstance(critic, nn.Sequential) else nn.Sequential(critic)
    players = Gan(Generator(generator, latent, classes), Critic(chain, classes))
    _check_players(players, input_shape)
    return players


def _check_players(players: Gan, shape: Sequence[int]) -> None:
    """InputError where the generator makes no data, or the critic no score of each."""
    more, (first, *rest) = players.critic.classes, shape
    sizes = (players.generator.latent + more,), (first + more, *rest), tuple(shape)
    words = [", ".join(map(str, ("B", *size))) for size in sizes]
    z = torch.zeros(SHOWN, players.generator.latent + more)
    x = torch.zeros(SHOWN, first + more, *rest)
    _check_shape(
        players.generator.layers, z, shape, f"a generator that maps ({words[0]}) to ({words[2]}) ({PAGE})"
    )
    _check_shape(players.critic.layers, x, [1], f"a critic that maps ({words[1]}) to (B, 1) ({PAGE})")
