"""What is asked of a text, what is learned of it, and a classifier that goes on from there."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import draw
from reviews import MODELS, WORDS, classify, model, pretrain, reviews
from seam import method, same
from torch import Tensor

from genreg.errors import InputError
from genreg.model.text.pretrained import load_pretrained
from genreg.run.folder import RunFolder
from genreg.run.loop import run
from genreg.task.pretrain import NONE

X = reviews().unlabeled
SPECIAL = torch.arange(5)
CAUSAL: dict[str, Any] = {"transformer": {"causal": True}, "gru": {"bidirectional": False}}


def test_hidden_tokens_are_a_share_of_those_that_are_text() -> None:
    task = pretrain("transformer", share=0.3)
    asked = [task.ask(X, draw(seed)) for seed in range(200)]
    text = ~torch.isin(X, SPECIAL)
    where = torch.cat([q.where[q.answers != NONE] for q in asked])
    assert text.flatten()[where].all()
    assert len(where) / (200 * int(text.sum())) == pytest.approx(0.3, abs=0.01)
    original = X.flatten()[where].long()
    assert torch.equal(torch.cat([q.answers[q.answers != NONE] for q in asked]), original)
    shown = torch.cat([q.shown.flatten()[q.where[q.answers != NONE]] for q in asked])
    assert (shown == WORDS.index("[MASK]")).double().mean() == pytest.approx(0.8 + 0.1 / 12, abs=0.01)
    assert (shown == original).double().mean() == pytest.approx(0.1 + 0.1 / 12, abs=0.01)
    for q in asked:
        elsewhere = torch.ones(X.numel(), dtype=torch.bool)
        elsewhere[q.where[q.answers != NONE]] = False
        assert torch.equal(q.shown.flatten()[elsewhere], X.flatten()[elsewhere])


def test_each_position_is_asked_for_the_token_behind_it() -> None:
    from functools import partial

    task = pretrain("gru", model=partial(MODELS["gru"], bidirectional=False), objective="next")
    asked = task.ask(X, draw())
    answers = asked.answers.view(X.shape)
    for row, answer in zip(X.tolist(), answers.tolist(), strict=True):
        text = [token for token in row if token]
        assert answer == text[1:] + [NONE] * (len(row) - len(text) + 1)


@pytest.mark.parametrize("name", CAUSAL)
def test_what_is_asked_for_next_is_not_seen(name: str) -> None:
    from functools import partial

    task = pretrain(name, model=partial(MODELS[name], **CAUSAL[name]), objective="next")
    task.model.eval()
    other = X.clone()
    other[:, 4:] = torch.where(X[:, 4:] > 0, 7, 0)
    logits = [task.logits(task.ask(x, draw())).view(*X.shape, -1)[:, :4] for x in (X, other)]
    torch.testing.assert_close(*logits)


def test_next_needs_a_model_that_sees_nothing_behind() -> None:
    with pytest.raises(InputError, match=r"task\.objective: expected masked, or a model that sees no token"):
        pretrain("char_cnn", objective="next")


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


def trained(task: Any, steps: range) -> dict[str, Tensor]:
    for step in steps:
        task.step(step)
    return dict(task.model.state_dict())


@pytest.mark.parametrize("what", ["pretrain", "vat"])
@pytest.mark.parametrize("name", MODELS)
def test_a_resumed_run_ends_with_the_same_weights_dropout_and_all(name: str, what: str) -> None:
    def build() -> Any:
        if what == "pretrain":
            return pretrain(name)
        return classify(name, {"vat": method("vat", scope="table")})

    whole, first, second = build(), build(), build()
    trained(first, range(3))
    second.load_state_dict(first.state_dict())
    assert same(trained(whole, range(6)), trained(second, range(3, 6)))
