"""How sure an estimate is: Student's intervals by their coverage, and what a residual says."""

import math

import numpy as np
import pytest
import torch
from conftest import draw, normal
from scipy.stats import t as student
from torch import Tensor

from genreg.measure import Estimate, hessian_trace
from genreg.measure.hessian import Hessian, lanczos


def test_an_interval_is_students() -> None:
    low, high = Estimate(3.0, 0.5, 8).interval
    assert (low, high) == (pytest.approx(3 - 0.5 * 2.3646242510103), pytest.approx(3 + 0.5 * 2.3646242510103))
    assert Estimate(3.0, 0.0, 1).interval == (3.0, 3.0)
    assert all(map(math.isnan, Estimate(3.0, math.nan, 1).interval))
    assert Estimate(0.0, 1.0, 10**6).interval[1] == pytest.approx(1.96, abs=1e-3)


class Matrix:
    """A matrix with these eigenvalues in random directions, where a Hessian is expected."""

    def __init__(self, eigenvalues: Tensor, seed: int = 0) -> None:
        self.size = len(eigenvalues)
        rotation = torch.linalg.qr(normal(self.size, self.size, seed=seed)).Q
        self.like = rotation * eigenvalues @ rotation.T

    def __matmul__(self, v: Tensor) -> Tensor:
        return self.like @ v

    rademacher = Hessian.rademacher


def test_the_interval_of_few_probes_holds_the_trace_as_often_as_it_says() -> None:
    """Hutch++ with 8 probes on a matrix whose trace is known, 1,000 times."""
    matrix = Matrix(torch.linspace(1, 2, 40).double() ** 4)
    truth = matrix.like.trace().item()
    probes, held, by_normal = draw(1), 0, 0
    for _ in range(1000):
        found = hessian_trace(
            matrix,
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


RANKS = torch.arange(1, 61, dtype=torch.float64)


@pytest.mark.full
@pytest.mark.parametrize(("eigenvalues", "relative_error"), [
    (1 / RANKS, 0.2),
    (1 / RANKS**2, 0.2),
    (torch.where(RANKS == 1, 60.0, 1.0).double(), 0.1),
], ids=["1/k", "1/k^2", "one dominant"])  # fmt: skip
def test_stopping_by_the_standard_error_leaves_the_interval_its_coverage(
    eigenvalues: Tensor, relative_error: float
) -> None:
    """Hutchinson with up to 400 probes, 500 times, on spectra that make v^T H v skewed."""
    matrices, probes, held = [Matrix(eigenvalues, seed) for seed in range(20)], draw(2), 0
    for i in range(500):
        found = hessian_trace(
            matrices[i % 20], relative_error=relative_error, max_samples=400, generator=probes
        )  # type: ignore[arg-type]
        low, high = found.interval
        held += low <= eigenvalues.sum().item() <= high
    assert 460 <= held <= 490


def test_a_residual_is_a_distance_to_some_eigenvalue_only() -> None:
    """A start with nothing of the top eigenvector: residual zero, and the value is the next one."""
    values = torch.tensor([5.0, 3.0], dtype=torch.float64)
    w = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    hessian = Hessian([w], [lambda: 0.5 * (values * w * w).sum()])

    t, _, beta = lanczos(hessian, torch.tensor([0.0, 1.0], dtype=torch.float64), 2)
    assert (t.item(), beta.item()) == (3.0, 0.0)
