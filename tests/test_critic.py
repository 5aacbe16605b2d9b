"""The critic's slope and estimate against closed forms."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import scipy.stats
import torch
from conftest import SPLITS, draw, normal, seen
from torch import Tensor, nn

from genreg.measure import CriticWasserstein, GradientNorm, Lipschitz
from genreg.measure.critic import BINS
from genreg.measure.distance import wasserstein
from genreg.measure.lipschitz import convolution_norm, interpolates, spectral_product


def scores(*layers: nn.Module) -> Callable[[Tensor], Tensor]:
    return lambda x: nn.Sequential(*layers)(x)[:, 0]


def dense(layer: nn.Conv2d, shape: tuple[int, ...]) -> Tensor:
    """The matrix of a convolution without bias, column by column."""
    units = torch.eye(math.prod(shape), dtype=torch.float64).reshape(-1, *shape)
    with torch.no_grad():
        copy = nn.Conv2d(layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride,
                         layer.padding, layer.dilation, layer.groups, bias=False)  # fmt: skip
        copy.weight.copy_(layer.weight)
        return copy.double()(units).flatten(1).T


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"kernel_size": 3, "padding": 1}, (3, 8, 8)),
        ({"kernel_size": 5, "stride": 2, "padding": 2}, (3, 9, 8)),
        ({"kernel_size": 4, "stride": 2, "padding": 1}, (3, 8, 8)),
        ({"kernel_size": 3, "padding": "same", "dilation": 2}, (3, 7, 7)),
        ({"kernel_size": 1}, (3, 5, 5)),
    ],
)
def test_convolution_norm_is_that_of_its_matrix(options: Any, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4, **options)
    expected = torch.linalg.matrix_norm(dense(layer, shape), 2).item()
    assert convolution_norm(layer, shape, draw()) == pytest.approx(expected, rel=1e-4)


def test_the_reshaped_kernel_is_no_bound_on_the_convolution() -> None:
    """A 3x3 kernel of thirds has norm 1 as a matrix; on n x n it is (1 + 2 cos(pi / (n + 1)))^2 / 3."""
    layer = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    nn.init.constant_(layer.weight, 1 / 3)
    assert spectral_product([layer]) == pytest.approx(1.0)
    expected = (1 + 2 * math.cos(math.pi / 17)) ** 2 / 3
    assert convolution_norm(layer, (1, 16, 16), draw()) == pytest.approx(expected, rel=1e-4)


def test_a_linear_critic_has_one_slope() -> None:
    layer = nn.Linear(2, 1)
    layer.weight.data = torch.tensor([[3.0, -4.0]])
    real = normal(200, 2).float()
    given = seen(scores(layer), [layer], real=real, fake=real - torch.tensor([2.0, 1.0]))
    bounds = Lipschitz(samples=100, **SPLITS)(given)
    assert {name: bound.value for name, bound in bounds.items()} == pytest.approx(
        {"lipschitz_lower": 5.0, "lipschitz_upper": 5.0, "spectral_product": 5.0}
    )
    estimate = CriticWasserstein(samples=1000, **SPLITS)(given)
    assert estimate["critic_wasserstein"].value == pytest.approx(2.0, rel=1e-5)  # (3, -4).(2, 1)
    assert estimate["critic_wasserstein_scaled"].value == pytest.approx(0.4, rel=1e-5)
    assert estimate["critic_wasserstein"].n == 200
    error = ((real @ layer.weight.data.T).double().var() * 2 / 200).sqrt().item()  # real and fake vary alike
    assert estimate["critic_wasserstein"].stderr == pytest.approx(error, rel=1e-5)
    assert estimate["critic_wasserstein_scaled"].stderr == pytest.approx(error / 5, rel=1e-5)
    norms = GradientNorm(samples=100, **SPLITS)(given)
    assert {name: norm.value for name, norm in norms.items()} == pytest.approx(
        {f"gradient_norm_{place}": 5.0 for place in ("data", "samples", "interpolates")}
        | {f"gradient_norm_{place}_std": 0.0 for place in ("data", "samples", "interpolates")}, abs=1e-5
    )  # fmt: skip


@pytest.mark.parametrize("at", [2.0, -2.0, 0.0])
def test_the_steepest_place_counts_wherever_it_is(at: float) -> None:
    """A slope of 1, and of 8 within 1e-3 of real items, of samples, or in a third of the way between."""
    width = 1e-3 if at else 0.7
    given = seen(lambda x: (x + 7 * (x - at).clamp(-width, width))[:, 0], [], real=torch.full((99, 1), 2.0),
                 fake=torch.full((99, 1), -2.0))  # fmt: skip
    assert Lipschitz(samples=99, **SPLITS)(given)["lipschitz_lower"].value == pytest.approx(8)


def test_the_scaled_estimate_never_exceeds_the_distance() -> None:
    """On one sample a slope over the segments bounds the score gap: a steep critic only looks far away."""
    critic = [nn.Linear(2, 1)]
    given = seen(lambda x: 100 * scores(*critic)(x), list(critic))
    real, fake = given.pair(200)[::-1]
    found = CriticWasserstein(samples=200, **SPLITS)(given)
    assert found["critic_wasserstein_scaled"].value <= wasserstein(real, fake).value + 1e-6


def test_bounds_enclose_the_slope_of_a_convolutional_critic() -> None:
    torch.manual_seed(0)
    layers: list[nn.Module] = [
        nn.Conv2d(1, 4, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(4, 8, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(32, 1),
    ]  # fmt: skip
    pictures = {"real": normal(20, 1, 8, 8).float(), "fake": normal(20, 1, 8, 8, seed=1).float()}
    found = Lipschitz(samples=20, **SPLITS)(seen(scores(*layers), layers, **pictures))
    linear = layers[5]
    assert isinstance(linear, nn.Linear)
    expected = linear.weight.norm().item()
    for layer, shape in ((layers[0], (1, 8, 8)), (layers[2], (4, 4, 4))):
        assert isinstance(layer, nn.Conv2d)
        expected *= torch.linalg.matrix_norm(dense(layer, shape), 2).item()
    assert found["lipschitz_upper"].value == pytest.approx(expected, rel=1e-4)
    assert 0 < found["lipschitz_lower"].value < found["lipschitz_upper"].value
    assert not layers[0]._forward_pre_hooks


def test_no_upper_bound_is_claimed_through_batch_normalization() -> None:
    layers: list[nn.Module] = [nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 1)]
    found = Lipschitz(samples=50, **SPLITS)(seen(scores(*layers), layers))
    assert set(found) == {"lipschitz_lower", "spectral_product"}
    steep: list[nn.Module] = [nn.Linear(2, 1), nn.LeakyReLU(3.0)]
    bound = Lipschitz(samples=50, **SPLITS)(seen(scores(*steep), steep))
    assert bound["lipschitz_upper"].value == pytest.approx(3 * bound["spectral_product"].value)


def test_a_spectrally_normalized_critic_is_left_as_it_was() -> None:
    torch.manual_seed(0)
    normalized = nn.utils.parametrizations.spectral_norm(nn.Linear(2, 8), n_power_iterations=30)
    layers: list[nn.Module] = [normalized, nn.ReLU(), nn.Linear(8, 1)]
    before = [b.clone() for b in normalized.buffers()]
    critic = nn.Sequential(*layers)

    def frozen(x: Tensor) -> Tensor:
        critic.eval()
        try:
            return critic(x)[:, 0]
        finally:
            critic.train()

    found = Lipschitz(samples=50, **SPLITS)(seen(frozen, layers))
    last = layers[2]
    assert isinstance(last, nn.Linear)
    assert found["spectral_product"].value == pytest.approx(last.weight.norm().item(), rel=1e-4)
    assert all(torch.equal(a, b) for a, b in zip(before, normalized.buffers(), strict=True))
    assert normalized.training
    assert all(p.grad is None for p in critic.parameters())


def test_interpolates_lie_on_their_own_segments() -> None:
    real, fake = normal(500, 3), normal(500, 3, seed=1)
    between = interpolates(real, fake, draw())
    share = ((between - fake) / (real - fake)).T  # one t for all coordinates of a pair
    torch.testing.assert_close(share[0], share[1])
    assert scipy.stats.kstest(share[0].numpy(), "uniform").pvalue > 0.01


def test_histogram_counts_every_gradient_in_its_bin() -> None:
    """Of |x|^2 / 2 the gradient is x; norms beyond the bins count in the outermost."""
    real = torch.tensor([[1e-9, 0.0], [3.0, 4.0], [0.0, 1e9]])
    given = seen(lambda x: x.square().sum(1) / 2, [], real=real, fake=torch.ones(3, 2))
    counts = GradientNorm(samples=3, **SPLITS).histogram(given)
    data, five = counts["data"], int((BINS <= 5).sum()) - 1
    assert data.nonzero()[:, 0].tolist() == [0, five, 59]
    assert all(counts[place].sum() == 3 for place in ("data", "samples", "interpolates"))
    assert counts["samples"][int((math.sqrt(2) >= BINS).sum()) - 1] == 3
