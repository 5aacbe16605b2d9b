"""An eigenvector has no sign: what rests on one tries both."""

import pytest
import torch
from conftest import classifier, normal
from torch import Tensor

from genreg.measure import LDS
from genreg.model import MLP
from genreg.regularizer import VAT


def test_lds_is_the_worse_of_both_signs() -> None:
    """Along the only direction of a softmax of one input, both signs tried by hand."""
    model = MLP(input_shape=[1], outputs=2, widths=[]).double()
    with torch.no_grad():
        model.output.weight.copy_(torch.tensor([[2.0], [-1.0]]))
        model.output.bias.zero_()
    x = normal(50, 1)

    def kl(a: float) -> Tensor:
        p, q = model(x).log_softmax(1), model(x + a).log_softmax(1)
        return (p.exp() * (p - q)).sum(1)

    expected = -torch.maximum(kl(1.0), kl(-1.0)).detach()
    one_sign = [-kl(a).mean().item() for a in (1.0, -1.0)]
    found = LDS(epsilon=1.0, items=50)(model, x, torch.zeros(50, dtype=torch.long))
    assert found.value == pytest.approx(expected.mean().item(), rel=1e-10)
    assert found.stderr == pytest.approx(expected.std().item() / 50**0.5, rel=1e-10)
    assert found.value < min(one_sign) - 0.01


def test_lds_does_not_depend_on_the_sign_of_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x, y = classifier(), normal(40, 5), torch.arange(40) % 3
    found = [LDS()(model, x, y).value]
    find = VAT.find_direction
    monkeypatch.setattr(VAT, "find_direction", lambda *given: -find(*given))
    found.append(LDS()(model, x, y).value)
    assert found[0] == found[1]
