"""The gradient penalty of one item: its target, and batch normalization, against slopes written out."""

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import classifier, forward_of, normal, small_task
from hydra import compose, initialize_config_dir
from torch import Tensor, nn

from genreg import CONFIGS
from genreg.cli.compose import plain
from genreg.errors import InputError
from genreg.forward.base import Draws
from genreg.forward.critic import CriticForward
from genreg.model import MLP, DCGan, MLPGan
from genreg.model.gan import Critic
from genreg.model.statistics import RunningStatistics
from genreg.regularizer import GradientPenalty
from genreg.run.identity import run_path


def critic_forward(critic: Critic, real: Tensor, fake: Tensor) -> CriticForward:
    return CriticForward(
        critic, real, fake, None, draws=Draws(0, 0, torch.device("cpu")),
        statistics=RunningStatistics(critic), autocast=nullcontext,
    )  # fmt: skip


def test_the_target_is_that_of_the_task_unless_told_otherwise() -> None:
    model, e, y = classifier(), normal(8, 5), torch.arange(8) % 3
    forward = forward_of(model, e, y)
    default, zero, one = (GradientPenalty(target=t).penalty(forward).item() for t in (None, 0.0, 1.0))
    assert default == zero != one
    critic = MLPGan(input_shape=[2], widths=[8], generator_widths=[4]).critic.double()
    seen = critic_forward(critic, normal(6, 2), normal(6, 2, seed=1))
    default, zero, one = (GradientPenalty(target=t).penalty(seen).item() for t in (None, 0.0, 1.0))
    assert default == one != zero


@pytest.mark.full
def test_by_default_a_classifier_becomes_flatter() -> None:
    """Mean slope of the loss at test items, after 200 steps; a target of 1 did the opposite of a bound."""
    slopes = []
    for methods in ({}, {"gradient_penalty": GradientPenalty()}):
        task = small_task(methods, model=partial(MLP, widths=[32]))
        for step in range(200):
            task.step(step)
        e = task.dataset.test.x.clone().requires_grad_()
        loss = F.cross_entropy(task.model.eval()(embedding=e), task.dataset.test.y, reduction="sum")
        slopes.append(torch.autograd.grad(loss, e)[0].flatten(1).norm(dim=1).mean().item())
    assert slopes[1] < 0.2 * slopes[0]


@pytest.mark.full
@pytest.mark.parametrize(
    ("experiment", "known"),
    [("wgan_sn/gp", "99bdd174"), ("wgan_sn/gp_one_sided", "cc136c32"),
     ("wgan_sn_toy/gp", "7f3a6a40"), ("wgan_sn_toy/gp_one_sided", "219c883e")],
)  # fmt: skip
def test_the_experiments_keep_their_folders(experiment: str, known: str, tmp_path: Path) -> None:
    """A folder that an earlier version began, when the target was always 1, is that of the run."""
    (tmp_path / f"{experiment}-{known}").mkdir(parents=True)
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = plain(compose("train", [f"experiment={experiment}", f"output_dir={tmp_path}"]))
    assert run_path(config).parent == tmp_path / f"{experiment}-{known}"


class Alone(nn.Module):
    """An MLP written out, normalized by moments that it is told."""

    def __init__(self, model: MLP) -> None:
        super().__init__()
        self.layers = model.layers

    def moments(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        found = []
        for layer in self.layers:
            if isinstance(layer, nn.BatchNorm1d):
                found.append((x.mean(0), ((x - x.mean(0)) ** 2).mean(0)))
                x = (x - found[-1][0]) / (found[-1][1] + layer.eps).sqrt() * layer.weight + layer.bias
            else:
                x = layer(x)
        return found

    def forward(self, x: Tensor, moments: list[tuple[Tensor, Tensor]]) -> Tensor:
        left = iter(moments)
        for layer in self.layers:
            if isinstance(layer, nn.BatchNorm1d):
                mean, variance = next(left)
                x = (x - mean) / (variance + layer.eps).sqrt() * layer.weight + layer.bias
            else:
                x = layer(x)
        return x


def test_a_slope_is_of_one_item_with_batch_normalization_too() -> None:
    """Item by item, in float64: autograd through layers written out, finite differences in the weights."""
    model, e, y = classifier(batch_norm=True), normal(7, 5), torch.arange(7) % 3
    alone = Alone(model)

    def slopes() -> Tensor:
        moments = [(mean.detach(), variance.detach()) for mean, variance in alone.moments(e)]
        found = []
        for i in range(7):
            x = e[i : i + 1].clone().requires_grad_()
            loss = F.cross_entropy(alone(x, moments), y[i : i + 1])
            found.append(torch.autograd.grad(loss, x)[0].norm())
        return torch.stack(found).detach()

    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    forward = forward_of(model, e, y)
    for name, buffer in model.named_buffers():
        buffer.copy_(before[name])
    method = GradientPenalty(target=0.3)
    found = method.input_gradient(forward).norm(dim=1)
    torch.testing.assert_close(found, slopes(), rtol=1e-10, atol=1e-12)
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())

    mixed = e.clone().requires_grad_()
    loss = F.cross_entropy(model(embedding=mixed), y, reduction="sum")
    wrong = torch.autograd.grad(loss, mixed)[0].norm(dim=1)
    assert (wrong - slopes()).abs().max() > 0.01  # what the sum's gradient is

    for weight in (model.layers[0].weight, model.layers[1].bias, model.layers[3].weight):
        (gradient,) = torch.autograd.grad(method.penalty(forward), weight)  # type: ignore[arg-type]
        with torch.no_grad():
            place, h = weight.view(-1)[1:2], 1e-6  # type: ignore[operator]
            values = []
            for move in (h, -2 * h):
                place += move
                with torch.enable_grad():
                    values.append(((slopes() - 0.3) ** 2).mean().item())
            place += h
        assert gradient.view(-1)[1].item() == pytest.approx(
            (values[0] - values[1]) / (2 * h), rel=1e-5, abs=1e-9
        )


def test_without_batch_normalization_the_score_is_one_pass() -> None:
    model, e, y = classifier(), normal(7, 5), torch.arange(7) % 3
    forward, calls = forward_of(model, e, y), []
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    assert torch.equal(forward.score(e), F.cross_entropy(forward.logits, y, reduction="none"))
    assert len(calls) == 1


@pytest.mark.parametrize("implementation", ["auto", "double_backward"])
def test_a_critic_with_batch_normalization_is_refused(implementation: Any) -> None:
    method = GradientPenalty(implementation=implementation)
    shape = {"input_shape": [1, 16, 16], "width": 4}
    expected = r"^model.critic_norm: expected layer or none .*mixes items\), got .?batch.?$"
    with pytest.raises(InputError, match=expected):
        method.attach(DCGan(**shape, critic_norm="batch").critic)
    for critic_norm in ("none", "layer"):
        method.attach(DCGan(**shape, critic_norm=critic_norm).critic)


def test_layer_normalization_mixes_no_items() -> None:
    critic = DCGan(input_shape=[1, 16, 16], width=4, critic_norm="layer").critic.double()
    real, fake = normal(4, 1, 16, 16), normal(4, 1, 16, 16, seed=1)
    forward = critic_forward(critic, real, fake)
    found = GradientPenalty().input_gradient(forward)
    for i, point in enumerate(forward.points):
        x = point[None].clone().requires_grad_()
        torch.testing.assert_close(
            found[i], torch.autograd.grad(critic(x).sum(), x)[0][0], rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize("target", [0.0, 1.0, None])
def test_a_slope_of_zero_has_a_finite_gradient(target: float | None) -> None:
    model, e, y = classifier(activation="relu"), normal(6, 5), torch.arange(6) % 3
    with torch.no_grad():
        model.layers[0].weight.zero_()
        model.layers[0].bias.fill_(-1)  # no unit is active
    penalty = GradientPenalty(target=target).penalty(forward_of(model, e, y))
    found = torch.autograd.grad(penalty, list(model.parameters()), allow_unused=True)
    assert penalty.item() == (target or 0) ** 2
    assert all(g is None or (g == 0).all() for g in found)
