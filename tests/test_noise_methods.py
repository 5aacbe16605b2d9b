"""Noise on labels, inputs, hidden layers and weights, against loops written by hand in float64."""

import math
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import classifier, draw, forward_of, normal, small_task
from scipy.ndimage import map_coordinates
from test_examples import SEED, Weights, agrees, dropped, net, noise, of_layer
from torch import Tensor, nn
from torch.nn.utils import parametrize

from genreg import streams
from genreg.dataset import Batch, digits
from genreg.errors import InputError
from genreg.forward.base import Draws
from genreg.forward.critic import CriticForward
from genreg.loss import MSE
from genreg.model import MLP, ResNet
from genreg.model.gan import MLPGan
from genreg.model.statistics import RunningStatistics
from genreg.regularizer import (
    Dropout,
    FrobeniusNormalization,
    GradientPenalty,
    HiddenNoise,
    InputNoise,
    LabelSmoothing,
    MeanTeacher,
    RandomAffine,
    RDrop,
    Regularizer,
    WeightNoise,
)
from genreg.regularizer.augmentation import moved
from genreg.regularizer.hidden import chosen
from genreg.task.trainer import attach


def test_label_smoothing_by_hand() -> None:
    def objective(step: int, w: Weights, x: Tensor, y: Tensor, pool: Tensor) -> Tensor:
        log_p = net(w, x).log_softmax(1)
        of_class = log_p[torch.arange(8), y]
        return -(0.8 * of_class + 0.2 * log_p.mean(1)).mean()

    agrees({"a": LabelSmoothing(epsilon=0.2)}, objective)


def test_targets_of_squared_error_are_smoothed_too() -> None:
    batch = LabelSmoothing(epsilon=0.3).batch(Batch(torch.ones(2, 4), torch.tensor([0, 2]), 3), draw())
    outputs = torch.zeros(2, 3)
    assert MSE()(outputs, batch).tolist() == pytest.approx(2 * [0.8**2 + 2 * 0.1**2])


def drawn(distribution: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Numbers of mean 0 and standard deviation 1, by formulas of their own."""
    if distribution == "bernoulli":
        heads = torch.randint(2, shape, generator=generator, dtype=torch.float64)
        return torch.where(heads > 0, 1.0, -1.0).double()
    if distribution == "uniform":
        return (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1) * math.sqrt(3)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("mode", ["additive", "multiplicative"])
@pytest.mark.parametrize("distribution", ["gaussian", "uniform", "bernoulli"])
def test_input_noise_by_hand(distribution: Any, mode: Any) -> None:
    def objective(step: int, w: Weights, x: Tensor, y: Tensor, pool: Tensor) -> Tensor:
        draws = drawn(distribution, (3, 8, 2), noise("noise/a", step))
        shown = [x + 0.3 * n if mode == "additive" else x + 0.3 * n * x for n in draws]
        return sum(F.cross_entropy(net(w, e), y) for e in shown) / 3  # type: ignore[return-value]

    agrees({"a": InputNoise(sigma=0.3, samples=3, distribution=distribution, mode=mode)}, objective)


@pytest.mark.parametrize("distribution", ["gaussian", "uniform", "bernoulli"])
def test_noise_has_the_standard_deviation_that_it_says(distribution: Any) -> None:
    batch = Batch(torch.zeros(1000, 40, dtype=torch.float64), torch.zeros(1000).long(), 2)
    n = InputNoise(sigma=0.7, distribution=distribution).batch(batch, draw()).e
    assert abs(n.mean()) < 4 * 0.7 / 200
    assert n.std().item() == pytest.approx(0.7, rel=0.02)
    assert n.abs().max() <= {"gaussian": 5, "uniform": math.sqrt(3), "bernoulli": 1}[distribution] * 0.7


def test_padding_has_no_noise_and_copies_keep_their_targets() -> None:
    mask = torch.tensor([[True, False], [True, True]])
    batch = Batch(torch.ones(2, 2, 3), torch.tensor([0, 1]), 2, mask)
    noisy = InputNoise(samples=2).batch(batch, draw())
    assert noisy.e.shape == (4, 2, 3)
    assert noisy.y.tolist() == [0, 1, 0, 1]
    assert torch.equal((noisy.e != 1).any(2), torch.cat([mask, mask]))


def test_dropout_by_hand() -> None:
    def objective(step: int, w: Weights, x: Tensor, y: Tensor, pool: Tensor) -> Tensor:
        mask = streams.derive(SEED, "dropout/labeled", step)
        kept = torch.rand(8, 6, generator=streams.generator(mask, "layer/a/layers.1")) >= 0.4
        return F.cross_entropy(torch.tanh(x @ w[0].T + w[1]) * kept / 0.6 @ w[2].T + w[3], y)

    agrees({"a": Dropout(p=0.4)}, objective)
    agrees({"a": Dropout(p=0.4, layers="*.1")}, objective)


def test_masks_of_different_p_are_nested() -> None:
    h = torch.ones(50, 20)
    masks = {p: Dropout(p=p).drop(h, draw()) != 0 for p in (0.2, 0.5)}
    assert not (masks[0.5] & ~masks[0.2]).any()
    assert masks[0.2].double().mean().item() == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("mode", ["additive", "multiplicative"])
def test_hidden_noise_before_the_activation_by_hand(mode: Any) -> None:
    def objective(step: int, w: Weights, x: Tensor, y: Tensor, pool: Tensor) -> Tensor:
        n = 0.3 * of_layer("labeled", step, "a/layers.0", 8, 6)
        h = x @ w[0].T + w[1]
        h = h + n if mode == "additive" else h * (1 + n)
        return F.cross_entropy(torch.tanh(h) @ w[2].T + w[3], y)

    agrees({"a": HiddenNoise(sigma=0.3, mode=mode, layers="layers.0")}, objective)


@pytest.mark.parametrize("scale", ["relative", "absolute"])
def test_weight_noise_by_hand(scale: Any) -> None:
    def objective(step: int, w: Weights, x: Tensor, y: Tensor, pool: Tensor) -> Tensor:
        seen = list(w)
        for k, layer in ((0, "layers.0"), (2, "layers.2")):
            size = math.sqrt(float((w[k].detach() ** 2).mean())) if scale == "relative" else 1.0
            seen[k] = w[k] + 0.2 * size * of_layer("labeled", step, f"a/{layer}", *w[k].shape)
        return F.cross_entropy(net(seen, x), y)

    agrees({"a": WeightNoise(sigma=0.2, scale=scale)}, objective)


def test_r_drop_by_hand() -> None:
    def objective(step: int, w: Weights, x: Tensor, y: Tensor, pool: Tensor) -> Tensor:
        seed = streams.derive(SEED, "dropout/labeled", step)
        a, b = dropped(w, x, seed), dropped(w, x, streams.derive(seed, "again", 1))
        p, q = a.softmax(1), b.softmax(1)
        symmetric = ((p - q) * (p.log() - q.log())).sum(1).mean() / 2
        return (F.cross_entropy(a, y) + F.cross_entropy(b, y)) / 2 + 0.7 * symmetric

    agrees({"a": RDrop(weight=0.7)}, objective, 0.4)


def test_r_drop_of_the_pool_leaves_the_labeled_loss_alone() -> None:
    def objective(step: int, w: Weights, x: Tensor, y: Tensor, pool: Tensor) -> Tensor:
        seed = streams.derive(SEED, "dropout/unlabeled", step)
        p, q = (dropped(w, pool, s).softmax(1) for s in (seed, streams.derive(seed, "again", 1)))
        symmetric = ((p - q) * (p.log() - q.log())).sum(1).mean() / 2
        labeled = dropped(w, x, streams.derive(SEED, "dropout/labeled", step))
        return F.cross_entropy(labeled, y) + 0.7 * symmetric

    agrees({"a": RDrop(weight=0.7, of="unlabeled")}, objective, 0.4)


@pytest.mark.parametrize("beside", [Dropout(), HiddenNoise()])
def test_r_drop_takes_the_noise_of_other_methods(beside: Regularizer) -> None:
    model = MLP(input_shape=[2], outputs=2, widths=[4])
    with pytest.raises(InputError, match="a model whose passes agree"):
        attach({"r_drop": RDrop(), "w": WeightNoise()}, model)
    task = small_task({"a": beside, "r_drop": RDrop()}, model=partial(MLP, widths=[16]))
    assert task.step(0)["r_drop"] > 0


@pytest.mark.parametrize(("shift", "factor"), [((0.0, 0.0), 1.0), ((2.0, -1.0), 1.0), ((0.6, 1.3), 0.7),
                                               ((-1.5, 0.25), 1.4)])  # fmt: skip
def test_pictures_are_moved_as_scipy_moves_them(shift: tuple[float, float], factor: float) -> None:
    e = normal(2, 3, 7, 9)
    rows, columns = np.mgrid[:7, :9]
    x = 4 + (columns - 4 - shift[0]) / factor
    y = 3 + (rows - 3 - shift[1]) / factor
    expected = [[map_coordinates(channel, [y, x], order=1, mode="nearest") for channel in item]
                for item in e.numpy()]  # fmt: skip
    given = (
        torch.tensor([shift, shift], dtype=torch.float64).T,
        torch.tensor([factor, factor], dtype=torch.float64),
    )
    np.testing.assert_allclose(moved(e, *given).numpy(), expected, atol=1e-12)


def test_shifts_and_factors_are_uniform_and_of_each_item() -> None:
    x = torch.arange(9.0).expand(2000, 1, 9, 9).double()  # a picture whose numbers are the column's
    e = RandomAffine(translate=1.0, scale=0.2).batch(Batch(x, torch.zeros(2000).long(), 2), draw()).e
    centre, slope = e[:, 0, 4, 4], (e[:, 0, 4, 5] - e[:, 0, 4, 3]) / 2
    factor = 1 / slope
    shift = (4 - centre) * factor
    for found, bound in ((shift, 1.0), (factor - 1, 0.2)):
        assert found.abs().max() < bound
        assert found.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
        assert abs(found.mean()) < 4 * bound / math.sqrt(3 * 2000)


@pytest.mark.parametrize("layers", [None, "layers.*", "layers.1"])
def test_layers_are_chosen_by_name(layers: str | None) -> None:
    model = MLP(input_shape=[2], outputs=2, widths=[4, 4], batch_norm=True)
    attach({"a": WeightNoise()}, model)  # whose parts have no names of their own
    names = set(chosen(model, layers, "key"))
    every = {f"layers.{k}" for k in range(7)}
    assert names == {None: {"layers.2", "layers.5"}, "layers.*": every, "layers.1": {"layers.1"}}[layers]


def test_a_layer_of_no_name_is_told_its_neighbours() -> None:
    model = ResNet(input_shape=[1, 8, 8], outputs=2, widths=[2, 2], blocks=[1, 1])
    with pytest.raises(InputError, match=r"layers: expected a pattern of names of layers, got 'frist'"):
        chosen(model, "frist", "layers")
    assert [type(layer) for layer in chosen(model, None, "layers").values()] == [nn.ReLU]


def test_digits_are_moved_in_training_only() -> None:
    task = small_task({"random_affine": RandomAffine()}, dataset=digits)
    bare = small_task({})
    assert task.objective.batch(0, task.forward(0).draws)[0].e.shape == (32, 1, 8, 8)
    assert not torch.equal(task.forward(0).embedding, bare.forward(0).embedding)
    assert torch.equal(task.dataset.test.x, bare.dataset.test.x)


def test_noise_behind_batch_normalization_stays_where_its_statistics_are_kept() -> None:
    model = classifier(batch_norm=True)
    attach({"a": HiddenNoise(layers="layers.1")}, model)
    seen = forward_of(model, normal(4, 5), torch.tensor([0, 1, 2, 0]))
    torch.testing.assert_close(seen.alone(seen.embedding), seen.logits, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", [Dropout(), HiddenNoise(mode="multiplicative", sigma=0.5)])
def test_the_slope_of_a_noisy_critic_is_that_of_its_score(method: Regularizer) -> None:
    torch.manual_seed(0)
    critic = MLPGan(input_shape=[2], latent=2, widths=[8], generator_widths=[8]).critic
    attach({"a": method}, critic)
    seen = CriticForward(
        critic, normal(6, 2).float(), normal(6, 2, seed=1).float(), None,
        draws=Draws(0, 0, torch.device("cpu")), statistics=RunningStatistics(critic), autocast=nullcontext,
    )  # fmt: skip
    x = seen.points.detach()
    for item, slope in zip(range(6), GradientPenalty().input_gradient(seen), strict=True):
        for axis in range(2):
            step = torch.zeros(6, 2)
            step[item, axis] = 1e-3
            difference = (seen.score(x + step) - seen.score(x - step)).sum() / 2e-3
            assert slope[axis].item() == pytest.approx(difference.item(), abs=2e-3)


def test_a_teacher_has_noise_of_its_own() -> None:
    methods = {"a": MeanTeacher(), "b": Dropout(), "c": HiddenNoise(), "d": WeightNoise(), "e": RDrop()}
    task = small_task(methods)
    assert all(value.isfinite() for step in range(3) for value in task.step(step).values())
    assert len(task.methods["a"].teacher.layers[2]._forward_hooks) == 2  # type: ignore[attr-defined]


def test_a_teacher_has_weights_of_its_own_beside_a_parametrization() -> None:
    """Within an update too, in which torch remembers what a parametrization made of the model's weights."""
    task = small_task({"a": MeanTeacher(decay=0.5), "b": FrobeniusNormalization(norm=2.0)})
    for step in range(3):
        task.step(step)
    model, teacher = task.model.eval(), task.methods["a"].teacher.eval()  # type: ignore[attr-defined]
    expected = teacher(x := task.dataset.test.x[:5])
    with parametrize.cached():
        assert not torch.equal(model(x), expected)
        assert torch.equal(teacher(x), expected)
