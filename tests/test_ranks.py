"""Processes that share the batches of one run end where one process ends."""

import multiprocessing
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from conftest import yaml_options
from encoders import encoder
from omegaconf import OmegaConf
from reviews import reviews

from genreg import CONFIGS
from genreg.dataset import Dataset, digits, gaussian_ring, text_csv
from genreg.errors import GenregError, InputError
from genreg.model import GRU, MLP, Conv, MLPGan, PretrainedEncoder, Transformer
from genreg.optimizer import anti_pgd, gradient_norm, sam
from genreg.regularizer import Regularizer
from genreg.run import ranks
from genreg.run.build import choose_device
from genreg.run.factory import factory
from genreg.run.task import Task
from genreg.task.alternate import Alternate
from genreg.task.classify import Classify
from genreg.task.landscape import Minimize
from genreg.task.pretrain import Pretrain
from genreg.task.wgan import WGAN

NODES: dict[str, Any] = {
    name: OmegaConf.to_container(OmegaConf.load(CONFIGS / "regularizer" / f"{name}.yaml"))
    for name in yaml_options("regularizer")
    if name != "none"
}
REFUSED = {"cutmix", "flooding", "mixup", "random_affine", "random_crop", "temporal_ensembling"}
"""Methods that need or remember items of other processes, or draw for items by themselves."""
TOGETHER: list[dict[str, dict[str, Any]]] = [
    {"vat": {}, "entropy": {}, "noise_consistency": {"samples": 2}, "pi_model": {}, "r_drop": {},
     "mean_teacher": {}, "pseudo_label": {"threshold": 0.0}, "l1": {}, "l2": {}, "frobenius": {},
     "orthogonal": {}, "frobenius_projection": {}, "spectral_penalty": {}, "spectral_projection": {},
     "weight_clipping": {"bound": 0.5}},
    {"adversarial": {}, "fgm": {}, "fgsm": {}, "gradient_penalty": {"points": "noised"},
     "loss_gradient_penalty": {}, "jacobian_penalty": {"estimator": "sampled", "probes": 2},
     "laplacian_penalty": {"estimator": "sampled"}, "label_smoothing": {}, "mirror": {},
     "input_noise": {"samples": 3}, "dropout": {"p": 0.2}, "hidden_noise": {}, "weight_noise": {},
     "weight_average": {}},
    {"spectral_normalization": {}, "vat": {"direction": "exact", "target": "flow", "power_iterations": 2},
     "jacobian_penalty": {}, "adversarial": {"norm": "l2"}, "r_drop": {"of": "unlabeled"}},
    {"frobenius_normalization": {}, "gradient_penalty": {}, "noise_consistency": {"divergence": "mse"}},
]  # fmt: skip
"""Methods whose terms are right together, or one of them is not."""
sgd = partial(torch.optim.SGD, lr=0.02, momentum=0.9)
adam = partial(torch.optim.Adam, lr=1e-2, eps=1e-3)  # else it divides one rounding error by another
Made = Callable[[], Task]


def made(chosen: dict[str, dict[str, Any]]) -> dict[str, Regularizer]:
    return {name: factory({**NODES[name], **options}, name)() for name, options in chosen.items()}


def double(dataset: Dataset) -> Dataset:
    """The same numbers in float64."""
    splits = {name: getattr(dataset, name) for name in ("labeled", "validation", "test")}
    return replace(
        dataset, unlabeled=_double(dataset.unlabeled),
        **{name: replace(split, x=_double(split.x)) for name, split in splits.items()},
    )  # fmt: skip


def _double(x: torch.Tensor) -> torch.Tensor:
    return x.double() if x.is_floating_point() else x


def classify(
    chosen: dict[str, dict[str, Any]], *, task: Any = Classify, data: Any = digits, model: Any = None,
    optimizer: Any = sgd, **options: Any,
) -> Task:  # fmt: skip
    made_of = model or partial(MLP, widths=[9], dropout=0.2, batch_norm=True)
    return task(
        dataset=lambda seed: double(data(seed=seed)), model=made_of, optimizer=optimizer,
        regularizer=made(chosen), batch_size=12, unlabeled_batch_size=18, **options,
    )  # fmt: skip


def players(chosen: dict[str, dict[str, Any]], **options: Any) -> Task:
    return WGAN(
        dataset=lambda seed: double(gaussian_ring(seed=seed)), regularizer=made(chosen), batch_size=12,
        model=partial(MLPGan, widths=[9], generator_widths=[8]), optimizer=sgd, generator_optimizer=sgd,
        critic_steps=2, **options,
    )  # fmt: skip


def enlarged(seed: int) -> Dataset:
    """Digits of 12 x 12 pixels, with a border."""
    made = digits(seed=seed)
    splits = {name: getattr(made, name) for name in ("labeled", "validation", "test")}
    wide = {name: replace(split, x=F.pad(split.x, (2, 2, 2, 2))) for name, split in splits.items()}
    return replace(made, unlabeled=F.pad(made.unlabeled, (2, 2, 2, 2)), **wide)


def texts(folder: Path) -> Any:
    lines = (f"{'ab'[i % 2] * (1 + i % 7)} c,{i % 2}\n" for i in range(200))
    (folder / "texts.csv").write_text("text,label\n" + "".join(lines))
    return partial(text_csv, path=str(folder / "texts.csv"), data_dir=folder, min_count=1, max_length=8,
                   labeled=40, validation=20, test=20)  # fmt: skip


def cases(folder: Path) -> dict[str, Made]:
    found: dict[str, Made] = {str(list(chosen)): partial(classify, chosen) for chosen in TOGETHER}
    smooth = partial(MLP, widths=[9], activation="tanh")
    found["adam"] = partial(classify, {"vat": {}}, optimizer=adam, model=smooth)
    pictures = partial(Conv, widths=[4] * 5)
    found["conv_small"] = partial(
        classify, {"vat": {"direction": "exact"}, "mirror": {}}, data=enlarged, model=pictures,
        optimizer=partial(torch.optim.SGD, lr=1e-3),
    )  # fmt: skip
    for name, optimizer in {"sam": sam, "gradient_norm": gradient_norm, "anti_pgd": anti_pgd}.items():
        found[name] = partial(classify, {"vat": {}}, optimizer=partial(optimizer, lr=0.1), model=smooth)
    found["alternate"] = partial(
        classify, {"vat": {}, "l2": {}}, task=Alternate, unlabeled_optimizer=sgd, model=smooth
    )
    for name, model in {"gru": GRU, "transformer": Transformer}.items():
        found[name] = partial(
            classify, {"vat": {}, "fgm": {}}, data=texts(folder), model=partial(model, width=8)
        )
    own = partial(PretrainedEncoder, name=encoder(folder / "encoder"), encoder_dropout=0.0, dropout=0.2)
    found["encoder"] = partial(classify, {"vat": {}}, data=lambda seed: reviews(), model=own)
    found["players"] = partial(players, {"gradient_penalty": {}, "weight_clipping": {}}, ema_decay=0.9)
    found["players with labels"] = partial(players, {"gradient_penalty": {}}, conditional=True, loss="hinge")
    return found


def trained(make: Made, steps: int) -> dict[str, torch.Tensor]:
    """The weights after some steps, and the terms of each."""
    task = make()
    ranks.check(task)
    terms = [ranks.step(task, number) for number in range(steps)]
    found = {f"{number}/{name}": term for number, row in enumerate(terms) for name, term in row.items()}
    return found | task.weights()


@contextmanager
def in_float64() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with patch.object(torch.Tensor, "float", torch.Tensor.double):  # to which players round
            yield
    finally:
        torch.set_default_dtype(before)


def processes(size: int, folder: Path, work: Callable[[], Any]) -> list[int]:
    """Exit codes of forked processes that do the same work; rank 0 saves its answer to folder/size.pt."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    started = [
        multiprocessing.get_context("fork").Process(target=_one, args=(r, size, port, folder, work))
        for r in range(size)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(300)
    return [process.exitcode for process in started]


def _one(rank: int, size: int, port: int, folder: Path, work: Callable[[], Any]) -> None:
    here = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    os.environ |= {key: f"{value}" for key, value in here.items()}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": f"{port}", "TORCHELASTIC_RUN_ID": "1"}
    with ranks.joined():
        answer = work()
    if rank == 0:
        torch.save(answer, folder / f"{size}.pt")


@pytest.mark.parametrize(("size", "steps"), [
    pytest.param(2, 2, marks=pytest.mark.full), pytest.param(2, 20, marks=pytest.mark.slow),
    pytest.param(3, 20, marks=pytest.mark.slow),
])  # fmt: skip
def test_shared_batches_end_where_whole_ones_end(size: int, steps: int, tmp_path: Path) -> None:
    """Every declared method, and the tasks, optimizers and kinds of model that declare it, in float64."""
    with in_float64():
        todo = cases(tmp_path)

        def all_of_them() -> dict[str, Any]:
            return {name: trained(make, steps) for name, make in todo.items()}

        alone = all_of_them()
        assert processes(size, tmp_path, all_of_them) == [0] * size
    found = torch.load(tmp_path / f"{size}.pt")
    for name, expected in alone.items():
        torch.testing.assert_close(
            found[name], expected, rtol=1e-10, atol=1e-12, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_every_method_is_shared_or_refused() -> None:
    declared = {name for name, node in NODES.items() if factory(node, name)().by_item is not None}
    assert declared == {name for chosen in TOGETHER for name in chosen}
    assert NODES.keys() - declared == REFUSED


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "size", 2)


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize(("chosen", "key"), [
    *(({name: {}}, f"regularizer.{name}:") for name in sorted(REFUSED)),
    ({"vat": {"scope": "batch"}}, "regularizer.vat.scope: expected scope=example"),
    ({"gradient_penalty": {"points": "interpolated"}}, "regularizer.gradient_penalty.points: expected"),
], ids=str)  # fmt: skip
def test_a_method_that_needs_all_items_is_refused_by_name(chosen: dict[str, Any], key: str) -> None:
    with pytest.raises(InputError) as error:
        ranks.check(classify(chosen))
    assert str(error.value).startswith(key)


@pytest.mark.usefixtures("two")
def test_what_else_is_refused_before_the_first_step() -> None:
    class Own(MLP):
        by_item = None

    for make, key in (
        (
            partial(classify, {}, model=partial(Own, widths=[4])),
            "model: expected one that 2",
        ),
        (
            partial(classify, {}, data=partial(digits, labeled=11)),
            "task.batch_size: expected a multiple of 2",
        ),
        (lambda: ranks.check_task(Pretrain), "task: expected one that 2"),
        (lambda: ranks.check_task(Minimize), "task: expected one that 2"),
        (lambda: choose_device("cuda:0"), "device: expected auto or cuda"),
    ):
        with pytest.raises(InputError) as error, in_float64():
            ranks.check(make())
        assert str(error.value).startswith(key)


@pytest.mark.full
def test_weights_that_come_apart_are_seen(tmp_path: Path) -> None:
    def apart() -> None:
        task = classify({})
        ranks.check_equal(task)
        with torch.no_grad():
            next(task.model.parameters()).add_(1e-3 * ranks.rank)
        with pytest.raises(GenregError, match="come apart"):
            ranks.check_equal(task)

    assert processes(2, tmp_path, apart) == [0, 0]
