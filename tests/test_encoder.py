"""Encoders of transformers: what they make of texts, what is trained of them, and whose they may be."""

from pathlib import Path
from typing import Any

import pytest
import torch
from encoders import X, Y, classify, encoder, model, trained
from reviews import WORDS, clean, reviews
from seam import method, same

from genreg.dataset.encoder import EncoderTokenizer, transformers
from genreg.errors import InputError
from genreg.regularizer import VAT
from genreg.regularizer.vat import exact_product

KINDS = ["bert", "roberta", "distilbert", "electra", "albert", "modernbert"]


@pytest.fixture(scope="module")
def name(tmp_path_factory: pytest.TempPathFactory) -> str:
    return encoder(tmp_path_factory.mktemp("bert"))


@pytest.mark.pairs
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", KINDS)
def test_states_are_those_of_the_encoder_itself(kind: str, attention: str, tmp_path: Path) -> None:
    folder = encoder(tmp_path, kind)
    made = model(folder, attention=attention).eval()
    itself = transformers().AutoModel.from_pretrained(folder).eval()
    mask = X != 0
    expected = itself(input_ids=X.long(), attention_mask=mask.long()).last_hidden_state
    found = made.encode(made.embed(X), mask)
    torch.testing.assert_close(found[mask], expected[mask], rtol=0, atol=1e-5)
    assert made.encoder.config._attn_implementation == attention
    assert made.output.in_features == made.states == expected.shape[2]


@pytest.mark.pairs
@pytest.mark.parametrize("pooling", ["cls", "mean", "max"])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_do_not_depend_on_padding(kind: str, pooling: str, tmp_path: Path) -> None:
    made = model(encoder(tmp_path, kind), pooling=pooling).eval()
    alone = torch.cat([made(made.trimmed(row[None])) for row in X])
    wider = torch.cat((X, X.new_zeros(len(X), 7)), 1)
    torch.testing.assert_close(made(wider), alone, rtol=0, atol=1e-6)


def test_dropout_is_as_it_was_trained_unless_told(name: str) -> None:
    for given, expected in ((None, 0.1), (0.3, 0.3), (0.0, 0.0)):
        made = model(name, encoder_dropout=given, dropout=0.2)
        shares = {layer.p for layer in made.encoder.modules() if isinstance(layer, torch.nn.Dropout)}
        assert (shares, made.dropout.p) == ({expected}, 0.2)
        assert torch.equal(made(X), made(X)) == (given == 0.0 and not made.dropout.training)


def test_random_weights_follow_the_seed_and_are_not_those_that_were_read(name: str) -> None:
    made = [model(name, **options).state_dict() for options in ({"random_weights": True},) * 2 + ({},)]
    assert same(made[0], made[1])
    words = "encoder.embeddings.word_embeddings.weight"
    assert not torch.equal(made[0][words], made[2][words])
    assert torch.equal(
        made[0]["output.weight"], made[2]["output.weight"]
    )  # drawn first, whatever comes after


def test_a_run_says_which_weights_it_began_with(name: str, tmp_path: Path) -> None:
    task = classify(name)
    assert set(task.checksums) == {name}
    assert len(task.checksums[name]) == 64
    assert classify(encoder(tmp_path)).checksums[str(tmp_path)] == task.checksums[name]  # wherever they lie
    changed = classify(encoder(tmp_path, hidden_act="relu"))
    assert changed.checksums[str(tmp_path)] == task.checksums[name]
    other = classify(encoder(tmp_path, intermediate_size=30))
    assert other.checksums[str(tmp_path)] != task.checksums[name]
    assert classify(name, random_weights=True).checksums == {}


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_frozen_layers_and_the_embeddings_below_do_not_move(name: str, frozen: int) -> None:
    task = classify(name, {"vat": method("vat", scope="table")}, frozen_layers=frozen)
    before = {key: weight.clone() for key, weight in task.model.state_dict().items()}
    after = trained(task, range(2))
    still = {key for key in after if torch.equal(before[key], after[key])}
    below = [f"encoder.encoder.layer.{k}." for k in range(frozen)] + ["encoder.embeddings."] * bool(frozen)
    assert still == {key for key in after if key.startswith(tuple(below))}


@pytest.mark.parametrize("scope", ["example", "table"])
def test_frozen_embeddings_do_not_move_and_are_perturbed_all_the_same(name: str, scope: str) -> None:
    frozen, free = (
        classify(name, {"vat": method("vat", scope=scope)}, encoder_dropout=0.0, frozen_embeddings=still)
        for still in (True, False)
    )
    below = {key: weight.clone() for key, weight in frozen.model.encoder.embeddings.state_dict().items()}
    terms = [task.step(0)["vat"] for task in (frozen, free)]
    assert terms[0] == terms[1] > 0
    assert same(below, frozen.model.encoder.embeddings.state_dict())
    held = {id(weight) for group in frozen.optimizer.param_groups for weight in group["params"]}
    assert not held & {id(weight) for weight in frozen.model.encoder.embeddings.parameters()}


@pytest.mark.parametrize("scope", ["example", "table"])
def test_both_directions_are_one_for_a_small_step(name: str, scope: Any) -> None:
    seen = clean(model(name).eval().double(), X, Y)
    found = [
        VAT(scope=scope, direction=direction, xi=1e-5).find_direction(seen, torch.Generator().manual_seed(0))
        for direction in ("exact", "finite_difference")
    ]  # type: ignore[arg-type]
    torch.testing.assert_close(*found, rtol=0, atol=1e-4)


def test_the_exact_product_is_that_of_the_hessian(name: str) -> None:
    made = model(name).eval().double()
    row = made.trimmed(X[:1])
    seen = clean(made, row)
    e, p = seen.embedding.detach(), seen.logits.detach().log_softmax(1)

    def divergence(r: torch.Tensor) -> torch.Tensor:
        q = made(embedding=e + r.view_as(e), mask=seen.mask).log_softmax(1)
        return (p.exp() * (p - q)).sum()

    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        hessian = torch.autograd.functional.hessian(divergence, torch.zeros(e.numel(), dtype=e.dtype))
    v = torch.randn_like(e)
    torch.testing.assert_close(
        exact_product(seen, e, v).flatten(), hessian @ v.flatten(), rtol=1e-7, atol=1e-10
    )


METHODS: dict[str, dict[str, Any]] = {
    "none": {},
    "table": {"vat": {"scope": "table"}},
    "flow": {"vat": {"target": "flow"}},
    "exact": {"vat": {"direction": "exact"}},
    "penalty": {"jacobian_penalty": {}},
    "noise in the layers": {
        "vat": {},
        "hidden_noise": {"sigma": 0.5, "layers": "*.intermediate"},
        "r_drop": {"of": "unlabeled"},
    },
    "parametrization": {"vat": {}, "spectral_normalization": {}},
}


@pytest.mark.full
@pytest.mark.parametrize("chosen", METHODS)
def test_layers_that_run_again_change_no_bit(name: str, chosen: str) -> None:
    """With dropout inside, so that they must draw the same masks again."""
    found, passes = [], []
    for again in (False, True):
        methods = {key: method(key, **values) for key, values in METHODS[chosen].items()}
        task = classify(name, methods, gradient_checkpointing=again)
        count = [0]
        part = task.model.encoder.encoder.layer[1].attention  # type: ignore[union-attr]
        part.register_forward_pre_hook(lambda *_, count=count: count.__setitem__(0, count[0] + 1))  # type: ignore[misc]
        found.append(trained(task, range(3)))
        passes.append(count[0])
    assert same(found[0], found[1])
    assert passes[1] > passes[0]


def refused(expected: str, folder: Path | str, **options: Any) -> None:
    with pytest.raises(InputError, match=expected) as caught:
        model(str(folder), **options)
    assert len(str(caught.value).splitlines()) == 1


def test_weights_that_run_code_are_refused(tmp_path: Path) -> None:
    made = transformers().AutoModel.from_pretrained(encoder(tmp_path))
    (tmp_path / "model.safetensors").unlink()
    torch.save(made.state_dict(), tmp_path / "pytorch_model.bin")
    refused(r"model\.name: expected weights as safetensors.*\(others are pickles, which run code\)", tmp_path)


def test_damaged_and_missing_weights_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = Path(encoder(tmp_path)) / "model.safetensors"
    whole = load_file(path)
    lost = "encoder.layer.1.output.dense.bias"
    save_file({k: w for k, w in whole.items() if k != lost}, path, {"format": "pt"})
    refused(rf"model\.name: expected all weights of an encoder, got .* lacks {lost}", tmp_path)
    save_file({**whole, lost: torch.zeros(3)}, path, {"format": "pt"})
    refused(r"model\.name: expected weights that its config\.json describes", tmp_path)
    path.write_bytes(b"nothing")
    refused(r"model\.name: expected", tmp_path)


def test_a_folder_that_is_no_encoder_is_refused(name: str, tmp_path: Path) -> None:
    refused(r"a folder that save_pretrained wrote \(config\.json is missing\)", tmp_path)
    (tmp_path / "config.json").write_text("{}")
    refused(r"model\.name: expected a readable encoder's folder", tmp_path)
    refused(r"the name of an encoder on the hub, or a folder", Path(name) / "config.json")


@pytest.mark.parametrize(("kind", "room"), [("bert", 40), ("roberta", 39)])
def test_texts_must_fit_the_positions(kind: str, room: int, tmp_path: Path) -> None:
    folder = encoder(tmp_path, kind)
    model(folder, input_shape=[room])(torch.full((1, room), 7))
    refused(rf"dataset\.max_length: expected at most {room}, the encoder's positions", folder,
            input_shape=[room + 1])  # fmt: skip


def test_tokens_must_be_the_encoders_own(name: str, tmp_path: Path) -> None:
    other = encoder(tmp_path, tokens=[*WORDS[:-1], "were"])
    refused(rf"dataset\.tokenizer: expected the encoder's own: dataset\.tokenizer={other}", other)
    model(other, random_weights=True)
    fewer = encoder(tmp_path / "fewer", tokens=WORDS[:-1])
    for options in ({}, {"random_weights": True}):
        refused(r"dataset\.tokenizer: .*12 tokens for 11 rows", fewer, **options)
    more = encoder(tmp_path / "more", vocab_size=50)  # rows that no token has
    assert model(more)(X).shape == (8, 2)


def test_as_many_layers_can_be_frozen_as_there_are(name: str) -> None:
    refused(r"model\.frozen_layers: expected at most 2 \(layers\), got 3", name, frozen_layers=3)


def test_an_unknown_encoder_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants as hub

    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)  # read once, when it is imported
    refused(r"model\.name: .*a local folder, or a hub name.*`hf download nobody/nothing`", "nobody/nothing")


def test_a_hub_without_an_answer_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class UnreachableError(Exception):
        """As the client's HTTP library raises it: no OSError."""

    asked = []

    def answer(self: Any, name: str, **options: Any) -> None:
        asked.append(name)
        raise UnreachableError("no network")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", answer)
    refused(r"model\.name: .*`hf download nobody/nothing`.*does not answer: no network", "nobody/nothing")
    assert asked == ["nobody/nothing"]


def test_a_folder_with_a_tokenizer_alone_cuts_texts(name: str, tmp_path: Path) -> None:
    for path in Path(name).glob("tokenizer*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    alone, beside = EncoderTokenizer(str(tmp_path)), EncoderTokenizer(name)
    texts = ["the film was good", "nobody was there"]
    assert alone(texts, 8) == beside(texts, 8)
    assert (alone.tokens, alone.pad, alone.identity) == (beside.tokens, beside.pad, beside.identity)


def test_numbers_of_a_data_set_are_the_tokenizers() -> None:
    assert list(reviews().vocabulary.tokens) == WORDS  # type: ignore[union-attr]
