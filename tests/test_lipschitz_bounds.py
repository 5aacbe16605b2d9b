"""Lipschitz bounds of classifiers: lower below upper, and norms of layers against dense matrices."""

from functools import partial
from typing import Any

import pytest
import torch
from conftest import SPLITS, classifier, draw, normal
from seam import build, method
from torch import Tensor, nn

from genreg.errors import InputError
from genreg.measure import (
    LipschitzLower,
    LipschitzUpper,
)
from genreg.measure.lipschitz import layer_norm
from genreg.model import MLP, Classifier, Conv, ResNet
from genreg.task.trainer import attach


def pictures(kind: type[Classifier], **options: Any) -> Classifier:
    return kind(input_shape=[2, 12, 12], outputs=3, **options).double()


NETS = {
    **{name: partial(classifier, activation=name, batch_norm=True, dropout=0.5)
       for name in ("relu", "leaky_relu", "tanh", "gelu", "softplus")},
    "conv": lambda: pictures(Conv, widths=[3, 4, 4, 3, 3]),
    "resnet": lambda: pictures(ResNet, widths=[3, 4], blocks=[2, 1]),
}  # fmt: skip


def settled(name: str, seed: int) -> Classifier:
    """A random net with running statistics and scales of its own."""
    torch.manual_seed(seed)
    model = NETS[name]()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(layer.weight)
            nn.init.uniform_(layer.running_var, 0.1, 2)  # type: ignore[arg-type]
            nn.init.normal_(layer.running_mean)  # type: ignore[arg-type]
    return model


@pytest.mark.pairs
@pytest.mark.parametrize("attached", ["none", "spectral_normalization"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NETS)
def test_the_lower_bound_is_never_above_the_upper(name: str, seed: int, attached: str) -> None:
    model = settled(name, seed)
    attach({} if attached == "none" else {attached: method(attached)}, model)
    x = normal(6, *((2, 12, 12) if name in ("conv", "resnet") else (5,)), seed=seed)
    lower = LipschitzLower(**SPLITS, steps=8, length=0.5)(model, x, torch.zeros(6)).value
    upper = LipschitzUpper(**SPLITS)(model, x, torch.zeros(6)).value
    assert 0 < lower <= upper
    with torch.no_grad():
        model.eval()
        a, b = x, x + 0.1 * normal(*x.shape, seed=9)
        steep = (model(a) - model(b)).norm(dim=1) / (a - b).flatten(1).norm(dim=1)
    assert steep.max().item() <= upper


class Residual(MLP):
    """x + c x, whose branch has norm |c|, and the same summed with itself."""

    c = -0.5
    twice = False

    def classify(self, embedding: Tensor, mask: Tensor | None = None) -> Tensor:
        h = embedding + self.layers(embedding)
        return h + h if self.twice else h


@pytest.mark.parametrize("twice", [False, True])
def test_a_residual_branch_counts_one_and_its_norm(twice: bool) -> None:
    model = Residual(input_shape=[4], outputs=4, widths=[]).double()
    nn.init.orthogonal_(model.output.weight)
    model.output.weight.data *= 3
    model.twice = twice
    found = LipschitzUpper(**SPLITS)(model, normal(1, 4), torch.zeros(1)).value
    assert found == pytest.approx(8 if twice else 4, rel=1e-12)


class Viewed(MLP):
    """Flattened by its own sizes, as many a model is."""

    def classify(self, embedding: Tensor, mask: Tensor | None = None) -> Tensor:
        flat = embedding.view(embedding.size(0), embedding.shape[1] * embedding.shape[2])
        outputs: Tensor = self.layers(flat)
        return outputs


def test_a_model_that_reads_sizes_has_its_bound() -> None:
    model = Viewed(input_shape=[2, 3], outputs=3, widths=[]).double()
    found = LipschitzUpper(**SPLITS)(model, normal(2, 2, 3), torch.zeros(2)).value
    assert found == pytest.approx(torch.linalg.matrix_norm(model.output.weight.detach(), 2).item())


LAYERS = {
    "conv": (nn.Conv2d(2, 3, 3, padding=1), (2, 6, 5)),
    "strided": (nn.Conv2d(2, 3, 3, stride=2, bias=False), (2, 7, 7)),
    "dilated groups": (nn.Conv2d(2, 4, 2, dilation=2, groups=2), (2, 6, 6)),
    "linear": (nn.Linear(5, 3), (5,)),
    "average": (nn.AvgPool2d(2), (2, 6, 6)),
    "average of all": (nn.AdaptiveAvgPool2d(1), (2, 4, 5)),
    "flatten": (nn.Flatten(), (2, 3)),
    "overlapping average": (nn.AvgPool2d(3, 2), (1, 9, 9)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layers_norm_is_that_of_its_dense_matrix(name: str) -> None:
    torch.manual_seed(0)
    layer, shape = LAYERS[name]
    layer = layer.double()
    zero = torch.zeros(1, *shape, dtype=torch.float64)
    columns = torch.eye(zero.numel(), dtype=torch.float64).reshape(-1, *shape)
    dense = (layer(columns) - layer(zero)).detach().flatten(1)
    norm, found = torch.linalg.matrix_norm(dense, 2).item(), layer_norm(layer, shape, draw())
    if name == "overlapping average":
        assert norm <= found <= 1.5 * norm
    else:
        assert norm * (1 - 1e-12) <= found <= norm * (1 + 2e-5)


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.MaxPool2d(3, 1, 1), nn.MaxPool2d((3, 2), 2)])
def test_a_pooling_lengthens_no_difference_by_more_than_its_norm(pool: nn.MaxPool2d) -> None:
    base = torch.zeros(1, 1, 7, 7, dtype=torch.float64)
    spike = base.clone()
    spike[0, 0, 2, 3] = 1.0  # seen by as many windows as hold it
    ratio = (pool(spike) - pool(base)).norm().item()
    assert ratio <= layer_norm(pool, (1, 7, 7), draw()) + 1e-12
    if isinstance(pool.kernel_size, int):
        assert ratio == pytest.approx(layer_norm(pool, (1, 7, 7), draw()))


class Grouped(MLP):
    """A layer whose norm depends on what enters it."""

    def __init__(self, **given: Any) -> None:
        super().__init__(widths=[], **given)
        self.norm = nn.GroupNorm(1, 2)

    def classify(self, embedding: Tensor, mask: Tensor | None = None) -> Tensor:
        return super().classify(self.norm(embedding.flatten(1)))


class Squared(MLP):
    def __init__(self, **given: Any) -> None:
        super().__init__(widths=[], **given)

    def classify(self, embedding: Tensor, mask: Tensor | None = None) -> Tensor:
        return super().classify(embedding * embedding)


class Branching(Squared):
    def classify(self, embedding: Tensor, mask: Tensor | None = None) -> Tensor:
        return super().classify(embedding if embedding.sum() > 0 else -embedding)


@pytest.mark.parametrize(("kind", "said"), [(Grouped, "got 'GroupNorm'"), (Squared, "got 'mul'"),
                                            (Branching, "a model that torch.fx can trace")])  # fmt: skip
def test_a_layer_without_a_known_norm_is_named_before_the_first_step(kind: Any, said: str) -> None:
    with pytest.raises(InputError, match=rf"measure\.lipschitz_upper: expected .*{said}"):
        build("classify", model=kind, measure={"lipschitz_upper": LipschitzUpper(**SPLITS)})
