"""The noise of perturbed optimizers: its covariance, its independence, where it lies, when it stops."""

import math

import pytest
import torch
from torch import nn

from genreg.optimizer import anti_pgd, evaluation_weights
from genreg.optimizer.noise import Noise, rademacher_


def test_increments_have_the_autocovariance_of_differences() -> None:
    """2 sigma^2 at lag 0, -sigma^2 at lag 1, 0 beyond: each within four standard errors, of 4,000 weights."""
    sigma, steps = 0.3, 300
    weight = nn.Parameter(torch.zeros(4000, dtype=torch.float64))
    optimizer = anti_pgd([weight], sigma=sigma, lr=0.0)
    path = [weight.detach().clone()]
    for _ in range(steps):
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
        path.append(weight.detach().clone())
    increments = torch.stack(path).diff(dim=0)[1:]  # the first is xi_1 alone
    for lag, expected in enumerate([2 * sigma**2, -(sigma**2), 0.0, 0.0]):
        products = (increments[: len(increments) - lag] * increments[lag:]).mean(0)  # one of each weight
        error = products.std().item() / math.sqrt(len(products))
        assert products.mean().item() == pytest.approx(expected, abs=4 * error)
        assert error < 0.01 * sigma**2
    neighbours = (increments[:, :-1] * increments[:, 1:]).mean(0)
    assert abs(neighbours.mean()) < 4 * neighbours.std() / math.sqrt(len(neighbours))
    xi = Noise([weight], seed=0)(steps)[0]
    torch.testing.assert_close(path[-1], sigma * xi, rtol=0, atol=1e-12)  # they telescope


def test_replicas_have_independent_noise_of_their_own() -> None:
    parameters = [torch.zeros(6, 500), torch.zeros(6, 20, 25)]
    noise = Noise(parameters, seed=3, replicas=range(6))
    for n in (1, 2, 40):
        views = noise(n)
        flat = torch.cat([view.flatten(1) for view in views], 1)
        correlation = torch.corrcoef(flat) - torch.eye(6)
        assert correlation.abs().max() < 4 / math.sqrt(1000)
        for k in (0, 4):
            alone = Noise([p[:1] for p in parameters], seed=3, replicas=range(k, k + 1))(n)
            assert all(torch.equal(a[0], view[k]) for a, view in zip(alone, views, strict=True))
        assert not torch.equal(Noise(parameters, seed=4, replicas=range(6))(n)[0], views[0])


@pytest.mark.full
@pytest.mark.parametrize("size", [1, 8, 64, 1001])
def test_rademacher_signs_are_fair_and_white(size: int) -> None:
    generator = torch.Generator().manual_seed(1)
    draws = torch.stack([rademacher_(torch.empty(size), generator) for _ in range(20_000 // size + 200)])
    assert set(draws.unique().tolist()) == {-1.0, 1.0}
    assert abs(draws.mean()) < 4 / math.sqrt(draws.numel())
    if size > 1:
        covariance = (draws[:, :-1] * draws[:, 1:]).mean()
        assert abs(covariance) < 4 / math.sqrt(draws.numel())
        assert (draws.mean(0).abs() < 5.5 / math.sqrt(len(draws))).all()


def test_noise_lies_in_memory_as_channels_last_weights_do() -> None:
    weight = torch.zeros(8, 3, 5, 5).to(memory_format=torch.channels_last)
    (view,) = Noise([weight])(1)
    assert view.stride() == weight.stride()


def test_noise_stops_and_leaves_the_noise_free_iterate() -> None:
    weight = nn.Parameter(torch.ones(50, dtype=torch.float64))
    optimizer = anti_pgd([weight], sigma=0.5, lr=0.0, noise_steps=3)
    for step in range(6):
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
        noisy = weight.detach().clone()
        assert torch.allclose(noisy, torch.ones_like(noisy)) == (step >= 3)
        with evaluation_weights(optimizer):
            torch.testing.assert_close(weight.detach(), torch.ones_like(noisy), rtol=0, atol=1e-12)
        assert torch.equal(weight.detach(), noisy)


def test_noise_free_iterate_is_put_back_when_the_measure_raises() -> None:
    weight = nn.Parameter(torch.ones(5))
    optimizer = anti_pgd([weight], sigma=0.5)
    weight.grad = torch.zeros_like(weight)
    optimizer.step()
    before = weight.detach().clone()
    with pytest.raises(RuntimeError), optimizer.noise_free():
        raise RuntimeError
    assert torch.equal(weight.detach(), before)
