"""Options that published recipes ask for, against loops written by hand."""

import re
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import classifier, normal
from seam import buffers, build, methods, resumed, same
from test_examples import SEED, Weights, agrees, noise, of_layer
from test_examples import task as task_of
from torch import Tensor

from genreg import streams
from genreg.dataset import digits
from genreg.errors import InputError
from genreg.model import MLP
from genreg.optimizer import late_linear
from genreg.regularizer import L2, VAT, HiddenNoise, NoiseConsistency, PiModel, RDrop, WeightAverage
from genreg.task.collapse import Collapse


@pytest.mark.parametrize("layers", [None, "layers.1"])
def test_hidden_noise_before_the_activation_by_its_side(layers: Any) -> None:
    def objective(step: int, w: Weights, x: Tensor, y: Tensor, pool: Tensor) -> Tensor:
        h = x @ w[0].T + w[1] + 0.3 * of_layer("labeled", step, "a/layers.1", 8, 6)
        return F.cross_entropy(torch.tanh(h) @ w[2].T + w[3], y)

    agrees({"a": HiddenNoise(sigma=0.3, layers=layers, side="before")}, objective)


@pytest.mark.parametrize("epsilon", [0.5, 0.0])
def test_hidden_noise_of_each_pass_by_hand(epsilon: float) -> None:
    """With epsilon 0 too the divergence is that of two predictions under other noise."""
    terms: list[float] = []

    def noisy(w: Weights, x: Tensor, batch: str, step: int, number: int) -> Tensor:
        masks = streams.derive(SEED, f"dropout/{batch}", step)
        draw = streams.generator(masks, "layer/a/layers.1", number)
        n = torch.randn(len(x), 6, generator=draw, dtype=torch.float64)
        return (torch.tanh(x @ w[0].T + w[1]) + 0.3 * n) @ w[2].T + w[3]

    def objective(step: int, w: Weights, x: Tensor, y: Tensor, pool: Tensor) -> Tensor:
        d = torch.randn(12, 2, generator=noise("noise/b", step), dtype=torch.float64)
        r = epsilon * d / d.norm(dim=1, keepdim=True)
        p = noisy(w, pool, "unlabeled", step, 0).log_softmax(1).detach()
        q = noisy(w, pool + r, "unlabeled", step, 1).log_softmax(1)
        divergence = (p.exp() * (p - q)).sum(1).mean()
        terms.append(divergence.item())
        return F.cross_entropy(noisy(w, x, "labeled", step, 0), y) + divergence

    agrees({"a": HiddenNoise(sigma=0.3, each_pass=True), "b": NoiseConsistency(epsilon=epsilon)}, objective)
    assert min(terms) > 1e-4


def test_noise_of_each_pass_is_the_same_in_both_passes_of_sam_and_after_a_resume() -> None:
    def make() -> Any:
        chosen = {"a": HiddenNoise(each_pass=True), "b": NoiseConsistency(), "c": RDrop()}
        return build("classify", dict(chosen), by="sam")

    seen: list[Tensor] = []
    task = make()
    layer = next(m for m in task.model.modules() if m._forward_hooks)
    layer.register_forward_hook(lambda _, inputs, out: seen.append(out - inputs[0].relu()))
    task.step(0)
    first, second = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    assert len(first) == 4  # labeled, unlabeled, again, perturbed
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=0)  # noise, of another activation
    assert not torch.allclose(first[1], first[3], atol=1e-3)
    resumed(make)


def test_the_pi_model_takes_noise_before_a_layer() -> None:
    model = partial(MLP, widths=[8])
    with pytest.raises(InputError, match="a model whose passes agree"):
        build("classify", {"pi": PiModel()}, model=model)
    build("classify", {"pi": PiModel(), "a": HiddenNoise(side="before")}, model=model)


def test_normalized_logits_by_hand() -> None:
    net = classifier(widths=[6], output_norm=True)
    x = normal(8, 5)
    with torch.no_grad():
        net.norm.weight.copy_(torch.tensor([0.5, 2.0, 1.0]))
        net.norm.bias.copy_(torch.tensor([0.1, -0.3, 0.0]))
    w = list(net.layers.parameters())
    h = torch.tanh(x @ w[0].T + w[1]) @ w[2].T + w[3]
    variance = (h - h.mean(0)).square().mean(0)
    expected = (h - h.mean(0)) / (variance + 1e-5).sqrt() * net.norm.weight + net.norm.bias
    torch.testing.assert_close(net.train()(x), expected, rtol=1e-10, atol=1e-12)
    running = 0.1 * h.mean(0), 0.9 + 0.1 * variance * 8 / 7
    judged = (h - running[0]) / (running[1] + 1e-5).sqrt() * net.norm.weight + net.norm.bias
    torch.testing.assert_close(net.eval()(x), judged, rtol=1e-10, atol=1e-12)
    assert net.output is net.layers[-1]
    plain = classifier(widths=[6]).state_dict()
    assert [*plain] == ["layers.0.weight", "layers.0.bias", "layers.2.weight", "layers.2.bias"]


def rows(watch: Collapse, terms: list[float], accuracies: list[float]) -> list[str]:
    pairs = zip(terms, accuracies, strict=True)
    return [watch.remark({"train/vat": term, "validation/accuracy": accuracy}) for term, accuracy in pairs]


def test_a_term_near_zero_while_validation_falls_is_said_once_with_the_remedy() -> None:
    data = digits(labeled=50)  # 300 items of validation: a fall of 0.12 is three standard errors
    watch = partial(Collapse, {"vat": VAT(), "l2": L2()}, data, "validation/accuracy")
    said = rows(watch(), [0.2, 0.05, 0.015, 0.006, 0.004], [0.78, 0.69, 0.52, 0.39, 0.36])
    assert [bool(line) for line in said] == [False, False, True, False, False]
    assert said[2].startswith("train/vat is 0.015, of 0.2 at its largest, while validation/accuracy fell")
    assert said[2].endswith("(regularizer=hidden_noise, model.dropout) and another regularizer.vat.epsilon")
    assert not any(rows(watch(), [0.2, 0.05, 0.015, 0.006], [0.78, 0.75, 0.70, 0.67]))  # chance
    assert not any(rows(watch(), [0.2, 0.3, 0.1, 0.1], [0.78, 0.69, 0.52, 0.39]))  # another reason
    noise_20 = [0.228, 0.086, 0.071, 0.047, 0.035, 0.036], [0.912, 0.942, 0.947, 0.916, 0.587, 0.465]  # MNIST
    assert [bool(line) for line in rows(watch(), *noise_20)] == [False] * 4 + [True, False]
    noise_10 = [0.105, 0.039, 0.025, 0.024, 0.024], [0.885, 0.903, 0.808, 0.402, 0.284]
    assert [bool(line) for line in rows(watch(), *noise_10)] == [False] * 3 + [True, False]
    vat_5 = [0.417, 0.234, 0.205, 0.187], [0.877, 0.952, 0.906, 0.899]  # no collapse: a class that is lost
    assert not any(rows(watch(), *vat_5))
    assert not any(rows(Collapse({"l2": L2()}, data, "validation/accuracy"), [1.0, 0.0], [0.9, 0.1]))
    split = watch()
    assert not split.remark({"train/vat": 0.2})
    assert not split.remark({"validation/accuracy": 0.9})
    assert not split.remark({"train/vat": 0.001})
    assert split.remark({"validation/accuracy": 0.5})


def test_predictions_of_one_class_are_said_once_and_only_of_methods_that_read_the_pool(genreg: Any) -> None:
    small = ["model.widths=[8]", "steps=50", "eval_every=10", "log_every=10", "logger=none", "device=cpu"]
    collapsed = genreg("train", "regularizer=entropy", "regularizer.entropy.weight=100", *small)
    (line,) = [line for line in (collapsed.out + collapsed.err).splitlines() if "one class" in line]
    assert re.match(r"step \d0: one class is predicted for (9[6-9]|100)% of 200 unlabeled items", line)
    assert line.endswith("another regularizer.entropy.weight")
    drawn = genreg("train", "optimizer.lr=1e-9", *small)
    assert drawn.code == 0
    assert "one class" not in drawn.out + drawn.err


@pytest.mark.full
def test_the_comparison_of_oliver_can_be_made(genreg: Any) -> None:
    planned = genreg("train", "sweep=oliver", "--dry-run")
    assert planned.code == 0, planned.err
    assert "280 jobs: 0 finished" in planned.out + planned.err


@pytest.mark.parametrize("moving", ["both", "labeled", "anew"])
def test_running_statistics_of_the_labeled_batch_alone(moving: Any) -> None:
    """They are those of a run without an unlabeled batch, whose weights they leave alone."""
    chosen = {"noise_consistency": NoiseConsistency(epsilon=0.0)}  # of no effect but to read the pool
    made, without = build("classify", chosen, statistics=moving), build("classify")
    for step in range(3):
        made.step(step), without.step(step)
    assert same(dict(made.model.named_parameters()), dict(without.model.named_parameters()))
    assert same(made.model.state_dict(), without.model.state_dict()) == (moving == "labeled")
    resumed(lambda: build("classify", methods(["vat"]), statistics=moving))


@pytest.mark.parametrize("average", [False, True])
def test_running_statistics_of_the_pool_by_hand(average: bool) -> None:
    """With noise, of the weights that are judged; the model's own stay as they were."""

    def model(**shape: Any) -> MLP:
        return MLP(widths=[6], batch_norm=True, output_norm=True, **shape).double()

    methods: dict[str, Any] = {"a": HiddenNoise(sigma=0.3, each_pass=True)}
    methods |= {"b": WeightAverage(decay=0.5)} if average else {}
    task = task_of(methods, model=model, statistics="anew")
    for step in range(3):
        task.step(step)
    before = buffers(task.model)
    kept, w = task.weights(), dict((task.methods["b"].average if average else task.model).named_parameters())
    layers, pool = ("layers.1", "norm"), task.dataset.unlabeled
    moments: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in layers}
    for number in range(len(pool) // 12):
        h = F.linear(pool[task.unlabeled_batch(number)], w["layers.0.weight"], w["layers.0.bias"])
        moments["layers.1"].append((h.mean(0), h.var(0)))
        h = (h - h.mean(0)) / (h.var(0, correction=0) + 1e-5).sqrt()
        h = torch.relu(h * w["layers.1.weight"] + w["layers.1.bias"])
        h = h + 0.3 * of_layer("statistics", number, "a/layers.2", 12, 6)
        h = F.linear(h, w["layers.3.weight"], w["layers.3.bias"])
        moments["norm"].append((h.mean(0), h.var(0)))
    for name in layers:
        mean, variance = (torch.stack(list(each)).mean(0) for each in zip(*moments[name], strict=True))
        torch.testing.assert_close(kept[f"{name}.running_mean"], mean, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(kept[f"{name}.running_var"], variance, rtol=1e-10, atol=1e-12)
    assert same(kept, task.weights())
    assert same(before, buffers(task.model))


def test_statistics_anew_are_those_that_predictions_are_judged_by_and_that_are_saved() -> None:
    task, other = (build("classify", methods(["dropout", "vat"]), statistics="anew") for _ in range(2))
    for step in range(4):
        task.step(step)
    row = task.evaluate()
    other.load_weights(task.weights())
    assert other.evaluate() == row


def test_a_late_beta1_by_hand() -> None:
    """Adam in numpy, whose first moment forgets faster while the rate falls; a resumed one too."""
    w = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([w], lr=0.1)
    schedule = late_linear(adam, total_iters=10, start=0.5, beta1=0.5)
    by_hand, m, v = np.zeros(3), np.zeros(3), np.zeros(3)
    for step in range(10):
        if step == 7:
            states = adam.state_dict(), schedule.state_dict()
            adam = torch.optim.Adam([w], lr=0.1)
            schedule = late_linear(adam, total_iters=10, start=0.5, beta1=0.5)
            adam.load_state_dict(states[0]), schedule.load_state_dict(states[1])
        g = np.sin([step, 2 * step, 3 * step + 1])
        w.grad = torch.from_numpy(g)
        adam.step(), schedule.step()
        beta, rate = (0.9, 0.1) if step < 5 else (0.5, 0.1 * (10 - step) / 5)
        m, v = beta * m + (1 - beta) * g, 0.999 * v + 0.001 * g**2
        k = step + 1
        by_hand = by_hand - rate * (m / (1 - beta**k)) / (np.sqrt(v / (1 - 0.999**k)) + 1e-8)
        np.testing.assert_allclose(w.detach().numpy(), by_hand, rtol=1e-10)
    with pytest.raises(InputError, match=r"scheduler\.beta1: expected null for an optimizer without betas"):
        late_linear(torch.optim.SGD([w], lr=0.1), total_iters=10, beta1=0.5)
