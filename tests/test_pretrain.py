"""What is asked of a text, what is learned of it, and a classifier that goes on from there."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import draw
from reviews import MODELS, WORDS, classify, model, pretrain, reviews
from seam import method, resumed
from torch import Tensor

from genreg.errors import InputError
from genreg.model.passes import evaluation_mode
from genreg.model.text.base import load_pretrained
from genreg.run.folder import RunFolder
from genreg.run.loop import run
from genreg.task.pretrain import NONE, Pretrain

X = reviews().unlabeled
SPECIAL = torch.arange(5)
CAUSAL: dict[str, Any] = {"transformer": {"causal": True}, "gru": {"bidirectional": False}}


def full(texts: int, length: int, padded: int = 0) -> Tensor:
    """Texts of so many tokens between two special ones, the last `padded` of which end half-way."""
    x = torch.randint(5, len(WORDS), (texts, length + 2), generator=draw(9), dtype=torch.int32)
    x[:, 0], x[:, -1] = WORDS.index("[CLS]"), WORDS.index("[SEP]")
    x[texts - padded :, length // 2 :] = 0
    return x


@pytest.mark.parametrize(
    "x", [X, full(64, 100), full(64, 100, 32), full(1, 20)], ids=["short", "full", "padded", "one"]
)
@pytest.mark.parametrize("share", [0.15, 0.3])
def test_shares_of_hidden_tokens_are_exact_in_every_batch(x: Tensor, share: float) -> None:
    task = pretrain("transformer", share=share)
    text = ~torch.isin(x, SPECIAL).flatten()
    n = round(share * int(text.sum()))
    for seed in range(20):
        asked = task.ask(x, draw(seed))
        chosen = asked.answers != NONE
        where, answers = asked.where[chosen], asked.answers[chosen]
        assert text[where].all()
        assert len(where) == len(where.unique()) == n
        assert torch.equal(answers, x.flatten()[where].long())
        shown = asked.shown.flatten()[where].long()
        hidden, kept = shown == WORDS.index("[MASK]"), shown == answers
        assert int(hidden.sum()) == round(0.8 * n)
        assert int(kept.sum()) == n - round(0.9 * n)
        assert not torch.isin(shown[~hidden], SPECIAL).any()
        elsewhere = torch.ones(x.numel(), dtype=torch.bool)
        elsewhere[where] = False
        assert torch.equal(asked.shown.flatten()[elsewhere], x.flatten()[elsewhere])


def test_every_token_is_as_likely_to_be_asked_for_and_every_other_one_to_be_read() -> None:
    task, x = pretrain("transformer"), full(64, 100)
    chosen, swapped = torch.zeros(x.numel()), torch.zeros(len(WORDS), len(WORDS))
    for seed in range(300):
        asked = task.ask(x, draw(seed))
        here = asked.answers != NONE
        where, shown = asked.where[here], asked.shown.flatten()[asked.where[here]].long()
        chosen[where] += 1
        other = (shown != WORDS.index("[MASK]")) & (shown != asked.answers[here])
        swapped.index_put_((asked.answers[here][other], shown[other]), torch.ones(()), accumulate=True)
    times = chosen[~torch.isin(x, SPECIAL).flatten()]
    assert times.mean().item() == pytest.approx(45)
    assert times.var().item() == pytest.approx(300 * 0.15 * 0.85, rel=0.1)
    words = swapped[5:, 5:]
    assert words.sum() == swapped.sum() == 300 * (round(0.9 * 960) - round(0.8 * 960))
    off = words[~torch.eye(len(words), dtype=torch.bool)]
    assert ((off - off.mean()).abs() < 5 * off.mean().sqrt()).all()


def test_an_evaluation_asks_for_the_same_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    task, asked, ask = pretrain("transformer"), [], Pretrain.ask
    monkeypatch.setattr(Pretrain, "ask", lambda self, *given: asked.append(ask(self, *given)) or asked[-1])  # type: ignore[func-returns-value]
    task.evaluate()
    splits = (task.dataset.validation, task.dataset.test)
    for split, found in zip(splits, asked, strict=True):
        n = round(0.15 * int((~torch.isin(split.x, SPECIAL)).sum()))
        here = found.answers != NONE
        shown = found.shown.flatten()[found.where[here]]
        kept = int((shown == found.answers[here]).sum())
        hidden = int((shown == WORDS.index("[MASK]")).sum())
        assert (int(here.sum()), hidden, kept) == (n, round(0.8 * n), n - round(0.9 * n))


def test_each_position_is_asked_for_the_token_behind_it() -> None:
    task = pretrain("gru", model=partial(MODELS["gru"], bidirectional=False), objective="next")
    asked = task.ask(X, draw())
    answers = asked.answers.view(X.shape)
    for row, answer in zip(X.tolist(), answers.tolist(), strict=True):
        text = [token for token in row if token]
        assert answer == text[1:] + [NONE] * (len(row) - len(text) + 1)


@pytest.mark.parametrize("name", CAUSAL)
def test_what_is_asked_for_next_is_not_seen(name: str) -> None:
    task = pretrain(name, model=partial(MODELS[name], **CAUSAL[name]), objective="next")
    task.model.eval()
    other = X.clone()
    other[:, 4:] = torch.where(X[:, 4:] > 0, 7, 0)
    logits = [task.logits(task.ask(x, draw())).view(*X.shape, -1)[:, :4] for x in (X, other)]
    torch.testing.assert_close(*logits)


def test_an_evaluation_counts_tokens_alike_however_texts_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the mean over all tokens of all texts at once, which chunks of like length would weigh."""
    task = pretrain("gru", objective="next", model=partial(MODELS["gru"], bidirectional=False))
    split = task.dataset.validation
    asked = task.ask(split.x, draw())
    with torch.no_grad(), evaluation_mode(task.model):
        logits = task.logits(asked)
    here = asked.answers >= 0
    loss = torch.nn.functional.cross_entropy(logits[here].double(), asked.answers[here]).item()
    right = (logits.argmax(1) == asked.answers)[here].double().mean().item()
    for size in (256, 5):
        monkeypatch.setattr("genreg.measure.prediction.TEXTS", size)
        row = task.evaluate()
        assert row["validation/cross_entropy"] == pytest.approx(loss, rel=1e-6)
        assert row["validation/accuracy"] == pytest.approx(right, rel=1e-6)


def test_what_an_evaluation_hides_is_the_same_for_every_seed() -> None:
    task, other = pretrain("gru", seed=0), pretrain("gru", seed=1)
    assert task.evaluate() != other.evaluate()
    other.model.load_state_dict(task.model.state_dict())
    assert task.evaluate() == other.evaluate()


def test_next_needs_a_model_that_sees_nothing_behind() -> None:
    with pytest.raises(InputError, match=r"task\.objective: expected masked, or a model that sees no token"):
        pretrain("char_cnn", objective="next")


@pytest.mark.every(3)
@pytest.mark.parametrize("name", MODELS)
def test_it_learns_the_pool(name: str) -> None:
    task = pretrain(name)
    before = task.evaluate()["validation/cross_entropy"]
    for step in range(60):
        task.step(step)
    row = task.evaluate()
    assert row["validation/cross_entropy"] < before - 0.3
    assert row == task.evaluate()


def finished(tmp_path: Path, name: str, **options: Any) -> Path:
    """The folder of a finished run."""
    folder = RunFolder(tmp_path / "seed=0")
    folder.path.mkdir(parents=True)
    run(pretrain(name, **options), folder, steps=4, log_every=2, eval_every=2, checkpoint_every=2)
    return folder.path


@pytest.mark.parametrize("name", MODELS)
def test_a_classifier_goes_on_from_the_run_with_an_output_of_its_own(name: str, tmp_path: Path) -> None:
    folder = finished(tmp_path, name)
    fresh, found = model(name, seed=5), model(name, seed=5, pretrained=str(folder))
    learned = torch.load(folder / "weights.pt", weights_only=True)
    assert list(found.checksums) == ["model.pretrained/weights.pt"]
    for key, weight in found.state_dict().items():
        if key.startswith("output."):
            assert torch.equal(weight, fresh.state_dict()[key])
        else:
            assert torch.equal(weight.float(), learned[f"encoder.{key}"])
            assert not torch.equal(weight, fresh.state_dict()[key])


def test_other_folders_and_other_models_are_refused(tmp_path: Path) -> None:
    folder = finished(tmp_path / "arm", "gru")
    load_pretrained(model("gru"), str(tmp_path))  # the only run below
    finished(tmp_path / "other", "char_cnn")
    for given in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match="expected the folder of one finished run of task=pretrain"):
            load_pretrained(model("gru"), str(given))
    with pytest.raises(InputError, match="expected a run with the same data and model: positions of shape"):
        load_pretrained(model("transformer"), str(folder))
    (folder / "weights.pt").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"model\.pretrained: expected tensors"):
        load_pretrained(model("gru"), str(folder))


@pytest.mark.parametrize("what", ["pretrain", "vat"])
@pytest.mark.parametrize("name", MODELS)
def test_a_resumed_run_ends_with_the_same_weights_dropout_and_all(name: str, what: str) -> None:
    def build() -> Any:
        if what == "pretrain":
            return pretrain(name)
        return classify(name, {"vat": method("vat", scope="table")})

    resumed(build)
