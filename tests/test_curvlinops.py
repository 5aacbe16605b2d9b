"""Hessian measures against curvlinops, a library of others with no code in common.

It is no dependency, since it brings torchvision, which wants a torch of its own:
`pip install --no-deps curvlinops-for-pytorch backpack-for-pytorch unfoldNd einops einconv linear_operator
opt_einsum jaxtyping wadler_lindig` leaves torch as it is.
"""

from typing import Any

import pytest
import torch
from conftest import classifier, draw, normal
from torch import Tensor, nn

from genreg.loss import MSE, CrossEntropy, Loss
from genreg.measure import HessianEigenvalue, HessianTrace
from genreg.measure.hessian import classifier_hessian

curvlinops: Any = pytest.importorskip("curvlinops")

X, Y = normal(40, 5), torch.randint(3, (40,), generator=draw())
ONE_HOT = nn.functional.one_hot(Y, 3).double()


class SumOfSquares(nn.MSELoss):
    """genreg sums squares over outputs, torch averages them."""

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.shape[1] * super().forward(outputs, targets)


LOSSES: dict[str, tuple[Loss, nn.Module, Tensor]] = {
    "cross_entropy": (CrossEntropy(), nn.CrossEntropyLoss(), Y),
    "mse": (MSE(), SumOfSquares(), ONE_HOT),
}


@pytest.mark.parametrize("name", LOSSES)
def test_products_trace_and_eigenvalue_are_those_of_curvlinops(name: str) -> None:
    ours, theirs, y = LOSSES[name]
    model = classifier().eval()
    data = [(X[:25], y[:25]), (X[25:], y[25:])]
    operator = curvlinops.HessianLinearOperator(model, theirs, list(model.parameters()), data)
    v = normal(operator.shape[1], 3, seed=1)
    dense = operator @ torch.eye(operator.shape[1], dtype=torch.float64)
    hessian = classifier_hessian(model, X, y, ours.against)
    torch.testing.assert_close(hessian @ v, operator @ v, rtol=1e-10, atol=1e-12)

    trace = HessianTrace(splits=["test"], method="exact")(model, X, y, ours)
    eigenvalue = HessianEigenvalue(splits=["test"], relative_error=1e-8)(model, X, y, ours)
    assert trace.value == pytest.approx(dense.trace().item(), rel=1e-10)
    assert eigenvalue.value == pytest.approx(torch.linalg.eigvalsh(dense)[-1].item(), rel=1e-8)

    torch.manual_seed(0)
    estimates = torch.stack([curvlinops.hutchinson_trace(operator, num_matvecs=50) for _ in range(20)])
    sampled = HessianTrace(splits=["test"], relative_error=1e-9, max_samples=1000)(model, X, y, ours)
    error = (estimates.var() / 20).item() + sampled.stderr**2
    assert abs(sampled.value - estimates.mean().item()) < 4 * error**0.5
    assert sampled.stderr == pytest.approx(estimates.std().item() / 20**0.5, rel=0.5)
