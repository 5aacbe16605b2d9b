"""Measures of a generator against closed forms and slow references."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch
from conftest import SPLITS, draw, normal, seen
from torch import Tensor

from genreg.dataset.base import Modes
from genreg.dataset.draw import chosen, some
from genreg.errors import InputError
from genreg.measure import (
    FID,
    KID,
    ConditionalWasserstein,
    ModesCovered,
    PrecisionRecall,
    SlicedWasserstein,
    Wasserstein,
)
from genreg.measure.distance import (
    conditional_wasserstein,
    fid,
    frechet_distance,
    kid,
    modes_covered,
    precision_recall,
    sliced_wasserstein,
    wasserstein,
)


def first(x: Tensor) -> Tensor:
    """A critic."""
    return x[:, 0]


def covariance(rank: int, seed: int) -> Tensor:
    a = normal(5, rank, seed=seed)
    return a @ a.T


# distances between samples


def test_wasserstein_of_a_translate_is_the_translation() -> None:
    a, t = normal(200, 3), torch.tensor([3.0, -4.0, 12.0])
    assert wasserstein(a, a + t).value == pytest.approx(13.0)
    assert wasserstein(a, a.flip(0)).value == 0
    assert math.isnan(wasserstein(a, a).stderr)


def test_wasserstein_of_point_masses_and_on_a_line() -> None:
    a, b = torch.zeros(10, 2), torch.zeros(10, 2)
    b[:3, 0] = 5.0  # three tenths of the mass, five away
    assert wasserstein(a, b).value == pytest.approx(1.5)
    x, y = normal(100, 1), normal(100, 1, seed=1) ** 3
    expected = scipy.stats.wasserstein_distance(x[:, 0].numpy(), y[:, 0].numpy())
    assert wasserstein(x, y).value == pytest.approx(expected)


def test_conditional_wasserstein_by_trying_every_order() -> None:
    """Three classes of three, two and two items (and one that only a side has), against all permutations."""
    a, b = normal(8, 2), normal(9, 2, seed=1)
    a_y, b_y = torch.tensor([0, 1, 0, 2, 1, 0, 2, 5]), torch.tensor([2, 0, 0, 1, 0, 2, 1, 1, 4])
    best = []
    for label in range(3):
        ours, theirs = a[a_y == label], b[b_y == label]
        n = min(len(ours), len(theirs))
        orders = itertools.permutations(range(n))
        best.append(min((ours[:n] - theirs[list(order)]).norm(dim=1).mean().item() for order in orders))
    found = conditional_wasserstein(a, a_y, b, b_y)
    assert found.value == pytest.approx(sum(best) / 3, rel=1e-12)
    assert found.n == 7


def test_conditional_wasserstein_sees_what_the_marginal_distance_does_not() -> None:
    """The right points, each of the wrong one of two classes three apart."""
    x, y = normal(100, 2), torch.arange(100) % 2
    x[y == 1] += torch.tensor([0.0, 3.0])
    assert wasserstein(x, x).value == conditional_wasserstein(x, y, x, y).value == 0
    assert conditional_wasserstein(x, 1 - y, x, y).value == pytest.approx(3, abs=0.5)


def test_sliced_wasserstein_of_a_translate_in_the_plane() -> None:
    """Along a direction at angle theta a translate by t moves |t| |cos theta|, on average 2 |t| / pi."""
    a = normal(50, 2).float()
    found = sliced_wasserstein(a, a + torch.tensor([3.0, 4.0]), 4000, draw())
    assert abs(found.value - 10 / math.pi) < 4 * found.stderr < 0.2
    assert found.n == 4000
    line = sliced_wasserstein(a[:, :1], 3 * a[:, :1], 7, draw())  # in one dimension: the distance itself
    assert line.value == pytest.approx(wasserstein(a[:, :1], 3 * a[:, :1]).value, rel=1e-5)


def test_frechet_distance_of_gaussians_in_closed_form() -> None:
    """Diagonal covariances: |m - m'|^2 + sum (s - s')^2; others: scipy's matrix root."""
    s, t = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64), torch.tensor([4.0, 0.0, 1.0])
    mean_a, mean_b = normal(3), normal(3, seed=1)
    expected = (mean_a - mean_b).square().sum() + (s - t).square().sum()
    found = frechet_distance(mean_a, s.square().diag(), mean_b, t.double().square().diag())
    assert found == pytest.approx(expected.item(), rel=1e-12)
    a, b = covariance(9, 2), covariance(9, 3)
    root = np.trace(scipy.linalg.sqrtm((a @ b).numpy()).real)
    zero = torch.zeros(5, dtype=torch.float64)
    assert frechet_distance(zero, a, zero, b) == pytest.approx(
        (a.trace() + b.trace()).item() - 2 * root, rel=1e-9
    )


def test_frechet_distance_without_full_rank() -> None:
    """Of u u^T and v v^T it is |u|^2 + |v|^2 - 2 |u.v|, and of equal covariances zero."""
    u, v, zero = normal(5), normal(5, seed=1), torch.zeros(5, dtype=torch.float64)
    expected = u.square().sum() + v.square().sum() - 2 * (u @ v).abs()
    found = frechet_distance(zero, u.outer(u), zero, v.outer(v))
    assert found == pytest.approx(expected.item(), rel=1e-7)
    low = covariance(2, 4)
    assert abs(frechet_distance(zero, low, zero, low)) < 1e-7 * low.trace()


def test_fid_fits_mean_and_unbiased_covariance() -> None:
    a, b = normal(40, 1), 3 * normal(50, 1, seed=1) + 2
    (m, s), (n, t) = ((x.mean().item(), x.std().item()) for x in (a, b))
    assert fid(a, b).value == pytest.approx((m - n) ** 2 + (s - t) ** 2)
    few, many = normal(10, 50), normal(10, 50, seed=1)  # fewer items than features
    assert fid(few, few).value == pytest.approx(0, abs=1e-6)
    assert fid(few, many).value > 1


def kid_by_hand(a: np.ndarray, b: np.ndarray) -> float:
    def k(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / len(x) + 1) ** 3)

    n = len(a)
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    h = [k(a[i], a[j]) + k(b[i], b[j]) - k(a[i], b[j]) - k(a[j], b[i]) for i, j in pairs]
    return sum(h) / len(h)


def test_kid_and_its_jackknife_by_hand() -> None:
    a, b = normal(7, 4), 2 * normal(7, 4, seed=1)
    x, y = a.numpy(), b.numpy()
    without = np.array([kid_by_hand(np.delete(x, i, 0), np.delete(y, i, 0)) for i in range(7)])
    found = kid(a, b)
    assert found.value == pytest.approx(kid_by_hand(x, y), rel=1e-10)
    assert found.stderr == pytest.approx(math.sqrt(6 / 7 * ((without - without.mean()) ** 2).sum()))


def test_kid_is_zero_on_average_where_distributions_are_equal() -> None:
    """It is unbiased; the jackknife is known to be too large by about the root of 2 there, not too small."""
    found = [kid(normal(60, 4, seed=2 * i), normal(60, 4, seed=2 * i + 1)) for i in range(400)]
    values = np.array([estimate.value for estimate in found])
    spread = values.std(ddof=1)
    assert abs(values.mean()) < 3 * spread / math.sqrt(len(values))
    assert values.min() < 0 < values.max()
    assert 0.9 < np.sqrt(np.mean([e.stderr**2 for e in found])) / spread < 1.8


def test_kid_of_a_shift_covers_the_truth() -> None:
    """In one dimension E k = E (xy + 1)^3 has a closed form in the moments of x and y."""
    moments, shifted = [1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 2.0, 4.0]  # E z^k and E (z + 1)^k of a normal z
    binomial = [1, 3, 3, 1]
    truth = sum(c * (p - q) ** 2 for c, p, q in zip(binomial, moments, shifted, strict=True))
    found = [kid(normal(200, 1, seed=2 * i), normal(200, 1, seed=2 * i + 1) + 1) for i in range(100)]
    inside = [abs(estimate.value - truth) < 1.96 * estimate.stderr for estimate in found]
    assert 0.85 < np.mean(inside) <= 1.0


@pytest.mark.parametrize("n", [2, 9])
def test_kid_of_unequal_or_too_few_samples(n: int) -> None:
    with pytest.raises(ValueError, match="one size"):
        kid(normal(2 if n == 2 else 8, 3), normal(n, 3))


def test_precision_and_recall_of_clusters() -> None:
    """Real: two clusters. Fake: one of them, and a quarter of its samples nowhere near data."""
    left, right, nowhere = normal(100, 2), normal(100, 2, seed=1) + 100, normal(25, 2, seed=2) - 100
    fake = torch.cat((left[:75], nowhere))
    found = precision_recall(fake, torch.cat((left, right)), k=3)
    assert found["precision"].value == 0.75
    assert 0.45 < found["recall"].value <= 0.5
    assert found["precision"].stderr == pytest.approx(math.sqrt(0.75 * 0.25 / 99))
    same = precision_recall(left, left, k=3)
    assert same["precision"].value == same["recall"].value == 1


def test_balls_reach_to_the_kth_neighbour() -> None:
    """Real points 0, 1, 3, 6: radii to the second neighbour are 3, 2, 3, 5."""
    real = torch.tensor([[0.0], [1.0], [3.0], [6.0]])
    inside, outside = torch.tensor([[11.0], [-3.0], [8.0]]), torch.tensor([[11.1], [-3.1], [12.0]])
    assert precision_recall(inside, real, k=2)["precision"].value == 1
    assert precision_recall(outside, real, k=2)["precision"].value == 0


# modes


def test_modes_of_chosen_points() -> None:
    modes = Modes(torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]]), 0.1)
    x = torch.tensor([[0.0, 0.29], [0.0, 0.31], [10.0, -0.2], [0.0, 9.0], [5.0, 5.0]])
    found = modes_covered(x, modes)
    assert (found["modes"].value, found["high_quality"].value) == (2.0, 0.4)


def test_the_truth_is_within_three_sigma_as_often_as_a_gaussian_is() -> None:
    modes = Modes(torch.tensor([[0.0, 0.0], [10.0, 0.0]]), 0.1)
    x = modes.centers.repeat(20_000, 1) + 0.1 * normal(40_000, 2)
    found = modes_covered(x, modes)["high_quality"]
    assert abs(found.value - (1 - math.exp(-4.5))) < 4 * found.stderr
    assert modes_covered(x, modes)["modes"].value == 2


# options


def test_wasserstein_shows_its_bias() -> None:
    """Two disjoint halves of the split are drawn and compared, so 300 items give 150 to a side."""
    given = seen(first, [])
    found = Wasserstein(samples=1000, **SPLITS)(given)
    assert found["wasserstein"].n == found["wasserstein_real"].n == 150
    ours, theirs = given.real[some(300, 300, stream="measure/items")].split(150)
    assert found["wasserstein_real"].value == wasserstein(theirs, ours).value > 0.1
    assert Wasserstein(samples=40, **SPLITS)(given)["wasserstein_real"].n == 40


def test_sliced_wasserstein_of_random_features() -> None:
    pictures = normal(40, 1, 16, 16).float().tanh()
    measure = SlicedWasserstein(samples=40, projections=50, features="random", **SPLITS)
    same = measure(seen(first, [], real=pictures, fake=pictures))
    other = measure(seen(first, [], real=pictures, fake=-pictures.abs()))
    assert same["sliced_wasserstein"].value == 0 < other["sliced_wasserstein"].value
    with pytest.raises(InputError, match=r"sliced_wasserstein\.features: expected null"):
        measure(seen(first, []))


def test_measures_of_features_use_equal_counts_and_share_one_pass() -> None:
    calls: list[int] = []

    def features(x: Tensor) -> Tensor:
        calls.append(len(x))
        return torch.cat((x, x**2), 1)

    given = seen(first, [], features=features)
    found = FID(samples=150, **SPLITS)(given) | KID(samples=500, **SPLITS)(given)
    found |= PrecisionRecall(samples=100, k=3, **SPLITS)(given)
    assert {name: e.n for name, e in found.items()} == {
        "fid": 150,
        "kid": 200,
        "precision": 100,
        "recall": 100,
    }
    assert calls == [200, 200]
    real = chosen(150, chosen(200, given.real))  # a draw of the items whose features are found
    assert found["fid"].value == fid(features(given.fake[:150]), features(real)).value


@pytest.mark.parametrize(
    ("measure", "key"),
    [
        (FID(samples=9, **SPLITS), "fid"),
        (KID(samples=9, **SPLITS), "kid"),
        (PrecisionRecall(samples=9, k=3, **SPLITS), "precision_recall"),
        (ModesCovered(samples=9, **SPLITS), "modes"),
        (ConditionalWasserstein(samples=9, **SPLITS), "conditional_wasserstein"),
    ],
)
def test_what_a_measure_lacks_is_said(measure: Any, key: str) -> None:
    with pytest.raises(InputError, match=rf"measure\.{key}: expected "):
        measure(seen(first, []))
