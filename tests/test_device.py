"""Every option that trains, on a pretend accelerator: devices, waits, seeds, checkpoints, operations.

pytest tests/test_device.py -k operations -s        prints the operations of a step of the main paths
"""

import re
from pathlib import Path
from typing import Any

import fake_device
import numpy as np
import pytest
import torch
from device_cases import CASES, PLAIN
from every_option import composed
from fake_device import FakeTensor, MixedDevices, Watch
from torch import Tensor

from genreg.regularizer import Regularizer
from genreg.run.build import build_task
from genreg.run.folder import RunFolder
from genreg.run.identity import Config
from genreg.run.state import State
from genreg.run.task import Task
from genreg.task.trainer import load

pytestmark = pytest.mark.skipif(
    not fake_device.supported(),
    reason=f"the pretend device is written for torch {fake_device.SUPPORTED}, this is {torch.__version__}",
)

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


@pytest.mark.full
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


GROUPED = [
    (["regularizer=[vat,l2,spectral_penalty]", "regularizer.vat.weight={start: 0, end: 1, steps: 9}"],
     "regularizer.vat.weight.end=2"),
    (["regularizer=[hidden_noise,weight_noise,mean_teacher,frobenius_projection]"],
     "regularizer.hidden_noise.sigma=0.2"),
]  # fmt: skip


@pytest.mark.full
@pytest.mark.parametrize(("methods", "other"), GROUPED)
def test_replicas_keep_to_their_device(methods: list[str], other: str, pictures: Path) -> None:
    """A program makes the first step of its runs there, up to rounding, and then waits for nothing.

    That its runs share the moved weights is not shown: the pretend device gives no tensor another's memory.
    """
    plain = ["dataset=two_moons", "model.widths=[64]", "optimizer=sgd", *methods]
    arms = [[*plain, "seed=3"], [*plain, "seed=4", other], [*plain, "seed=5"]]
    with Watch() as watch:
        alone, together = ([build(config_of(arm, pictures), "fake") for arm in arms] for _ in range(2))
        program = together[0].program(together)
        for one, terms in zip(alone, program.step(0), strict=True):
            assert_same(one.step(0), terms, CLOSE)
        watch.clear()
        program.step(1)
        assert not watch.report("wait", "upload")


@pytest.mark.full
def test_8_runs_launch_few_operations_more_than_one(pictures: Path) -> None:
    plain = ["dataset=two_moons", "model.widths=[64,64]", "regularizer=vat"]
    counts = []
    with Watch() as watch:
        made = [build(config_of([*plain, f"seed={n}"], pictures), "fake") for n in range(8)]
        for one in (made[0], made[0].program(made)):
            for number in range(2):
                watch.clear()
                one.objective.gradients(number)
            counts.append(watch.kernels)
    assert counts[0] <= 105
    assert counts[1] <= 121 + 8  # a draw of each, from its own seed
