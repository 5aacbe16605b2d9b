"""What docs/methods says of weights and sizes, held against the published code's objective in float64."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import translations
from conftest import REPOSITORY, classifier, draw, normal, yaml_options
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from translations import B, Pair, X, Y, ce, ours, weights

from genreg import regularizer as r
from genreg.dataset import Batch
from genreg.loss import MSE
from genreg.regularizer.augmentation import moved
from genreg.regularizer.matrices import linear_layers


def dropout() -> Pair:
    h = torch.ones(100_000, dtype=torch.float64)
    found = r.Dropout(p=0.2).drop(h, draw())
    return [set(found.tolist()), round(float((found == 0).double().mean()), 2)], [
        set(F.dropout(h, 0.2).tolist()),
        0.2,
    ]


def hidden_noise() -> Pair:
    """Keras' GaussianDropout(0.2): multiplicative noise of standard deviation sqrt(rate / (1 - rate))."""
    method = r.HiddenNoise(sigma=(0.2 / 0.8) ** 0.5, mode="multiplicative")
    h = method.noisy(torch.full((400_000,), 3.0, dtype=torch.float64), draw())
    dropped = F.dropout(torch.full((400_000,), 3.0, dtype=torch.float64), 0.2)
    return round(float(h.std()), 1), round(float(dropped.std()), 1)


def input_noise() -> Pair:
    """Keras' GaussianNoise(0.3)."""
    batch = Batch(torch.zeros(1000, 100, dtype=torch.float64), Y)
    e = r.InputNoise(sigma=0.3).batch(batch, draw()).e
    return round(float(e.std()), 2), 0.3


def mirror() -> Pair:
    batch = Batch(normal(6, 2, 4, 4), Y[:6])
    return r.Mirror(p=1.0).batch(batch, draw()).e, batch.e[..., [3, 2, 1, 0]]


def cutmix() -> Pair:
    """torchvision's and clovaai's: targets by the pixels that are another picture's."""
    batch = Batch(torch.arange(6.0).double().view(6, 1, 1, 1).expand(6, 1, 8, 8), torch.arange(6), classes=6)
    mixed = r.CutMix().batch(batch, draw())
    counts = torch.stack([(mixed.e[:, 0] == k).double().mean((1, 2)) for k in range(6)], 1)
    assert ((counts > 0) & (counts < 1)).any()
    return mixed.y, counts


def weight_average() -> Pair:
    """torch's AveragedModel, whose first update copies."""
    net, method = classifier(), r.WeightAverage(decay=0.8)
    method.attach(net)
    theirs = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.8))
    theirs.update_parameters(net)
    for _ in range(3):
        with torch.no_grad():
            [p.mul_(1.5) for p in net.parameters()]
        method.project(net)
        theirs.update_parameters(net)
    return list(method.average.parameters()), list(theirs.module.parameters())


def random_affine() -> Pair:
    """A shift in pixels is a share of the width in torchvision; a scale above 1 magnifies."""
    e, one = normal(1, 1, 8, 8), torch.ones(1, dtype=torch.float64)
    shifted = moved(e, torch.tensor([[0.25 * 8], [0.0]], dtype=torch.float64), one)
    larger = moved(torch.ones(1, 1, 8, 8, dtype=torch.float64).cumsum(3), torch.zeros(2, 1).double(), 2 * one)
    return [shifted[..., 2:], larger[..., 4] - larger[..., 3]], [
        e[..., :-2],
        torch.full((1, 1, 8), 0.5).double(),
    ]


def random_crop() -> Pair:
    """torchvision's RandomCrop(size, padding=2, padding_mode="reflect") cuts one of 25 windows."""
    e = normal(300, 1, 6, 6)
    found = r.RandomCrop(pixels=2).batch(Batch(e, Y), draw()).e
    padded = F.pad(e, (2, 2, 2, 2), mode="reflect")
    windows = torch.stack([padded[..., i : i + 6, j : j + 6] for i in range(5) for j in range(5)])
    equal = (windows == found).flatten(2).all(2)
    return [equal.any(0).all().item(), equal.any(1).sum().item()], [True, 25]


def linear(solution: Any) -> tuple[nn.Module, Tensor]:
    """A linear model with the weights of scikit-learn's, and the targets."""
    net, y = classifier(widths=[], outputs=1), normal(8, 1, seed=3)
    fitted = solution.fit(X.numpy(), y.numpy())
    with torch.no_grad():
        net.output.weight.copy_(torch.tensor(fitted.coef_).view(1, 5))
        net.output.bias.copy_(torch.tensor(fitted.intercept_).flatten())
    return net, y


def l1() -> Pair:
    """At the lasso's solution for alpha the slope of mse + 2 alpha |w| is zero in every w that is not."""
    net, y = linear(Lasso(alpha=0.1, tol=1e-14, max_iter=100_000))
    w = net.output.weight
    (g,) = torch.autograd.grad(ours(r.L1(weight=2 * 0.1), net, MSE(), y), w)
    assert 0 < int((w == 0).sum()) < w.numel()
    return g[w != 0], torch.zeros_like(g[w != 0])


def l2() -> Pair:
    """At scikit-learn's solutions without a bias, of n items, the slope is zero; torch's weight_decay."""
    net, y = linear(Ridge(alpha=0.7, fit_intercept=False))
    slopes = torch.autograd.grad(ours(r.L2(weight=2 * 0.7 / B), net, MSE(), y), net.output.weight)
    net = classifier(widths=[])
    fitted = LogisticRegression(C=2.0, fit_intercept=False, tol=1e-13, solver="newton-cg").fit(X, Y)
    with torch.no_grad():
        net.output.weight.copy_(torch.tensor(fitted.coef_))
        net.output.bias.zero_()
    slopes += torch.autograd.grad(ours(r.L2(weight=1 / (2.0 * B)), net), net.output.weight)
    net, decayed = classifier(), classifier()
    for model, loss, decay in ((net, ours(r.L2(weight=0.3), net), 0.0), (decayed, ce(decayed(X)), 0.3)):
        loss.backward()
        torch.optim.SGD(model.parameters(), 0.1, weight_decay=decay).step()
    return [*slopes, *net.parameters()], [*map(torch.zeros_like, slopes), *decayed.parameters()]


def frobenius() -> Pair:
    net = classifier()
    excess = [max(float((w**2).sum()) ** 0.5 - 1, 0) ** 2 for w in weights(net)]
    return ours(r.Frobenius(weight=0.3, bound=1.0), net), ce(net(X)) + 0.3 * sum(excess)


def frobenius_normalization() -> Pair:
    """torch's weight_norm over the whole weight, its length held at 2."""
    net, theirs = classifier(), classifier()
    r.FrobeniusNormalization(norm=2.0).attach(net)
    for layer in linear_layers(theirs):
        parametrizations.weight_norm(layer, dim=None)
        layer.parametrizations.weight.original0.data.fill_(2.0)  # type: ignore[union-attr, index]
    return net(X), theirs(X)


def frobenius_projection() -> Pair:
    """kexue.fm archive 6051: a whole weight, where Keras' max_norm scales its columns."""
    net = classifier()
    theirs = [w.detach() * min(1.0, 0.5 / float((w**2).sum()) ** 0.5) for w in weights(net)]
    r.FrobeniusProjection(bound=0.5).project(net)
    return weights(net), theirs


def orthogonal() -> Pair:
    """|W^T W - I|_F^2 of a wide weight is ours and the constant columns - rows."""
    net = classifier(widths=[4])
    full = sum((w.T @ w - torch.eye(w.shape[1])).square().sum() for w in weights(net))
    constant = sum(max(0, w.shape[1] - w.shape[0]) for w in weights(net))
    assert constant == 2
    return ours(r.Orthogonal(weight=0.1), net), ce(net(X)) + 0.1 * (full - constant)


def spectral_normalization() -> Pair:
    """torch's spectral_norm after many iterations."""
    net, theirs = classifier(), classifier()
    r.SpectralNormalization(warm_up=500).attach(net)
    for layer in linear_layers(theirs):
        parametrizations.spectral_norm(layer, n_power_iterations=500)
    return net.eval()(X), theirs.eval()(X)


def spectral_penalty() -> Pair:
    """Chainer code of the paper adds rate sigma u v^T to the gradient; SpectralDecay is sd_lambda sigma^2."""
    net, method = classifier(), r.SpectralPenalty(weight=0.6 / 2, power_iterations=500)
    method.attach(net)
    found = torch.autograd.grad(ours(method, net), weights(net))
    plain = torch.autograd.grad(ce(net(X)), weights(net))
    parts = [torch.linalg.svd(w.detach()) for w in weights(net)]
    return list(found), [
        g + 0.6 * s[0] * torch.outer(u[:, 0], v[0]) for g, (u, s, v) in zip(plain, parts, strict=True)
    ]


def spectral_projection() -> Pair:
    """henrygouk/keras-lipschitz-networks, L2Lipschitz of a dense layer: max_k is bound."""
    net, method = classifier(), r.SpectralProjection(bound=0.5, power_iterations=500)
    method.attach(net)
    theirs = [w.detach() / max(1.0, float(torch.linalg.matrix_norm(w, 2)) / 0.5) for w in weights(net)]
    method.project(net)
    return weights(net), theirs


def weight_clipping() -> Pair:
    net = classifier()
    theirs = [p.detach().clip(-0.1, 0.1) for p in net.parameters()]
    r.WeightClipping(bound=0.1).project(net)
    return list(net.parameters()), theirs


def weight_noise() -> Pair:
    """Noise of standard deviation sigma (absolute), or sigma times the root mean square (relative)."""
    found = []
    for scale in ("absolute", "relative"):
        layer = nn.Linear(500, 400).double()
        w = layer.weight.detach().clone()
        method: Any = r.WeightNoise(sigma=0.2, scale=scale)
        method.name = "m"
        method.attach(nn.Sequential(layer))
        noise = float((layer.weight - w).std())
        found.append(noise / (float(w.square().mean().sqrt()) if scale == "relative" else 1))
    return [round(f, 2) for f in found], [0.2, 0.2]


CASES: dict[str, Callable[[], Pair]] = {case.__name__: case for case in (
    *translations.CASES, cutmix, weight_average, dropout, hidden_noise, input_noise, mirror, random_affine,
    random_crop, l1, l2, frobenius, frobenius_normalization, frobenius_projection, orthogonal,
    spectral_normalization, spectral_penalty, spectral_projection, weight_clipping, weight_noise,
)}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_translation_holds(name: str) -> None:
    found, theirs = CASES[name]()
    if isinstance(found, Tensor) or (isinstance(found, list) and isinstance(found[0], Tensor)):
        torch.testing.assert_close(found, theirs, rtol=1e-8, atol=1e-9)
    else:
        assert found == theirs


def test_every_method_has_a_translation_and_says_it_on_its_page() -> None:
    """A new method has none, until its page says of one of other code how its values translate."""
    assert CASES.keys() <= set(yaml_options("regularizer"))
    for name in CASES:
        page = (REPOSITORY / "docs" / "methods" / f"{name}.md").read_text()
        (said,) = re.findall(r"(?s)\*\*In the paper, in common code\*\*: (.*?)\n\n", page)
        assert "`" in said
