"""What is not defined of few items: refused with its key before the first step, or left out of a row."""

import logging
import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import Result, small_task
from every_option import composed
from reviews import classify, pretrain
from seam import method, same

from genreg import streams
from genreg.dataset import diabetes
from genreg.dataset.draw import chosen as chosen_items
from genreg.errors import DivergedError, InputError
from genreg.loss import MSE
from genreg.measure import ClassifierMeasure, Estimate, HessianEigenvalue
from genreg.model import MLP, ResNet
from genreg.regularizer import InputNoise
from genreg.run.build import build_task, choose_device
from genreg.run.folder import RunFolder
from genreg.run.loop import run
from genreg.run.metric import Metric
from genreg.task import generation
from genreg.task.pretrain import NONE

PLAYERS = ["task=wgan", "dataset=gaussian_ring", "model=mlp_gan", "model.widths=[4]",
           "model.generator_widths=[4]", "task.batch_size=4", "logger=none"]  # fmt: skip


class Fading(ClassifierMeasure):
    """A number at the first evaluation, and then what `then` gives."""

    metric = Metric("fading", "min")
    splits = ("validation",)

    def __init__(self, then: Any) -> None:
        self.then, self.calls = then, 0

    def __call__(self, *_: Any) -> Estimate:
        self.calls += 1
        value = 1.0 if self.calls == 1 else self.then()
        return Estimate(value, 0.0, 1)


def broken() -> float:
    return float(torch.linalg.eigvalsh(torch.full((2, 2), math.nan)).max())


def nothing() -> float:
    return 1.0 / 0


@pytest.mark.parametrize("then", [lambda: math.nan, lambda: -math.inf, nothing, broken])
def test_a_measure_that_is_not_defined_leaves_its_column_out(
    then: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "genreg")
    every = {"log_every": 1, "eval_every": 1, "checkpoint_every": 10}
    summary = run(small_task(measure={"fading": Fading(then)}), RunFolder(tmp_path), steps=3, **every)
    assert summary["status"] == "done"
    rows = RunFolder(tmp_path).rows()
    assert [row.get("validation/fading") for row in rows] == [1.0, None, None]
    assert all("validation/cross_entropy" in row for row in rows)
    (said,) = [record.getMessage() for record in caplog.records]  # once, however often it is so
    assert said.startswith("measure.fading is not defined on validation, and left out of such rows: ")


def test_a_fault_of_a_measure_of_ones_own_is_not_hidden(tmp_path: Path) -> None:
    task = small_task(measure={"fading": Fading(lambda: {}["no such key"])})
    task.evaluate()
    with pytest.raises(KeyError, match="no such key"):
        task.evaluate()


@pytest.mark.parametrize("measure", [HessianEigenvalue(splits=["labeled"]), Fading(lambda: 1.0)])
def test_weights_that_left_all_bounds_are_told_of_a_loss(measure: Any, tmp_path: Path) -> None:
    """Not of a measure of them, nor by what its linear algebra raises."""
    task = small_task(measure={"of_weights": measure})
    step = task.step

    def last(number: int) -> Any:
        terms = step(number)
        with torch.no_grad():
            task.parameters[0].fill_(math.nan)
        return terms

    task.step = last  # type: ignore[method-assign]
    with pytest.raises(DivergedError, match="diverged: validation/cross_entropy is nan at step 1"):
        run(task, RunFolder(tmp_path), steps=1, log_every=1, eval_every=1, checkpoint_every=10)


def test_the_spread_of_one_items_gradient_is_refused(genreg: Any) -> None:
    told: Result = genreg("train", "measure=gradient_noise", "measure.gradient_noise.items=1", "logger=none")
    assert told.code == 2
    assert told.err.splitlines()[-1] == "genreg: measure.gradient_noise.items: expected 2 or more, got 1"
    alone = ["measure.gradient_noise.splits=[validation]", "task.validation_items=1"]
    told = genreg("train", "measure=gradient_noise", *alone, "logger=none")
    assert told.code == 2
    assert (
        "measure.gradient_noise.splits: expected splits of 2 items or more, got 'validation, which"
        in told.err
    )


def built(*overrides: str) -> Any:
    return build_task(composed(*overrides), choose_device("cpu"))


@pytest.mark.full
@pytest.mark.parametrize("samples", [1, 2, 3])
@pytest.mark.parametrize(
    ("measure", "least"), [("fid", 2), ("kid", 3), ("precision_recall", 4), ("gradient_norm", 2),
                           ("wasserstein", 1), ("sliced_wasserstein", 1), ("critic_wasserstein", 1)],
)  # fmt: skip
def test_a_measure_of_too_few_samples_is_refused(measure: str, least: int, samples: int) -> None:
    pictures = ["dataset=digits", "features=random"] if measure in ("fid", "kid", "precision_recall") else []
    more = [f"measure={measure}", f"measure.{measure}.samples={samples}", *pictures]
    if samples < least:
        with pytest.raises(InputError, match=rf"measure\.{measure}: expected more items .* got '{samples}: "):
            built(*PLAYERS, *more)
    else:
        row = built(*PLAYERS, *more).evaluate()
        assert all(map(math.isfinite, row.values()))
        assert any(measure in name or "precision" in name for name in row)


def test_a_step_whose_metric_is_not_defined_is_not_chosen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sample is of class 0, and the item of validation that is drawn is not."""
    monkeypatch.setattr(
        generation, "check_defined", lambda *_: None
    )  # it refuses so few before the first step
    caplog.set_level(logging.WARNING, "genreg")
    chosen = ["measure=conditional_wasserstein", "measure.conditional_wasserstein.samples=1"]
    task = built(*PLAYERS, *chosen, "regularizer=weight_clipping", "task.conditional=true")
    assert chosen_items(1, task.dataset.validation.y)[0] != 0
    every = {"log_every": 1, "eval_every": 1, "checkpoint_every": 10}
    summary = run(task, RunFolder(tmp_path), steps=2, **every)
    assert (summary["status"], summary["best"]) == ("done", None)
    assert [record.getMessage() for record in caplog.records] == [
        "measure.conditional_wasserstein is not defined on validation, and left out of such rows: "
        "samples and items have no class in common"
    ]


def test_samples_are_judged_by_a_spread_that_there_is(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=np.ones((40, 2), np.float32), y=np.arange(40) % 2)
    data = ["dataset=npz", f"dataset.path={tmp_path / 'a.npz'}", "dataset.labeled=null"]
    with pytest.raises(
        InputError, match=r"dataset: expected validation items that differ.*got '9, all alike'"
    ):
        built(*PLAYERS, *data, "dataset.validation=9")


def test_noise_on_numbers_of_tokens_is_refused() -> None:
    with pytest.raises(InputError, match=r"task\.corruption\.noise: expected 0 for texts"):
        classify("gru", corruption={"noise": 0.1})
    assert not classify("gru", corruption={"noise": 0.0}).dataset.corrupted


NORMALIZED = partial(MLP, widths=[8], batch_norm=True)


@pytest.mark.parametrize(
    ("key", "options", "methods"),
    [
        ("task.batch_size", {"batch_size": 1}, {}),
        ("task.unlabeled_batch_size", {"unlabeled_batch_size": 1}, {"vat": method("vat")}),
        ("dataset.labeled", {"dataset": partial(diabetes, labeled=1), "loss": MSE()}, {}),
    ],
)
def test_batch_normalization_of_one_item_is_refused(key: str, options: Any, methods: Any) -> None:
    with pytest.raises(InputError, match=f"^{key}: expected 2 or more with batch normalization"):
        small_task(methods, model=NORMALIZED, **options)


def test_batches_of_one_item_that_can_be_normalized_are_trained_on() -> None:
    """Pictures have many numbers a channel, an item may be shown in several copies, a pool not at all."""
    tasks = [
        small_task({}, model=partial(ResNet, widths=[4], blocks=[1]), batch_size=1),
        small_task({"input_noise": InputNoise(sigma=0.1, samples=3)}, model=NORMALIZED, batch_size=1),
        small_task({}, model=NORMALIZED, unlabeled_batch_size=1),
        small_task({}, model=partial(MLP, widths=[8]), batch_size=1),
    ]
    for task in tasks:
        assert task.step(0)["loss"].isfinite()


def gradients(task: Any) -> list[Any]:
    return [p.grad.clone() for p in task.parameters if p.grad is not None]


def test_at_least_one_token_is_asked_for() -> None:
    task = pretrain("transformer", share=1e-6, batch_size=1)
    for step in range(20):
        loss = task.losses(step)["loss"].item()
        assert math.isfinite(loss)
        assert loss > 0
    assert all(map(math.isfinite, task.evaluate().values()))


def test_the_loss_of_a_language_model_is_the_mean_that_torch_takes() -> None:
    task = pretrain("transformer", share=0.3, batch_size=16)
    terms, ours = task.losses(0), gradients(task)
    asked = task.ask(task.batch.take(task.dataset.unlabeled, 0), streams.generator(0, "noise/pretrain", 0))
    streams.begin_pass(streams.derive(0, "dropout/pretrain", 0), task.device)
    loss = F.cross_entropy(task.logits(asked), asked.answers, ignore_index=NONE)
    trained = [p for p in task.parameters if p.grad is not None]
    assert torch.equal(loss, terms["loss"])
    assert same(dict(enumerate(ours)), dict(enumerate(torch.autograd.grad(loss, trained))))
