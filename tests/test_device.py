"""Every option that trains, on a pretend accelerator: devices, waits, seeds, checkpoints, operations.

pytest tests/test_device.py -k operations -s        prints the operations of a step of the main paths
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_device
import numpy as np
import pytest
import torch
from conftest import REPOSITORY, yaml_options
from fake_device import FakeTensor, MixedDevices, Watch
from test_contract import composed
from torch import Tensor

from genreg.build import build_task
from genreg.regularizer import Regularizer
from genreg.run.folder import RunFolder
from genreg.run.identity import Config
from genreg.run.state import State
from genreg.run.task import Task
from genreg.task.methods import load

pytestmark = pytest.mark.skipif(
    not fake_device.supported(),
    reason=f"the pretend device is written for torch {fake_device.SUPPORTED}, this is {torch.__version__}",
)

PLAIN = ["logger=none", "seed=3"]
MLP = ["dataset=two_moons", "model.widths=[8]", "model.batch_norm=true", "model.dropout=0.2",
       "task.batch_size=8", "task.unlabeled_batch_size=16"]  # fmt: skip
MLP_OF_PICTURES = [*MLP[1:], "dataset=npz", "dataset.labeled=20", "dataset.validation=20"]
VAT = [*MLP, "regularizer=vat"]
PICTURES = ["dataset=npz", "dataset.labeled=20", "dataset.validation=20"]
CONV = [*PICTURES, "model.widths=[4,4,4,4,4]", "regularizer=vat", "task.batch_size=4",
        "task.unlabeled_batch_size=4"]  # fmt: skip
RING = ["dataset.items=400", "dataset.validation=100", "dataset.test=100", "dataset.labeled=50"]
GAN = ["task=wgan", *RING, "model.widths=[8,8]", "model.generator_widths=[8]", "task.critic_steps=2",
       "task.batch_size=8", "measure.sliced_wasserstein.samples=50"]  # fmt: skip
CLIPPED = [*GAN, "regularizer=weight_clipping"]
PICTURE_GAN = ["task=wgan", *PICTURES, "task.critic_steps=2", "task.batch_size=4", "measure=none",
               "model.width=4"]  # fmt: skip
TEXTS = ["dataset=text_csv", "dataset.min_count=1", "dataset.max_length=8", "model.width=8",
         "task.batch_size=8", "optimizer=sgd"]  # fmt: skip
POOL = ["task.unlabeled_batch_size=8"]
VALLEY = ["task=landscape", "model.replicas=3"]

NEEDS_FILES = ("cifar10", "cifar100", "emoji32", "fashion_mnist", "mnist", "rt_polarity", "svhn",
               "text_csv", "zh_sentiment", "zh_sentiment_ngram", "image_folder", "none")  # fmt: skip
OF_A_CRITIC = ("dropout", "frobenius", "frobenius_normalization", "frobenius_projection", "gradient_penalty",
               "hidden_noise", "l1", "l2", "orthogonal", "spectral_normalization", "spectral_penalty",
               "spectral_projection", "weight_clipping", "weight_noise")  # fmt: skip
ON_PICTURES = ("mirror", "random_affine", "random_crop")
OF_A_GENERATOR = ("conditional_wasserstein", "critic_wasserstein", "fid", "gradient_norm", "kid",
                  "lipschitz", "modes", "precision_recall", "sliced_wasserstein", "wasserstein")  # fmt: skip
OF_PICTURES = ("fid", "kid", "precision_recall")
UNSEEN = ("gru", "pretrained_encoder")  # needs a fused kernel of torch; needs an encoder's files
TEXT_MODELS = {"bert": ["model.layers=1", "model.heads=2", "model.positions=8"], "char_cnn": [],
               "transformer": ["model.layers=1", "model.heads=2"]}  # fmt: skip
LANDSCAPES = ("matrix_sensing", "quadratic", "quadratic_parametrized", "rosenbrock", "widening_valley")


def cases() -> Iterator[tuple[str, list[str]]]:
    """Name and overrides of every case: each option in the tasks that take it, and variants of some."""
    yield from ((f"model={name}", _model(name)) for name in yaml_options("model")
                if name not in UNSEEN)  # fmt: skip
    for name in yaml_options("regularizer"):
        yield (
            f"regularizer={name}",
            [*(MLP_OF_PICTURES if name in ON_PICTURES else MLP), f"regularizer={name}"],
        )
    for name in OF_A_CRITIC:
        yield f"critic {name}", [*GAN, f"regularizer={name}"]
    for path in sorted((REPOSITORY / "examples" / "regularizer").glob("*.yaml")):
        yield f"example {path.stem}", [*MLP, f"hydra.searchpath=[file://{REPOSITORY}/examples]",
                                       f"regularizer={path.stem}"]  # fmt: skip
    for name in yaml_options("optimizer"):
        yield f"optimizer={name}", [*VAT, f"optimizer={name}"]
        yield f"landscape {name}", [*VALLEY, f"optimizer={name}"]
        yield (
            f"players {name}",
            [*GAN, f"optimizer={name}", "optimizer.lr=1e-4", "regularizer=weight_clipping"],
        )
    yield from ((f"scheduler={name}", [*VAT, f"scheduler={name}"]) for name in yaml_options("scheduler"))
    yield from ((f"loss={name}", [*MLP, f"loss={name}"]) for name in yaml_options("loss") if name != "none")
    yield from ((f"dataset={name}", _dataset(name)) for name in yaml_options("dataset")
                if name not in NEEDS_FILES)  # fmt: skip
    yield from ((f"measure={name}", _measure(name)) for name in yaml_options("measure"))
    yield from VARIANTS.items()


def _model(name: str) -> list[str]:
    chosen = f"model={name}"
    if name in LANDSCAPES:
        return ["task=landscape", chosen, "model.replicas=3", "optimizer=anti_pgd", "optimizer.lr=1e-4"]
    if name.startswith("conv"):
        return [*CONV, chosen]
    if name == "resnet18":
        return [*CONV, chosen, "model.widths=[4,4]", "model.blocks=[1,1]"]
    if name in TEXT_MODELS:
        return [*TEXTS, *POOL, "regularizer=vat", chosen, *TEXT_MODELS[name]]
    if name == "mlp_gan":
        return GAN
    return [*PICTURE_GAN, chosen] if name.endswith("gan") else [*PICTURES, "regularizer=vat", chosen]


def _dataset(name: str) -> list[str]:
    if name == "swiss_roll":
        return [*[o for o in GAN if o != "dataset.labeled=50"], "dataset=swiss_roll"]
    chosen = [o for o in MLP if not o.startswith("dataset=")] + [f"dataset={name}"]
    more = {"diabetes": ["loss=mse"], "npz": PICTURES}
    return [*chosen, *more.get(name, [])]


def _measure(name: str) -> list[str]:
    small = {"lipschitz_lower": ["items=4", "steps=2"],
             "hessian_trace": ["max_samples=8"], "hessian_negative_share": ["max_samples=2", "steps=5"],
             "hessian_eigenvalue": ["max_products=10"]}  # fmt: skip
    chosen = [f"measure={name}", *(f"measure.{name}.{value}" for value in small.get(name, []))]
    if name in OF_PICTURES:
        return [*PICTURE_GAN, "model=dcgan", "features=random", "features.width=2", *chosen,
                f"measure.{name}.samples=50"]  # fmt: skip
    if name.startswith("conditional"):
        chosen.append("task.conditional=true")
    if name in OF_A_GENERATOR:
        return [*GAN[:-1], *chosen, f"measure.{name}.samples=50"]
    return [*MLP, *chosen]


EXACT = "regularizer.vat.direction=exact"
VARIANTS = {
    "vat exact": [*VAT, EXACT, "regularizer.vat.power_iterations=2"],
    "vat exact of a conv net with dropout": [*CONV, "model=conv_small", EXACT],
    "vat flow": [*VAT, "regularizer.vat.target=flow", "regularizer.vat.norm=linf"],
    "vat batch": [*VAT, "regularizer.vat.scope=batch"],
    "many methods": [*MLP, "regularizer=[vat,entropy,noise_consistency,l2,spectral_normalization]"],
    "vat and anti_pgd of signs": [*VAT, "optimizer=anti_pgd", "optimizer.noise=rademacher"],
    "landscape and pgd of signs": [*VALLEY, "optimizer=pgd", "optimizer.noise=rademacher"],
    "anti_pgd around adam": [*VAT, "optimizer=anti_pgd", "optimizer.base=adam", "optimizer.lr=1e-3"],
    "adaptive sam": [*VAT, "optimizer=sam", "optimizer.adaptive=true"],
    "conditional average": [*GAN, "task.conditional=true", "task.ema_decay=0.9", "task.loss=hinge"],
    "double backward": [*GAN, "regularizer=gradient_penalty", "task.loss=nonsaturating",
                        "regularizer.gradient_penalty.implementation=double_backward"],
    "interpolates across classes": [*GAN, "task.conditional=true", "regularizer=gradient_penalty",
                                    "regularizer.gradient_penalty.interpolate=across"],
    "batch norm in the critic": [*PICTURE_GAN, "model=dcgan", "model.critic_norm=batch",
                                 "regularizer=spectral_normalization"],
    "fully conditional pictures": [*PICTURE_GAN, "model=resnet_gan", "task.conditional=true",
                                   "regularizer=gradient_penalty"],
    "a table of embeddings": [*TEXTS, *POOL, "model=transformer", "regularizer=[vat,fgm]",
                              "regularizer.vat.scope=table", "regularizer.fgm.scope=table",
                              "model.normalize_embeddings=true"],
    "attention, differentiated twice": [*TEXTS, *POOL, "model=transformer",
                                        "regularizer=[vat,jacobian_penalty]", EXACT],
    "two updates a step": [*TEXTS, *POOL, "task=alternate", "model=transformer", "regularizer=vat"],
    "hidden tokens": ["task=pretrain", *TEXTS, "model=transformer"],
    "the next token": ["task=pretrain", *TEXTS, "model=transformer", "model.causal=true",
                       "task.objective=next"],
    "a critic under sam": [*PICTURE_GAN, "model=dcgan", "model.critic_norm=batch", "optimizer=sam"],
}  # fmt: skip
CASES = dict(cases())


CLOSE = 1e-5  # another device, another order of sums


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sixty random pictures of 32 x 32 in three classes, a table and texts of sixty in two."""
    folder = tmp_path_factory.mktemp("data")
    x, y = np.random.default_rng(0).integers(256, size=(60, 32, 32), dtype=np.uint8), np.arange(60) % 3
    np.savez(folder / "pictures.npz", x_train=x, y_train=y, x_test=x[:20], y_test=y[:20])
    (folder / "table.csv").write_text("a,b,target\n" + "".join(f"{i % 7},{i}.5,{i % 2}\n" for i in range(60)))
    texts = (f"{'ab'[i % 2] * (1 + i % 7)} c,{i % 2}\n" for i in range(60))
    (folder / "texts.csv").write_text("text,label\n" + "".join(texts))
    return folder


def config_of(overrides: list[str], data: Path) -> Config:
    return {**composed(*PLAIN, *overrides), "data_dir": str(data)}


def build(config: Config, device: str, chance: int = 0) -> Any:
    """The task on that device; draws that the seed does not decide come out by `chance`."""
    torch.manual_seed(chance)
    fake_device.default_generator.manual_seed(chance)
    return build_task(config, torch.device(device))


def steps(task: Task, numbers: range, watch: Watch) -> list[dict[str, Tensor]]:
    """The terms of each step; no wait of the host but for the order of batches, once in 65,536 items."""
    rows = []
    for number in numbers:
        watch.clear()
        rows.append(task.step(number))
        found = watch.report("wait", "upload", "scalar").splitlines()
        stalls = [s for s in found if number > numbers[0] or not re.search(r"dataset/(sampler|buckets)", s)]
        assert not stalls, f"step {number} waits for the device:\n" + "\n".join(stalls)
    return rows


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor], tolerance: float = 0.0) -> None:
    for name, value in ours.items():
        other = theirs[name].detach().cpu()
        torch.testing.assert_close(value.detach().cpu(), other, rtol=tolerance, atol=tolerance,
                                   msg=lambda text, name=name: f"{name}: {text}")  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_option_keeps_to_its_device(name: str, pictures: Path, tmp_path: Path) -> None:
    """Three steps without a wait, the same again whatever chance says, and a checkpoint to either device."""
    config, folder = config_of(CASES[name], pictures), RunFolder(tmp_path)
    with Watch() as watch:
        task = build(config, "fake", chance=1)
        state = State(task, folder)
        for row in steps(task, range(2), watch):
            state.record(row)
        state.evaluated(task.evaluate())
        state.save()
        (third,) = steps(task, range(2, 3), watch)
        assert all(isinstance(value, FakeTensor) for value in third.values())

        twin = build(config, "fake", chance=2)
        assert_same(steps(twin, range(3), watch)[2], third)
        assert_same(twin.weights(), task.weights())

        there = build(config, "fake", chance=3)
        resumed = State(there, folder)
        resumed.record(steps(there, range(2, 3), watch)[0])
        resumed.means()  # of terms from before and after
        assert_same(there.weights(), task.weights())

        host = build(config, "cpu", chance=4)
        moved = State(host, folder)
        moved.record(host.step(2))
        assert not any(isinstance(value, FakeTensor) for value in host.weights().values())
        assert_same(host.weights(), task.weights(), CLOSE)
        moved.evaluated(host.evaluate())
        moved.save()

        back = build(config, "fake", chance=5)
        returned = State(back, folder)
        returned.record(steps(back, range(3, 4), watch)[0])
        host.step(3)
        assert_same(back.weights(), host.weights(), CLOSE)
        returned.finish()


class Past(Regularizer):
    """Keeps what it saw, in a list."""

    keeps = ("seen",)

    def __init__(self) -> None:
        self.seen: list[Any] = []


def test_what_a_method_keeps_in_a_list_moves_to_the_device() -> None:
    method = Past()
    with Watch():
        state = {"past": {"seen": [torch.ones(2), {"n": (torch.ones(1), 3)}]}}
        load({"past": method}, state, torch.device("fake"))
        assert isinstance(method.seen[0], FakeTensor)
        assert isinstance(method.seen[1]["n"][0], FakeTensor)
        assert method.seen[1]["n"][1] == 3


def test_the_pretend_device_refuses_what_cuda_would() -> None:
    """Otherwise every test above passes by itself."""
    with Watch() as watch:
        ours, index = torch.arange(4.0, device="fake"), torch.tensor([1, 2])
        with pytest.raises(MixedDevices):
            ours + torch.ones(4)
        with pytest.raises(MixedDevices):
            torch.randn(4, device="fake", generator=torch.Generator())
        with pytest.raises(MixedDevices):
            torch.randn(4, generator=torch.Generator("fake"))
        assert not watch.report("wait", "upload")
        assert ours[index].tolist() == [1, 2]
        assert (ours > 1).any()
        torch.randn_like(ours)
        assert {kind for kind, _, _ in watch.events} == {"wait", "upload", "default generator"}
    with pytest.raises(RuntimeError, match="outside"):
        ours + 1


OPERATIONS = {
    "vat step of the mlp": (["task.batch_size=32", "regularizer=vat"], 107),
    "critic step with gradient penalty": (["task=wgan", "regularizer=gradient_penalty"], 113),
    "critic step with spectral normalization": (["task=wgan", "regularizer=spectral_normalization"], 156),
    "valley step of anti_pgd": (["task=landscape", "model.replicas=10", "optimizer=anti_pgd"], 22),
}
"""Overrides of each main path, and how many operations its step launches (views not counted)."""


@pytest.mark.parametrize("path", OPERATIONS)
def test_a_step_launches_no_more_operations_than_it_did(path: str, pictures: Path) -> None:
    overrides, most = OPERATIONS[path]
    with Watch() as watch:
        task = build(config_of(overrides, pictures), "fake")
        step = task.critic_step if path.startswith("critic") else task.step
        for number in range(2):  # the first one makes the optimizer's state
            watch.clear()
            step(number)
    print(f"{path}: {watch.kernels} operations")
    lines = "\n".join(f"{n:5d} {place} {name}" for (name, place), n in watch.places.most_common(15))
    remedy = "if they are worth it, put that number into OPERATIONS and say in the commit what it buys"
    assert watch.kernels <= most, f"{watch.kernels} operations, {most} before; {remedy}\n{lines}"
