"""Architectures by their published counts, and the move of running statistics."""

import pytest
import torch

from genreg.errors import InputError
from genreg.measure import predict
from genreg.model import MLP, Classifier, Conv
from genreg.model.statistics import RunningStatistics

LARGE = [128, 256, 512, 256, 128]
SMALL = [96, 192, 192, 192, 192]


def count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def by_hand(widths: list[int], channels: int, classes: int) -> int:
    """Kernels and two batch-normalization vectors of nine convolutions, then the linear layer."""
    a, b, c, d, e = widths
    layers = [
        (channels, a, 9),
        (a, a, 9),
        (a, a, 9),
        (a, b, 9),
        (b, b, 9),
        (b, b, 9),
        (b, c, 9),
        (c, d, 1),
        (d, e, 1),
    ]
    return sum(i * o * k + 2 * o for i, o, k in layers) + e * classes + classes


@pytest.mark.parametrize("widths", [LARGE, SMALL])
def test_conv_is_table_7(widths: list[int]) -> None:
    model = Conv(input_shape=[3, 32, 32], outputs=10, widths=widths)
    assert count(model) == by_hand(widths, 3, 10)
    x = torch.randn(2, 3, 32, 32)
    spatial = [tuple(model.features[:i](x).shape[2:]) for i in (9, 10, 20, 21, 25, 31)]
    assert spatial == [(32, 32), (16, 16), (16, 16), (8, 8), (6, 6), (6, 6)]
    assert model(x).shape == (2, 10)


def test_conv_refuses_small_pictures_and_takes_the_smallest() -> None:
    assert Conv(input_shape=[1, 12, 12], outputs=3, widths=[4] * 5)(torch.randn(2, 1, 12, 12)).shape == (2, 3)
    with pytest.raises(InputError, match="pictures of at least 12x12"):
        Conv(input_shape=[1, 11, 12], outputs=3, widths=[4] * 5)
    with pytest.raises(InputError, match="five widths"):
        Conv(input_shape=[1, 28, 28], outputs=3, widths=[4] * 4)


def test_mlp_is_a_chain_of_products() -> None:
    model = MLP(input_shape=[2, 3], outputs=4, widths=[5], activation="tanh").double()
    x = torch.randn(7, 2, 3, dtype=torch.float64)
    first, second = model.layers[0], model.layers[2]
    expected = torch.tanh(x.reshape(7, 6) @ first.weight.T + first.bias) @ second.weight.T + second.bias  # type: ignore[operator,union-attr]
    torch.testing.assert_close(model(x), expected)
    assert count(MLP(input_shape=[2, 3], outputs=4, widths=[])) == 6 * 4 + 4


@pytest.mark.parametrize("model", [MLP(input_shape=[3], outputs=2, widths=[4], batch_norm=True, dropout=0.5)])
def test_predict_leaves_the_model_as_it_was(model: Classifier) -> None:
    x = torch.randn(5000, 3)
    model.layers[1].eval()  # type: ignore[index,union-attr]
    modes = [module.training for module in model.modules()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first, again = predict(model, x), predict(model, x)
    assert torch.equal(first, again)
    assert not first.requires_grad
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with pytest.raises(RuntimeError):
        predict(model, torch.randn(5, 4))
    assert [module.training for module in model.modules()] == modes


@pytest.mark.parametrize("share", [0.25, 1.0])
@pytest.mark.parametrize("momentum", [0.2, None])
def test_two_passes_move_running_statistics_as_one(share: float, momentum: float | None) -> None:
    """Twice: r <- (1 - m) r + m (share of a + rest of b); without a momentum, the k-th update has m = 1/k."""
    norm = torch.nn.BatchNorm1d(3, momentum=momentum).double()
    statistics = RunningStatistics(torch.nn.Sequential(norm))
    mean, var = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    for k, (a, b) in enumerate(torch.randn(2, 2, 8, 3, dtype=torch.float64), start=1):
        statistics.begin()
        out = norm(a)
        with statistics.second(1 - share):
            out = out + norm(b)
        (out * torch.randn_like(out)).sum().backward()  # reads the buffers, so they move after it
        statistics.settle()
        moved = momentum or 1 / k
        mean = (1 - moved) * mean + moved * (share * a.mean(0) + (1 - share) * b.mean(0))
        var = (1 - moved) * var + moved * (share * a.var(0) + (1 - share) * b.var(0))
        torch.testing.assert_close(norm.running_mean, mean)
        torch.testing.assert_close(norm.running_var, var)
        assert norm.num_batches_tracked.item() == k  # type: ignore[union-attr]
    assert norm.momentum == momentum
    assert norm.track_running_stats


def test_frozen_statistics_stay_also_on_error() -> None:
    norm = torch.nn.BatchNorm1d(3)
    statistics = RunningStatistics(norm)
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    with statistics.frozen():
        norm(torch.randn(8, 3))
    with pytest.raises(ValueError, match="more than 1 value"), statistics.frozen():
        norm(torch.randn(1, 3))
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())
    assert norm.track_running_stats
