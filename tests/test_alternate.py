"""task=alternate, and the published experiment with an encoder of a few units: every arm, offline."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import Result, yaml_options
from encoders import alternate, classify, encoder, trained
from seam import method, resumed, same
from torch import Tensor

from genreg import streams
from genreg.dataset.encoder import transformers
from genreg.dataset.tokenizer import Fitted
from genreg.run.trained import load
from genreg.task.alternate import Alternate

Genreg = Callable[..., Result]
ARMS = [option for option in yaml_options("experiment") if option.startswith("vat_200_bert/")]
TEXTS = [f"{'so ' * (i % 4)}{('good', 'bad')[i % 2]} {('film', 'book', 'it')[i % 3]}" for i in range(60)]


@pytest.fixture
def texts(tmp_path: Path) -> list[str]:
    """Overrides for a file of 60 texts, and an encoder that has their words."""
    lines = [json.dumps({"text": text, "label": i % 2}) for i, text in enumerate(TEXTS)]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines))
    folder = encoder(tmp_path / "encoder", tokens=Fitted("words", TEXTS, 1).tokens)
    return ["dataset=text_csv", f"dataset.path={tmp_path / 'texts.jsonl'}", f"model.name={folder}", "steps=2",
            "dataset.labeled=12", "eval_every=1", "log_every=1", "logger=none", "device=cpu"]  # fmt: skip


def rows(folder: Path) -> list[dict[str, Any]]:
    (path,) = folder.glob("outputs/*/*/seed=0/metrics.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.full
@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_of_the_published_experiment_trains(
    genreg: Genreg, texts: list[str], tmp_path: Path, arm: str
) -> None:
    answer = genreg("train", f"experiment={arm}", *texts)
    assert answer.code == 0, answer.err
    unlabeled = {"vat": "vat", "vat_table": "vat", "noise": "noise_consistency", "r_drop": "r_drop"}
    own = unlabeled.get(arm.removeprefix("vat_200_bert/"))
    found = {name.removeprefix("train/") for name in rows(tmp_path)[-1] if name.startswith("train/")}
    assert found == {"cross_entropy", "loss", *([own, "unlabeled_loss"] if own else [])}


@pytest.mark.full
def test_both_updates_are_one_with_task_classify(genreg: Genreg, texts: list[str], tmp_path: Path) -> None:
    answer = genreg("train", f"experiment={ARMS[-1]}", *texts, "task=classify")
    assert answer.code == 0, answer.err
    assert "unlabeled_optimizer is set, but this task has none: left out" in answer.out
    assert "train/vat" in rows(tmp_path)[-1]
    assert "train/unlabeled_loss" not in rows(tmp_path)[-1]


@pytest.mark.full
def test_a_killed_run_goes_on_and_ends_with_the_same_bits(
    genreg: Genreg, texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["train", "experiment=vat_200_bert/vat_table", *texts, "steps=4", "checkpoint_every=1"]
    assert genreg(*command, "output_dir=whole").code == 0
    step = Alternate.step

    def killed(task: Alternate, k: int) -> dict[str, Tensor]:
        if k == 2:
            raise KeyboardInterrupt
        return step(task, k)

    monkeypatch.setattr(Alternate, "step", killed)
    assert genreg(*command, "output_dir=killed").code == 130
    monkeypatch.setattr(Alternate, "step", step)
    assert genreg(*command, "output_dir=killed").code == 0
    for file in ("metrics.jsonl", "last_weights.pt"):
        whole, again = (next(tmp_path.glob(f"{folder}/*/*/seed=0/{file}")) for folder in ("whole", "killed"))
        if file.endswith(".pt"):
            assert same(*(torch.load(path, weights_only=True) for path in (whole, again)))
        else:
            assert whole.read_bytes() == again.read_bytes()


@pytest.mark.full
def test_an_export_begins_where_the_run_ended(genreg: Genreg, texts: list[str], tmp_path: Path) -> None:
    bert = ["model=bert", "model.width=16", "model.heads=2", "model.layers=2", "dataset.tokenizer=words",
            "dataset.min_count=1"]  # fmt: skip
    data = [o for o in texts if not o.startswith("model.")]
    assert genreg("train", "task=pretrain", *data, *bert).code == 0
    (run,) = tmp_path.glob("outputs/*/*/seed=0")
    folder = tmp_path / "out"
    assert genreg("export", str(run), str(folder)).code == 0
    assert {path.name for path in folder.iterdir()} >= {"config.json", "model.safetensors", "tokenizer.json"}
    before = load(run)
    use = ["model=pretrained_encoder", f"model.name={folder}", f"dataset.tokenizer={folder}"]
    answer = genreg("train", *data, *use, "name=tuned", "optimizer.lr=0.0")
    assert answer.code == 0, answer.err
    (tuned,) = tmp_path.glob("outputs/tuned-*/seed=0")
    after = load(tuned)
    assert before.dataset is not None
    assert after.dataset is not None
    assert torch.equal(before.dataset.unlabeled, after.dataset.unlabeled)
    assert torch.equal(before.dataset.test.x, after.dataset.test.x)
    x = after.dataset.test.x
    first, second = before.model.encoder, after.model
    states = [m.encode(m.embed(x), m.mask(x)) for m in (first, second)]  # type: ignore[operator, union-attr]
    assert torch.equal(*states)

    refused = genreg("export", str(run), str(folder))
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "FOLDER: expected a new or empty folder" in refused.err
    refused = genreg("export", str(tuned), str(tmp_path / "other"))
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "RUN_FOLDER: expected a run of model=bert, got 'genreg.model.PretrainedEncoder'" in refused.err
    refused = genreg("export", str(tmp_path / "nowhere"), str(tmp_path / "other"))
    assert (refused.code, "RUN_FOLDER: expected a run's folder" in refused.err) == (2, True)
    assert not (tmp_path / "other").exists()


@pytest.mark.full
def test_errors_are_one_line_and_exit_2(genreg: Genreg, texts: list[str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    wrong = {
        "tokenizer.json is missing": [f"model.name={tmp_path / 'empty'}"],
        "expected the encoder's own: dataset.tokenizer=": ["dataset.tokenizer=words", "dataset.min_count=20"],
        "model.frozen_layers: expected at most 2": ["model.frozen_layers=3"],
        "model.pooling": ["model.pooling=last"],
    }
    for expected, overrides in wrong.items():
        answer = genreg("train", "experiment=vat_200_bert/supervised", *texts, *overrides)
        assert (answer.code, answer.err.count("\n")) == (2, 1), answer.err
        assert expected in answer.err


@pytest.fixture(scope="module")
def name(tmp_path_factory: pytest.TempPathFactory) -> str:
    return encoder(tmp_path_factory.mktemp("bert"))


@pytest.mark.full
@pytest.mark.parametrize("chosen", [{"vat": {"scope": "table"}}, {"r_drop": {"of": "unlabeled"}, "fgm": {}}])
def test_a_resumed_run_ends_with_the_same_bits_dropout_and_all(name: str, chosen: dict[str, Any]) -> None:
    chosen = {key: partial(method, key, **values) for key, values in chosen.items()}
    tasks = resumed(lambda: alternate(name, {key: make() for key, make in chosen.items()}))
    assert same(*(task.unlabeled_optimizer.state_dict()["state"][0] for task in tasks))
    assert tasks[0].model.encoder.training


@pytest.mark.parametrize(
    "chosen", [{}, {"fgm": {"scope": "table"}}, {"r_drop": {}}, {"vat": {"weight": 0.0}}]
)
def test_without_an_unlabeled_method_it_is_classify_bit_for_bit(name: str, chosen: dict[str, Any]) -> None:
    made = [
        task(name, {key: method(key, **values) for key, values in chosen.items()})
        for task in (alternate, classify)
    ]
    assert same(*(trained(task, range(4)) for task in made))
    assert not made[0].unlabeled_optimizer.state  # type: ignore[union-attr]


def test_each_update_is_of_its_own_optimizer(name: str) -> None:
    task = alternate(name, {"vat": method("vat", scope="table")})
    trained(task, range(3))
    rates = [o.param_groups[0]["lr"] for o in (task.optimizer, task.unlabeled_optimizer)]
    moments = [o.state[task.parameters[0]] for o in (task.optimizer, task.unlabeled_optimizer)]
    assert rates == [2e-3, 1e-3]
    assert [int(m["step"]) for m in moments] == [3, 3]
    assert not torch.equal(*(m["exp_avg"] for m in moments))


@pytest.fixture
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.full
@pytest.mark.usefixtures("double")
def test_it_is_the_published_update(name: str) -> None:
    """Against a plain loop that adds the perturbation to the table itself, 20 steps in float64."""
    vat = method("vat", scope="table", xi=10.0, epsilon=1.0)
    task = alternate(name, {"vat": vat}, encoder_dropout=0.0)
    bert = transformers().AutoModel.from_pretrained(name, dtype=torch.float64, add_pooling_layer=False)
    for layer in bert.modules():
        layer.training = False  # no dropout
    dense = deepcopy(task.model.output)
    weights = [*dense.parameters(), *bert.parameters()]
    table = bert.embeddings.word_embeddings.weight
    labeled, unlabeled = torch.optim.Adam(weights, lr=2e-3), torch.optim.Adam(weights, lr=1e-3)

    def logits(x: Tensor) -> Tensor:
        states = bert(input_ids=x.long(), attention_mask=(x != 0).long()).last_hidden_state
        return dense(states[:, 0])  # type: ignore[no-any-return]

    def moved(by: Tensor, x: Tensor, p: Tensor) -> list[Tensor]:
        """Gradients of the divergence, of all weights, with that added to the table."""
        with torch.no_grad():
            table.add_(by)
        loss = F.kl_div(logits(x).log_softmax(1), p, reduction="batchmean")
        found = torch.autograd.grad(loss, weights, allow_unused=True)
        with torch.no_grad():
            table.sub_(by)
        return [torch.zeros_like(w) if g is None else g for g, w in zip(found, weights, strict=True)]

    place = next(i for i, w in enumerate(weights) if w is table)
    for step in range(20):
        x = task.labeled_batch.take(task.dataset.labeled.x, step)
        y = task.dataset.labeled.y[task.labeled_batch(step)]
        labeled.zero_grad()
        F.cross_entropy(logits(x), y).backward()
        labeled.step()

        x = task.unlabeled_batch.take(task.dataset.unlabeled, step)
        p = logits(x).softmax(1).detach()
        u = torch.randn(table.shape, generator=streams.generator(0, "noise", step))
        g = moved(10 * u / u.norm(), x, p)[place]
        for weight, gradient in zip(weights, moved(g / g.norm(), x, p), strict=True):
            weight.grad = gradient
        unlabeled.step()
    found = trained(task, range(20))
    assert task.parameters[0].dtype == torch.float64
    expected = {**{f"encoder.{k}": w for k, w in bert.state_dict().items()},
                **{f"output.{k}": w for k, w in dense.state_dict().items()}}  # fmt: skip
    assert found.keys() == expected.keys()
    for key, weight in found.items():
        torch.testing.assert_close(weight, expected[key], rtol=0, atol=1e-8, msg=key)
