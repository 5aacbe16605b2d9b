"""What every method written outside of the package can rely on: baseline, evaluation, state, command line."""

import io
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import REPOSITORY, normal, small_task
from focal_loss import FocalLoss
from omegaconf import OmegaConf
from torch import Tensor, nn

from genreg.errors import InputError
from genreg.forward.base import Draws
from genreg.forward.critic import CriticForward
from genreg.model.gan import MLPGan
from genreg.model.statistics import RunningStatistics
from genreg.regularizer import (
    Entropy,
    HiddenNoise,
    InputNoise,
    LabelSmoothing,
    MeanTeacher,
    Mixup,
    Ramp,
    RDrop,
    Regularizer,
    SpectralNormalization,
    WeightNoise,
)
from genreg.run.factory import factory
from genreg.study import slurm
from genreg.task.classify import Classify
from genreg.task.trainer import attach

FOLDER = REPOSITORY / "examples"
OPTIONS = sorted(FOLDER.rglob("regularizer/*.yaml"))
OFF = [
    Mixup(alpha=0.0), InputNoise(sigma=0.0, samples=3), LabelSmoothing(epsilon=0.0), FocalLoss(gamma=0.0),
    RDrop(weight=0.0), MeanTeacher(weight=0.0), HiddenNoise(sigma=0.0), WeightNoise(sigma=0.0),
]  # fmt: skip
ON = [
    Mixup(),
    InputNoise(),
    LabelSmoothing(),
    FocalLoss(),
    RDrop(),
    MeanTeacher(),
    HiddenNoise(),
    WeightNoise(),
]


def name(method: Regularizer) -> str:
    return type(method).__name__


def trained(methods: dict[str, Regularizer], steps: int = 5) -> Classify:
    task = small_task(methods, seed=1)
    for step in range(steps):
        task.step(step)
    return task


def plain_weights(task: Classify) -> dict[str, Tensor]:
    """Weights under the names of a model to which nothing is attached."""
    return {k.replace("parametrizations.weight.original", "weight"): w for k, w in task.weights().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("method", OFF, ids=name)
def test_strength_zero_is_the_baseline_bit_for_bit(method: Regularizer) -> None:
    assert same(plain_weights(trained({"a": method})), plain_weights(trained({})))


@pytest.mark.full
@pytest.mark.parametrize("method", ON, ids=name)
def test_evaluation_is_that_of_the_bare_model(method: Regularizer) -> None:
    task, bare = trained({"a": method}), small_task(seed=1)
    assert not same(plain_weights(task), plain_weights(trained({})))
    bare.model.load_state_dict(plain_weights(task))
    assert task.evaluate() == task.evaluate() == bare.evaluate()


def test_a_teacher_killed_in_the_middle_goes_on_bit_for_bit() -> None:
    def start() -> Classify:
        ramp = Ramp(start=0.0, end=2.0, steps=4)
        return small_task({"teacher": MeanTeacher(weight=ramp, decay=0.7), "entropy": Entropy()}, seed=1)

    through, first, second = start(), start(), start()
    for step in range(6):
        through.step(step)
    for step in range(3):
        first.step(step)
    torch.save(first.state_dict(), kept := io.BytesIO())
    second.load_state_dict(torch.load(io.BytesIO(kept.getvalue()), weights_only=True))
    for step in range(3, 6):
        second.step(step)
    assert same(through.weights(), second.weights())
    teachers = [task.methods["teacher"].state_dict()["teacher"] for task in (through, second)]
    assert same(*teachers)
    assert same(teachers[0], through.weights())
    assert not same(teachers[0], through.model.state_dict())


def test_a_teacher_that_no_checkpoint_holds_is_refused() -> None:
    class Forgetful(MeanTeacher):
        keeps = ()

    with pytest.raises(InputError, match=r"regularizer\.a: .*'teacher' in `keeps`"):
        small_task({"a": Forgetful()})


def test_a_teacher_has_what_other_methods_attach() -> None:
    methods = {
        "a": MeanTeacher(decay=0.5),
        "b": SpectralNormalization(),
        "c": WeightNoise(),
        "d": HiddenNoise(),
    }
    task = trained(methods)
    student, teacher = task.model, task.methods["a"].state_dict()["teacher"]
    assert teacher.keys() == student.state_dict().keys()
    assert len(student.layers[2]._forward_hooks) == 1


def test_a_teacher_leaves_statistics_alone_and_passes_are_shared() -> None:
    task = small_task({"a": MeanTeacher(), "b": RDrop()})
    passes: list[nn.Module] = []
    teacher: Any = task.methods["a"].teacher  # type: ignore[attr-defined]
    for model in (task.model, teacher):
        model.register_forward_hook(lambda model, *_: passes.append(model))
    before = {key: buffer.clone() for key, buffer in teacher.named_buffers()}
    task.objective.gradients(0)
    assert passes == [task.model, task.model, task.model, teacher]  # labeled, pool, R-Drop's, the teacher's
    assert same(before, dict(teacher.named_buffers()))


def test_hidden_noise_leaves_the_masks_of_dropout_alone() -> None:
    def masks(methods: dict[str, Regularizer]) -> list[Tensor]:
        task, found = small_task(methods), []
        (dropout,) = (m for m in task.model.modules() if isinstance(m, nn.Dropout))
        dropout.register_forward_hook(lambda _, inputs, out: found.append((out == 0) & (inputs[0] != 0)))
        dropout.register_forward_pre_hook(lambda _, inputs: (torch.ones_like(inputs[0]),))
        for step in range(3):
            task.step(step)
        return found

    without, noisy = (masks(more) for more in ({}, {"a": HiddenNoise(sigma=0.3)}))
    assert len(without) == 3
    assert all(map(torch.equal, without, noisy))
    assert 0 < without[0].float().mean() < 1


@pytest.mark.parametrize("method", [HiddenNoise(), WeightNoise()], ids=name)
def test_noise_attached_to_a_critic_is_new_at_every_update(method: Regularizer) -> None:
    critic = MLPGan(input_shape=[2], latent=2, widths=[8], generator_widths=[8]).critic
    attach({"a": method}, critic)

    def scores(step: int) -> Tensor:
        draws, statistics = Draws(0, step, torch.device("cpu")), RunningStatistics(critic)
        real, fake = normal(5, 2).float(), normal(5, 2, seed=1).float()
        return CriticForward(critic, real, fake, None, draws=draws, statistics=statistics,
                             autocast=lambda: torch.autocast("cpu", enabled=False)).real_scores  # fmt: skip

    assert torch.equal(scores(0), scores(0))
    assert not torch.equal(scores(0), scores(1))


def test_a_method_is_a_page() -> None:
    sources = [*FOLDER.glob("*.py"), *FOLDER.glob("my_method/*.py")]
    assert len(sources) == len(OPTIONS) == 2
    assert all(len(path.read_text().splitlines()) < 40 for path in sources)
    assert all("arXiv:" in path.read_text() or "(Neural Computation" in path.read_text() for path in sources)


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: path.stem)
def test_yaml_lists_every_parameter_with_its_default(path: Path) -> None:
    node: Any = OmegaConf.to_container(OmegaConf.load(path))
    assert path.read_text().startswith(f"# @package regularizer.{path.stem}\n# ")
    assert vars(factory(node, "a")()) == vars(factory({"_target_": node["_target_"]}, "a")())
    assert vars(factory(node, "a")()).keys() == node.keys() - {"_target_"}


@pytest.mark.full
def test_the_command_of_the_readme(tmp_path: Path) -> None:
    command = "genreg train --config-dir examples/my_method regularizer=mine"
    assert command in (FOLDER / "my_method" / "README.md").read_text()
    options = [f"output_dir={tmp_path}", "steps=2", "device=cpu", "logger=none"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    run = [sys.executable, "-m", *command.split(), *options]
    done = subprocess.run(run, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (rows,) = tmp_path.rglob("metrics.jsonl")
    assert '"train/mine"' in rows.read_text()


def test_a_node_of_a_cluster_finds_the_same_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, "/my/methods"])
    sent = pickle.dumps(slurm.OnNode(slurm.Options()))
    monkeypatch.setattr(sys, "path", sys.path[:-1])
    found: list[str] = []
    monkeypatch.setattr(slurm, "run", lambda *_: found.extend(sys.path) or slurm.Outcome("done"))
    monkeypatch.setattr(slurm.signal, "signal", lambda *_: None)
    pickle.loads(sent)(None)
    assert found[-1] == "/my/methods"
    assert found.count("/my/methods") == 1
