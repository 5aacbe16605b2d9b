"""How sure an estimate is: Student's intervals by their coverage, and what a residual says."""

import math

import numpy as np
import pytest
import torch
from conftest import draw, normal
from scipy.stats import t as student
from torch import Tensor

from genreg.measure import Estimate, hessian_trace
from genreg.measure.hessian import Hessian
from genreg.measure.lanczos import lanczos


def test_an_interval_is_students() -> None:
    low, high = Estimate(3.0, 0.5, 8).interval
    assert (low, high) == (pytest.approx(3 - 0.5 * 2.3646242510103), pytest.approx(3 + 0.5 * 2.3646242510103))
    assert Estimate(3.0, 0.0, 1).interval == (3.0, 3.0)
    assert all(map(math.isnan, Estimate(3.0, math.nan, 1).interval))
    assert Estimate(0.0, 1.0, 10**6).interval[1] == pytest.approx(1.96, abs=1e-3)


def test_the_interval_of_few_probes_holds_the_trace_as_often_as_it_says() -> None:
    """Hutch++ with 8 probes on a matrix whose trace is known, 1,000 times."""
    rotation = torch.linalg.qr(normal(40, 40)).Q
    matrix = rotation * torch.linspace(1, 2, 40) ** 4 @ rotation.T
    truth = matrix.trace().item()

    class Matrix:
        size, like = 40, matrix

        def __matmul__(self, v: Tensor) -> Tensor:
            return matrix @ v

        rademacher = Hessian.rademacher

    probes, held, by_normal = draw(1), 0, 0
    for _ in range(1000):
        found = hessian_trace(
            Matrix(),
            method="hutch++",
            max_samples=8,
            relative_error=1e-9,
            sketch=5,
            generator=probes,  # type: ignore[arg-type]
        )
        assert found.n == 8
        low, high = found.interval
        held += low <= truth <= high
        by_normal += abs(found.value - truth) <= 1.96 * found.stderr
    assert 930 <= held <= 968
    assert by_normal < 925
    assert np.isclose((high - low) / 2, student.ppf(0.975, 7) * found.stderr)


def test_a_residual_is_a_distance_to_some_eigenvalue_only() -> None:
    """A start with nothing of the top eigenvector: residual zero, and the value is the next one."""
    values = torch.tensor([5.0, 3.0], dtype=torch.float64)
    w = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    hessian = Hessian([w], [lambda: 0.5 * (values * w * w).sum()])

    t, _, beta = lanczos(hessian, torch.tensor([0.0, 1.0], dtype=torch.float64), 2)
    assert (t.item(), beta.item()) == (3.0, 0.0)
