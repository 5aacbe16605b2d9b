"""Models of texts: padding never counts, and each part against a plain one."""

from functools import partial

import pytest
import torch
from reviews import GOOD, MODELS, classify, model, reviews
from torch import Tensor, nn

from genreg.errors import InputError
from genreg.measure.prediction import predict
from genreg.model import GRU, MLP, TextClassifier, Transformer
from genreg.model.text.base import pooled
from genreg.task.fit import fitting

X = reviews().test.x


def wider(x: Tensor, by: int) -> Tensor:
    return torch.cat((x, x.new_zeros(len(x), by)), 1)


@pytest.mark.parametrize("pooling", ["mean", "max", "cls"])
@pytest.mark.parametrize("name", MODELS)
def test_logits_do_not_depend_on_padding(name: str, pooling: str) -> None:
    made = model(name, pooling=pooling)
    if isinstance(made, Transformer):
        made.positions = nn.Parameter(torch.randn(20, 8).double())
    alone = torch.cat([made(made.trimmed(row[None])) for row in X])
    torch.testing.assert_close(made(wider(X, 7)), alone, rtol=0, atol=1e-12)
    torch.testing.assert_close(predict(made, X), alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_what_stands_at_padding_means_nothing(name: str) -> None:
    made = model(name)
    e, mask = made.embed(X), made.mask(X)
    other = torch.where(mask[..., None], e, torch.randn_like(e))
    torch.testing.assert_close(made(embedding=other, mask=mask), made(X), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_normalized_embeddings_have_mean_0_and_variance_1_over_the_pool(name: str) -> None:
    made = model(name, normalize_embeddings=True)
    tokens = made.embed(reviews().unlabeled)[reviews().unlabeled != 0]
    torch.testing.assert_close(tokens.mean(0), torch.zeros_like(tokens[0]), rtol=0, atol=1e-12)
    torch.testing.assert_close(tokens.var(0, correction=0), torch.ones_like(tokens[0]))


def test_the_way_back_begins_at_the_last_token() -> None:
    made = model("gru")
    assert isinstance(made, GRU)
    both = nn.GRU(6, 5, batch_first=True, bidirectional=True).double()
    for layer, suffix in ((made.forth, ""), (made.back, "_reverse")):
        assert layer is not None
        both.load_state_dict({f"{k}{suffix}": w for k, w in layer.state_dict().items()}, strict=False)
    lengths = made.mask(X).sum(1)
    packed = nn.utils.rnn.pack_padded_sequence(made.embed(X), lengths, batch_first=True, enforce_sorted=False)
    expected, _ = nn.utils.rnn.pad_packed_sequence(both(packed)[0], batch_first=True)
    found = made.encode(made.embed(X), made.mask(X)) * made.mask(X)[..., None]
    torch.testing.assert_close(found, expected)


def test_attention_is_the_formula() -> None:
    made = model("transformer", layers=1)
    assert isinstance(made, Transformer)
    block, (row,) = made.blocks[0], X[:1]
    length = int((row != 0).sum())
    h = made.entry(made.embed(row[None, :length]) + made.positions[:length])[0]
    q, k, v = block.attended(block.norm(h)).view(length, 3, 2, 4).unbind(1)  # type: ignore[operator]
    heads = [((q[:, i] @ k[:, i].T) / 2).softmax(1) @ v[:, i] for i in range(2)]
    h = h + block.joined(torch.cat(heads, 1))  # type: ignore[operator]
    h = h + block.ahead(block.ahead_norm(h))  # type: ignore[operator]
    expected = made.output(made.norm(h).mean(0))
    torch.testing.assert_close(made(row[None])[0], expected)


@pytest.mark.parametrize("build", [
    partial(model, "transformer", causal=True), partial(model, "gru", bidirectional=False),
])  # fmt: skip
def test_a_causal_state_does_not_see_what_comes(build: partial[TextClassifier]) -> None:
    made, other = build(), X.clone()
    other[:, 3:] = GOOD
    states = [made.encode(made.embed(x), x != 0)[:, :3] for x in (X, other)]
    torch.testing.assert_close(*states, rtol=0, atol=1e-12)
    assert not made.sees_next


def test_the_largest_state_is_never_that_of_padding() -> None:
    states = torch.full((1, 3, 2), -1.0)
    states[0, 2] = 5.0
    mask = torch.tensor([[True, True, False]])
    assert pooled(states, mask, "max").tolist() == [[-1, -1]]
    assert pooled(states, mask, "mean").tolist() == [[-1, -1]]


@pytest.mark.every(3)
@pytest.mark.parametrize("name", MODELS)
def test_it_learns_what_tells_the_class(name: str) -> None:
    task = classify(name, labeled=64)
    for step in range(100):
        task.step(step)
    assert task.evaluate()["test/accuracy"] > 0.9


def test_a_model_of_numbers_reads_no_texts_and_the_other_way_round() -> None:
    with pytest.raises(InputError, match=r"model: expected one that reads texts \(model=transformer\)"):
        fitting(partial(MLP, widths=[4]), reviews())
    numbers = reviews().__class__(**{**vars(reviews()), "vocabulary": None})
    with pytest.raises(InputError, match=r"model: expected one that reads numbers \(model=mlp\)"):
        fitting(MODELS["gru"], numbers)


def test_width_must_be_shared_by_heads() -> None:
    with pytest.raises(InputError, match=r"model\.width: expected a multiple of model\.heads \(2\)"):
        model("transformer", width=9)
