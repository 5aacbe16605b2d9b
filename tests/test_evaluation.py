"""What an evaluation says of labeled items and of the gap to them, against numbers by hand."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import normal, small_task
from synthetic import METRICS, SELECTION, write_run

from genreg.dataset import Dataset, Split, two_moons
from genreg.errors import InputError
from genreg.loss import MSE, CrossEntropy, Loss
from genreg.model import MLP
from genreg.regularizer import VAT
from genreg.run import loop
from genreg.run.display import print_line, print_summary
from genreg.run.folder import RunFolder
from genreg.run.metric import GAP
from genreg.task.evaluation import MOST, evaluate, sample


def split(n: int, seed: int, classes: int, clean: Sequence[bool] = (True,)) -> Split:
    """Items in float64 in the order of their class, or with two real targets where there are no classes."""
    x = normal(n, 5, seed=seed)
    y = torch.arange(n) * classes // n if classes else normal(n, 2, seed=seed + 10)
    return Split(x, y, torch.tensor(clean).repeat(n // len(clean)))


def data(labeled: int, classes: int) -> Dataset:
    known = split(labeled, 0, classes, clean=[False])
    return Dataset(known, known.x, split(40, 1, classes), split(60, 2, classes, [True, True, False]), classes)


def judge(given: Dataset, loss: Loss) -> tuple[MLP, dict[str, float]]:
    torch.manual_seed(0)
    model = MLP(input_shape=[5], outputs=given.outputs, widths=[]).double()
    return model, evaluate(model, given, sample(given.labeled), loss, {})


def by_hand(model: MLP, items: Split) -> dict[str, float]:
    """Metrics of the one layer of the model, by numpy."""
    weight, bias = (parameter.detach().numpy() for parameter in model.parameters())
    outputs, y = items.x.numpy() @ weight.T + bias, items.y.numpy()
    if items.y.is_floating_point():
        return {"mse": ((outputs - y) ** 2).sum(1).mean()}
    nats = np.log(np.exp(outputs).sum(1)) - outputs[np.arange(len(y)), y]
    errors = ((outputs - np.eye(outputs.shape[1])[y]) ** 2).sum(1)
    return {"accuracy": (outputs.argmax(1) == y).mean(), "cross_entropy": nats.mean(), "mse": errors.mean()}


@pytest.mark.parametrize(("loss", "classes"), [(CrossEntropy(), 3), (MSE(), 3), (MSE(), 0)])
def test_labeled_metrics_and_gaps_by_hand(loss: Loss, classes: int) -> None:
    given = data(30, classes)
    model, row = judge(given, loss)
    labeled = by_hand(model, given.labeled)
    names = [metric.name for metric in loss.metrics(classes)]
    assert {name.split("/")[1] for name in row if name.startswith("labeled/")} == set(names)
    assert [row[f"labeled/{name}"] for name in names] == pytest.approx([labeled[n] for n in names], abs=1e-12)
    for name in ("validation", "test"):
        outside = by_hand(model, getattr(given, name))
        worse = labeled["accuracy"] - outside["accuracy"] if classes else outside["mse"] - labeled["mse"]
        assert abs(worse) > 0.01
        assert row[f"{name}/{GAP}"] == pytest.approx(worse, abs=1e-12)


@pytest.mark.parametrize(("loss", "classes"), [(CrossEntropy(), 2), (MSE(), 2), (MSE(), 0)])
def test_the_gap_is_positive_where_it_is_worse_outside(loss: Loss, classes: int) -> None:
    """Targets inside are what the model says; outside they are not."""
    given = data(30, classes)
    model, _ = judge(given, loss)
    for items, right in ((given.labeled, True), (given.validation, False), (given.test, False)):
        said = model(items.x).detach()
        items.y[:] = (said.argmax(1) if right else said.argmin(1)) if classes else said + 3 * (not right)
    row = evaluate(model, given, given.labeled, loss, {})
    gaps = [row[f"{name}/{GAP}"] for name in ("validation", "test")]
    assert gaps == pytest.approx([1, 1] if classes else [18, 18])


def test_of_many_labeled_items_a_fixed_sample_of_every_class_is_read() -> None:
    given = data(3000, 3)
    found, again = sample(given.labeled), sample(given.labeled)
    places = {tuple(x.tolist()): place for place, x in enumerate(given.labeled.x)}
    chosen = [places[tuple(x.tolist())] for x in found.x]
    assert len(set(chosen)) == len(found) == MOST
    assert torch.equal(found.y, given.labeled.y[chosen])
    assert torch.equal(found.x, again.x)
    assert found.y.bincount().tolist() == pytest.approx([MOST / 3] * 3, abs=60)
    model, row = judge(given, CrossEntropy())
    assert row["labeled/cross_entropy"] == pytest.approx(by_hand(model, found)["cross_entropy"], abs=1e-12)
    assert len(sample(data(MOST, 2).labeled)) == MOST


def test_items_of_each_split_and_of_its_clean_part() -> None:
    found = data(30, 2).items
    assert found == {"labeled": 30, "unlabeled": 30, "validation": 40, "test": 60, "test_clean": 40}


def test_evaluations_change_nothing() -> None:
    quiet, judged = (small_task(dataset=partial(two_moons, labeled=1200, items=2000)) for _ in range(2))
    for step in range(4):
        quiet.step(step)
        judged.step(step)
        judged.evaluate()
    ours, theirs = quiet.weights(), judged.weights()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_resumed_run_writes_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(name: str, dies: bool) -> bytes:
        task, folder = small_task(dataset=partial(two_moons, labeled=1200, items=2000)), tmp_path / name
        folder.mkdir(exist_ok=True)
        step = task.step

        def stopped(k: int) -> Any:
            if dies and k == 5:
                raise KeyboardInterrupt
            return step(k)

        monkeypatch.setattr(task, "step", stopped)
        loop.run(task, RunFolder(folder), steps=8, log_every=3, eval_every=2, checkpoint_every=3)
        return (folder / "metrics.jsonl").read_bytes()

    with pytest.raises(KeyboardInterrupt):
        start("cut", dies=True)
    assert start("cut", dies=False) == start("whole", dies=False)
    assert b'"labeled/cross_entropy"' in (tmp_path / "cut" / "metrics.jsonl").read_bytes()


ROW = {"step": 9, "validation/accuracy": 0.5, "test/accuracy": 0.25, "labeled/accuracy": 1.0,
       "labeled/cross_entropy": 0.125, "validation/generalization_gap": 0.5,
       "test/generalization_gap": 0.75}  # fmt: skip
BEFORE = {"step": 3, "validation/accuracy": 0.5, "test/accuracy": 0.25}


@pytest.mark.parametrize("best", [ROW, BEFORE])
def test_the_end_of_a_run_leaves_out_what_follows_from_other_lines(
    best: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the best row is of the time before gaps."""
    summary = {"step": 9, "seconds": 1.0, "selection": SELECTION, "best": best, "last": ROW}
    print_summary(summary, "a")
    out = capsys.readouterr().out
    assert [name for name in ROW if f" {name} " in out] == [
        "validation/accuracy", "test/accuracy", "labeled/cross_entropy", "test/generalization_gap"
    ]  # fmt: skip
    print_line(summary, "a")
    said = f"a: validation/accuracy 0.5000  test/accuracy 0.2500  at step {best['step']}, 1.0 s\n"
    assert capsys.readouterr().out == said


def test_a_report_reads_runs_of_before_beside_runs_with_gaps(genreg: Any, tmp_path: Path) -> None:
    gap = {GAP: {"better": "min", "unit": "%"}}
    for seed in range(5):
        write_run(tmp_path / f"out/a-1/seed={seed}", 0.5)
        write_run(tmp_path / f"out/b-1/seed={seed}", 0.5, metrics=METRICS | gap, best=ROW, last=ROW)
    plain = genreg("report", "out")
    assert plain.code == 0
    assert "disagree" not in plain.out
    gaps = genreg("report", "out", "--metric", f"test/{GAP}", "--format", "markdown").out
    assert f"a-1: no run has test/{GAP}" in gaps
    assert "75.00" in gaps


def test_few_validation_items_are_drawn_by_the_seed_alone() -> None:
    whole = small_task({"vat": VAT()})
    few = [small_task({}, seed=seed, validation_items=20) for seed in (0, 0, 1)]
    assert [len(task.dataset.validation) for task in (whole, *few)] == [300, 20, 20, 20]
    own = [{tuple(x.flatten().tolist()) for x in task.dataset.validation.x} for task in (whole, *few)]
    assert own[1] == own[2] != own[3]
    assert all(rows <= own[0] and len(rows) == 20 for rows in own[1:])
    assert torch.equal(whole.dataset.labeled.x, few[0].dataset.labeled.x)
    assert whole.items["validation"] == 300
    assert few[0].items["validation"] == 20
    with pytest.raises(InputError, match=r"task\.validation_items: expected at most 300"):
        small_task({}, validation_items=301)
