"""Other modules of a user's own: readers of texts, pairs of players; and functions as landscapes."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from own_files import write_texts
from torch import Tensor, nn

from genreg.dataset import gaussian_ring
from genreg.errors import InputError
from genreg.model import Wrapped
from genreg.model.landscape import OwnLandscape, Rosenbrock
from genreg.regularizer import GradientPenalty
from genreg.run.build import OwnModel, build_task
from genreg.task.wgan import WGAN


class Embedded(nn.Module):
    """The mean over the positions of a text that are no padding, which it sees from the tokens."""

    def __init__(self, vocab_size: int, padding_idx: int, outputs: int) -> None:
        super().__init__()
        self.words = nn.Embedding(vocab_size, 6, padding_idx=padding_idx)
        self.last, self.pad = nn.Linear(6, outputs), padding_idx

    def forward(self, x: Tensor) -> Tensor:
        here = (x != self.pad)[..., None]
        return self.last((self.words(x) * here).sum(1) / here.sum(1))


def texts(**more: Any) -> dict[str, Any]:
    model = {"_target_": f"{__name__}.Embedded", **more}
    return {
        "seed": 0, "precision": "fp32", "data_dir": None, "model": model, "loss": {}, "scheduler": {},
        "task": {"_target_": "genreg.task.classify.Classify"}, "measure": {},
        "dataset": {"_target_": "genreg.dataset.text_csv", "path": "texts.csv", "labeled": 10},
        "regularizer": {"vat": {"_target_": "genreg.regularizer.VAT"}},
        "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.01},
    }  # fmt: skip


def test_texts_are_perturbed_at_a_table_of_the_modules_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_texts(tmp_path)
    monkeypatch.chdir(tmp_path)
    task = build_task(texts(embedding="words"), torch.device("cpu"))
    model, (x, _) = task.model, task.labeled(0)
    assert torch.equal(model(x), model.module(x))
    e = model.embed(x)
    assert e.shape == (*x.shape, 6)
    moved = model(embedding=e + 1, mask=model.mask(x))
    torch.testing.assert_close(moved - model(x), model.module.last.weight.sum(1).expand_as(moved))
    (slope,) = torch.autograd.grad(model(embedding=e, mask=model.mask(x)).sum(), e)
    assert (slope.abs().sum(2) > 0).equal(x != model.pad)
    assert all(value.isfinite() and value > 0 for value in task.step(0).values())
    for more, got in (({}, "'None'"), ({"embedding": "wrds"}, "'wrds'")):
        with pytest.raises(InputError, match=rf"model.embedding: .*got {got}\n  nearest: words"):
            build_task(texts(**more), torch.device("cpu"))


@pytest.mark.full
def test_an_attention_mask_is_passed_to_a_module_that_takes_one(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "num_hidden_layers": 1}
    bert = transformers.BertForSequenceClassification(
        transformers.BertConfig(vocab_size=9, num_labels=3, **sizes)
    ).eval()
    model = Wrapped(bert, "bert.embeddings.word_embeddings", pad=0).eval()
    short = torch.tensor([[4, 5, 6]])
    padded = F.pad(short, (0, 3))
    torch.testing.assert_close(model(padded), bert(short).logits)
    assert model(padded).shape == (1, 3)


def pair(latent: int, input_shape: list[int]) -> tuple[nn.Module, nn.Module]:
    generator = nn.Sequential(nn.Linear(latent, 8), nn.ReLU(), nn.Linear(8, *input_shape))
    return generator, nn.Sequential(nn.Linear(*input_shape, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))


class Critic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 8), nn.Linear(8, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.tanh())


def adversaries(**model: Any) -> WGAN:
    adam = partial(torch.optim.Adam, lr=1e-3)
    make = OwnModel({"_target_": f"{__name__}.pair", **model})
    penalty = {"gradient_penalty": GradientPenalty()}
    return WGAN(
        dataset=gaussian_ring, model=make, optimizer=adam, generator_optimizer=adam, regularizer=penalty
    )


def test_two_modules_are_players(monkeypatch: pytest.MonkeyPatch) -> None:
    task = adversaries(latent=3)
    assert all(value.isfinite() for value in task.step(0).values())
    assert task.generator(torch.zeros(4, 3)).shape == (4, 2)
    monkeypatch.setitem(globals(), "pair", lambda input_shape: (nn.Linear(3, 2), Critic()))
    assert all(value.isfinite() for value in adversaries(latent=3).step(0).values())
    for made, said in (
        (
            lambda: nn.Linear(3, 2),
            "model: expected a generator and a critic: a function that returns two mod",
        ),
        (lambda: (nn.Linear(4, 2), Critic()), r"model: expected a generator that maps \(B, 3\) to \(B, 2\)"),
        (
            lambda: (nn.Linear(3, 2), nn.Linear(2, 2)),
            r"a critic that maps \(B, 2\) to \(B, 1\).*got '\(B, 2\)'",
        ),
    ):
        monkeypatch.setitem(globals(), "pair", made)
        with pytest.raises(InputError, match=said):
            adversaries(latent=3)
    with pytest.raises(InputError, match=r"model\.latent: expected the number of dimensions"):
        adversaries()


def banana(w: Tensor, b: float) -> Tensor:
    return b * (w[1] - w[0] ** 2) ** 2 + (1 - w[0]) ** 2


def test_a_function_is_a_landscape() -> None:
    options: dict[str, Any] = {"start": [-1.2, 1.0], "replicas": 3, "dtype": "float64"}
    ours = OwnLandscape(function={"_target_": f"{__name__}.banana", "b": 50.0}, **options)
    theirs = Rosenbrock(b=50.0, **options)
    for found, exact in (
        (ours(), theirs()),
        (ours.value_and_gradient()[1][0], theirs.value_and_gradient()[1][0]),
        (ours.hessian_trace(), theirs.hessian_trace()),
        (ours.loss_at(ours.coordinates()), theirs()),
    ):
        torch.testing.assert_close(found, exact, rtol=1e-12, atol=0)
    for wrong, said in (({"c": 1}, ""), ({"b": [1, 2]}, "TypeError")):
        with pytest.raises(InputError, match=rf"model.function.*: expected .*{said}"):
            OwnLandscape(function={"_target_": f"{__name__}.banana", **wrong}, **options)
