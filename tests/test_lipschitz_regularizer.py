"""Regularizers of a critic: penalties and norms against closed forms, in float64 where it matters."""

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from genreg.errors import InputError
from genreg.forward.base import Draws
from genreg.forward.critic import CriticForward
from genreg.model import DCGan, MLPGan, ResNetGan
from genreg.model.gan import Critic
from genreg.model.statistics import RunningStatistics
from genreg.regularizer import (
    Frobenius,
    FrobeniusProjection,
    GradientPenalty,
    SpectralNormalization,
    WeightClipping,
)
from genreg.task.generation import LOSSES

CPU = torch.device("cpu")


def forward_of(critic: Critic, real: Tensor, fake: Tensor, y: Tensor | None = None) -> CriticForward:
    return CriticForward(
        critic,
        real,
        fake,
        y,
        draws=Draws(0, 0, CPU),
        statistics=RunningStatistics(critic),
        autocast=nullcontext,
    )


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def linear_critic(w: list[float]) -> Critic:
    layer = nn.Linear(len(w), 1, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([w], dtype=torch.float64))
    return Critic(nn.Sequential(layer))


def critic_of(name: str) -> Critic:
    torch.manual_seed(0)
    makers: dict[str, Any] = {
        "mlp": lambda: MLPGan(
            input_shape=[2], widths=[16, 16], generator_widths=[4], activation="leaky_relu"
        ),
        "mlp_on_pictures": lambda: MLPGan(input_shape=[1, 8, 8], widths=[16], generator_widths=[4]),
        "dcgan": lambda: DCGan(input_shape=[3, 32, 32], width=4),
        "dcgan_layer_norm": lambda: DCGan(input_shape=[3, 16, 16], width=4, critic_norm="layer"),
        "dcgan_batch_norm": lambda: DCGan(input_shape=[3, 16, 16], width=4, critic_norm="batch"),
        "resnet_gan": lambda: ResNetGan(input_shape=[3, 32, 32], width=4),
    }
    return makers[name]().critic.double()


def batch_for(name: str, n: int = 6, seed: int = 0) -> Tensor:
    shapes = {"mlp": (2,), "mlp_on_pictures": (1, 8, 8)}
    side = 16 if "_norm" in name else 32
    return draw(n, *shapes.get(name, (3, side, side)), seed=seed)


def test_losses_by_hand() -> None:
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.0])
    log = torch.log
    expected = {
        "wasserstein": (-1.5 - 1.25, 1.5),
        "hinge": ((0 + 0.5) / 2 + (0 + 1) / 2, 1.5),
        "nonsaturating": (
            -(log(real.sigmoid()).mean() + log(1 - fake.sigmoid()).mean()).item(),
            -log(fake.sigmoid()).mean().item(),
        ),
    }
    assert set(LOSSES) == set(expected)
    for name, (critic, generator) in expected.items():
        assert LOSSES[name].critic(real, fake).item() == pytest.approx(critic, rel=1e-6)  # type: ignore[index]
        assert LOSSES[name].generator(fake).item() == pytest.approx(generator, rel=1e-6)  # type: ignore[index]


@pytest.mark.parametrize(("w", "two_sided", "one_sided"), [([3.0, 4.0], 16.0, 16.0), ([0.3, 0.4], 0.25, 0.0)])
@pytest.mark.parametrize("implementation", ["double_backward", "adjoint"])
def test_penalties_of_a_linear_critic(
    w: list[float], two_sided: float, one_sided: float, implementation: Any
) -> None:
    forward = forward_of(linear_critic(w), draw(5, 2), draw(5, 2, seed=1))
    both, one = (
        GradientPenalty(implementation=implementation, one_sided=sided).penalty(forward).item()
        for sided in (False, True)
    )
    assert both == pytest.approx(two_sided, rel=1e-12)
    assert one == pytest.approx(one_sided, rel=1e-12)


def test_one_sided_is_two_sided_above_the_target_and_zero_below() -> None:
    forward = forward_of(critic_of("mlp"), draw(50, 2), draw(50, 2, seed=1))
    slopes = GradientPenalty().input_gradient(forward).norm(dim=1)
    target = slopes.median().item()
    one = GradientPenalty(one_sided=True, target=target).penalty(forward)
    two = GradientPenalty(target=target).penalty(forward)
    below, above = slopes[slopes < target], slopes[slopes >= target]
    assert len(below)
    assert len(above)
    assert one.item() == pytest.approx(((above - target) ** 2).sum().item() / 50, rel=1e-12)
    assert two.item() == pytest.approx(one.item() + ((below - target) ** 2).sum().item() / 50, rel=1e-12)


def test_interpolates_lie_on_the_segment_with_one_t_per_example() -> None:
    real, fake = draw(40, 3, 8, 8), draw(40, 3, 8, 8, seed=1)
    points = forward_of(Critic(nn.Sequential(nn.Flatten(), nn.Linear(192, 1)).double()), real, fake).points
    t = ((points - fake) / (real - fake)).flatten(1)
    torch.testing.assert_close(t, t[:, :1].expand_as(t), rtol=1e-8, atol=1e-8)
    assert ((t >= 0) & (t <= 1)).all()
    assert len(t[:, 0].unique()) == 40
    assert t[:, 0].min() < 0.2
    assert t[:, 0].max() > 0.8


@pytest.mark.parametrize("name", ["mlp", "mlp_on_pictures", "dcgan"])
@pytest.mark.parametrize("spectral", [False, True])
def test_the_adjoint_is_the_double_backward(name: str, spectral: bool) -> None:
    def gradients(implementation: Any) -> list[Tensor]:
        critic = critic_of(name)
        if spectral:
            torch.manual_seed(1)
            SpectralNormalization().attach(critic)
        with parametrize.cached():
            forward = forward_of(critic, batch_for(name), batch_for(name, seed=1))
            penalty = GradientPenalty(implementation=implementation).penalty(forward)
            found = torch.autograd.grad(penalty, list(critic.parameters()), allow_unused=True)
        zeros = (torch.zeros_like(p) for p in critic.parameters())
        return [penalty, *(g if g is not None else zero for g, zero in zip(found, zeros, strict=True))]

    ours, theirs = gradients("adjoint"), gradients("double_backward")
    assert sum(g.abs().sum() for g in ours[1:]) > 0
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-14)


def conditional_forward(name: str, n: int = 40) -> CriticForward:
    """Of a critic of four classes, which batches of n items of (2,) or (3, 16, 16) hold in turn."""
    torch.manual_seed(0)
    shape = [2] if name == "mlp" else [3, 16, 16]
    gan = (
        MLPGan(input_shape=shape, classes=4, widths=[16, 16], generator_widths=[4], activation="leaky_relu")
        if name == "mlp"
        else DCGan(input_shape=shape, classes=4, width=4)
    )
    y = torch.arange(n) % 4
    forward = forward_of(gan.critic.double(), draw(n, *shape), draw(n, *shape, seed=1), y)
    return forward.of("gradient_penalty")


@pytest.mark.full
@pytest.mark.parametrize("name", ["mlp", "dcgan"])
@pytest.mark.parametrize("interpolate", ["within", "across"])
def test_a_conditional_slope_is_that_of_the_real_items_label(name: str, interpolate: Any) -> None:
    """Either implementation, weights' gradients included; the slope by central differences, label held."""

    def found(implementation: Any) -> list[Tensor]:
        forward = conditional_forward(name, 6)
        penalty = GradientPenalty(interpolate=interpolate, implementation=implementation).penalty(forward)
        weights = [p for key, p in forward.model.named_parameters() if key.endswith("weight")]
        return [penalty, *torch.autograd.grad(penalty, weights)]

    for a, b in zip(found("adjoint"), found("double_backward"), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-14)
    forward = conditional_forward(name, 6)
    points = forward.points if interpolate == "within" else forward.points_across()
    flat, y = points.flatten(1), torch.arange(6) % 4
    squares = torch.zeros(6, dtype=torch.float64)
    with torch.no_grad():
        for unit in torch.eye(flat.shape[1], dtype=torch.float64) * 1e-6:
            up, down = (forward.model((flat + s * unit).reshape(points.shape), y) for s in (1, -1))
            squares += ((up - down) / 2e-6) ** 2
    assert found("adjoint")[0].item() == pytest.approx(((squares.sqrt() - 1) ** 2).mean().item(), rel=1e-6)


def test_across_pairs_each_real_item_with_another_fake_and_leaves_the_others_points() -> None:
    forward = conditional_forward("mlp")
    t = ((forward.points - forward.fake) / (forward.real - forward.fake))[:, :1]
    other = (forward.points_across() - t * forward.real) / (1 - t)  # the fake end of each segment
    distance = torch.cdist(other, forward.fake, compute_mode="donot_use_mm_for_euclid_dist")
    order = distance.argmin(1)
    assert distance.min(1).values.max() < 1e-10
    assert order.sort().values.tolist() == list(range(40))
    assert (order % 4 != torch.arange(40) % 4).double().mean() > 0.5  # expected: 3 of 4
    assert torch.equal(forward.points, conditional_forward("mlp").points)


def test_across_without_labels_is_refused() -> None:
    for model in (critic_of("mlp"), nn.Linear(2, 1)):
        with pytest.raises(InputError, match="interpolate: expected within where players see no labels"):
            GradientPenalty(interpolate="across").attach(model)


@pytest.mark.parametrize("name", ["dcgan_layer_norm", "dcgan_batch_norm", "resnet_gan"])
def test_layers_without_a_known_adjoint_are_refused_or_left_to_autograd(name: str) -> None:
    forward = forward_of(critic_of(name), batch_for(name), batch_for(name, seed=1))
    with pytest.raises(InputError, match="double_backward for this model"):
        GradientPenalty(implementation="adjoint").attach(forward.model)
    auto, plain = (GradientPenalty(implementation=i) for i in ("auto", "double_backward"))  # type: ignore[arg-type]
    assert torch.equal(auto.input_gradient(forward), plain.input_gradient(forward))


def test_a_strided_convolution_that_skips_the_border_has_its_adjoint() -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, dilation=2, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 3 * 4, 1)
    ).double()
    forward = forward_of(Critic(layers), draw(3, 2, 10, 11), draw(3, 2, 10, 11, seed=1))
    a, b = (GradientPenalty(implementation=i).input_gradient(forward) for i in ("adjoint", "double_backward"))  # type: ignore[arg-type]
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_frobenius_by_hand() -> None:
    critic = linear_critic([3.0, 4.0])
    forward = forward_of(critic, draw(2, 2), draw(2, 2))
    assert Frobenius(bound=1.0).penalty(forward).item() == pytest.approx(16.0)
    assert Frobenius(bound=6.0).penalty(forward).item() == 0
    FrobeniusProjection(bound=6.0).project(critic)
    assert critic.layers[0].weight.tolist() == [[3.0, 4.0]]
    FrobeniusProjection(bound=1.0).project(critic)
    assert critic.layers[0].weight.tolist() == [pytest.approx([0.6, 0.8])]


def test_projection_leaves_no_layer_beyond_its_bound() -> None:
    critic = critic_of("dcgan")
    biases = [p.clone() for name, p in critic.named_parameters() if name.endswith("bias")]
    FrobeniusProjection(bound=0.5).project(critic)
    norms = [p.norm().item() for name, p in critic.named_parameters() if name.endswith("weight")]
    assert norms == pytest.approx([0.5] * len(norms))
    after = [p for name, p in critic.named_parameters() if name.endswith("bias")]
    assert all(map(torch.equal, biases, after))


def test_clipping_bounds_every_parameter() -> None:
    critic = critic_of("dcgan_batch_norm")
    WeightClipping(bound=0.02).project(critic)
    assert max(p.abs().max().item() for p in critic.parameters()) == 0.02


@pytest.mark.parametrize("name", ["mlp", "dcgan", "dcgan_batch_norm", "resnet_gan"])
def test_spectral_norms_against_svd(name: str) -> None:
    critic = critic_of(name)
    SpectralNormalization(warm_up=100).attach(critic)
    critic.eval()
    normalized = 0
    for layer in critic.modules():
        if parametrize.is_parametrized(layer):
            weight = layer.weight.detach()  # type: ignore[operator,union-attr]
            norm = weight.abs().max() if weight.ndim == 1 else torch.linalg.matrix_norm(weight.flatten(1), 2)
            assert norm.item() == pytest.approx(1, abs=0.01)
            normalized += 1
    assert normalized == sum(1 for p in critic_of(name).named_parameters() if p[0].endswith("weight"))


def test_the_spectral_norm_is_differentiated_too() -> None:
    """At an exact pair u, v the gradient is that of W / sigma_max(W), by torch's own SVD."""
    layer = nn.Linear(5, 4, bias=False).double()
    w = layer.weight.detach().clone().requires_grad_()
    SpectralNormalization(warm_up=500).attach(nn.Sequential(layer))
    direction = draw(4, 5)
    ((w / torch.linalg.matrix_norm(w, 2)) * direction).sum().backward()
    (layer.weight * direction).sum().backward()
    found = layer.parametrizations.weight.original.grad  # type: ignore[union-attr,operator]
    torch.testing.assert_close(found, w.grad, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("training", [True, False])
def test_only_a_pass_that_trains_advances_the_power_iteration(training: bool) -> None:
    critic = critic_of("mlp")
    SpectralNormalization(warm_up=1).attach(critic)
    state = lambda: {k: v.clone() for k, v in critic.state_dict().items() if k.endswith(".u")}  # noqa: E731
    before = state()
    critic.train(training)
    with torch.no_grad():
        critic(batch_for("mlp"))
    critic.requires_grad_(False)
    critic(batch_for("mlp"))
    assert all(torch.equal(before[k], v) for k, v in state().items())
    critic.requires_grad_(True)
    critic(batch_for("mlp"))
    assert training is not all(torch.equal(before[k], v) for k, v in state().items())
