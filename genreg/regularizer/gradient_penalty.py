"""The gradient penalty, and the input gradient of a chain of layers as the chain of their transposes."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from genreg.errors import InputError
from genreg.forward.base import Forward
from genreg.forward.classifier import ClassifierForward
from genreg.forward.critic import CriticForward
from genreg.forward.perturbation import interpolated, noised
from genreg.model.gan import Critic
from genreg.model.stacked import StackedLinear
from genreg.parameters import STRICT, Neutral, NonNegative
from genreg.regularizer.base import Regularizer, Weight


@dataclass(config=STRICT, kw_only=True)
class GradientPenalty(Regularizer):
    """Mean over examples of (|grad f(x)| - target)^2, or of max(|grad f(x)| - target, 0)^2 if one-sided.

    Gulrajani et al., arXiv:1704.00028, section 4, which names the one-sided form too. In task=wgan, f is
    the critic and x interpolates between real and fake, x = t real + (1 - t) fake with one t ~ U[0, 1] per
    example; in task=classify, f is a labeled example's loss and x its embedding.

    Batch normalization makes f depend on other examples' x, while the penalty is on the slope of one. With a
    critic that has it InputError is raised, as arXiv:1704.00028 advises (section 4). A classifier's f keeps
    the statistics of the batch as it is, which costs a further pass.

    weight: 10 is the critic's of that paper; a classifier may need less (docs/wgan.md).
    target: slope, l2 norm per example; None is what the task is after: 1 for a critic, 0 for a classifier
    (Drucker and LeCun, "Double backpropagation increasing generalization performance", 1991), which a target
    of 1 makes steeper.
    points: where a classifier's slope is penalized: at the labeled `data`; at `noised` ones, Gaussian noise
    of standard deviation `noise` away, in units of `embed(x)`; or `interpolated`, t x + (1 - t) x' with
    another item x' of the batch and one t ~ U[0, 1] each, under x's own label. InputError for a critic.
    interpolate: which pairs of conditional players x lies between: `within` a class, or `across` classes,
    where a permutation of the batch pairs each real item with the fake of another and f is given the real
    one's label; of K equally likely classes 1 / K of the pairs still agree. Raises InputError for `across`
    without labels, where all pairs are alike.
    implementation: `double_backward` differentiates autograd's own gradient; `adjoint` writes that gradient
    as a chain of transposed layers, which costs less and needs layers that it knows; `auto` takes the second
    where it can. Raises InputError where `adjoint` cannot.
    """

    weight: Weight = 10.0
    target: NonNegative | None = None
    one_sided: bool = False
    points: Annotated[Literal["data", "noised", "interpolated"], Neutral("data")] = "data"
    noise: Annotated[NonNegative, Neutral(0.1)] = 0.1
    interpolate: Annotated[Literal["within", "across"], Neutral("within")] = "within"
    implementation: Literal["auto", "double_backward", "adjoint"] = "auto"

    replicas = (
        "weight",
        "target",
        "noise",
    )
    by_item = ("points=data", "points=noised", "interpolate=within")

    def penalty(self, forward: Forward) -> Tensor:
        slope = self.input_gradient(forward).flatten(1).norm(dim=1)
        excess = slope - forward.factor(forward.slope if self.target is None else self.target, slope)
        return forward.mean((excess.relu() if self.one_sided else excess).square())

    def attach(self, model: nn.Module) -> None:
        critic = model if isinstance(model, Critic) else None
        if self.implementation == "adjoint" and (critic is None or unknown_layer(critic.layers)):
            found = str(unknown_layer(critic.layers)) if critic else "a score that is not a chain of layers"
            expected = "double_backward for this model (adjoint needs known layers)"
            raise InputError("regularizer.gradient_penalty.implementation", expected, found)
        if self.interpolate == "across" and not (critic and critic.classes):
            expected = "within where players see no labels (task=wgan task.conditional=true shows them)"
            raise InputError("regularizer.gradient_penalty.interpolate", expected, "across")
        if critic and self.points != "data":
            expected = "data for a critic, whose points lie between real and fake"
            raise InputError("regularizer.gradient_penalty.points", expected, self.points)
        if critic and any(isinstance(layer, _BatchNorm) for layer in model.modules()):
            reason = "the gradient penalty is on the slope of one item, and batch normalization mixes items"
            raise InputError("model.critic_norm", f"layer or none ({reason})", "batch")

    def input_gradient(self, forward: Forward) -> Tensor:
        """grad f at each point, as a differentiable function of the weights."""
        points, layers = self._points(forward), forward.layers
        if self.implementation != "double_backward" and layers is not None and not unknown_layer(layers):
            return adjoint(layers, forward.joined(points))[:, : points.shape[1]]
        points = points.detach().requires_grad_()
        # create_graph: the penalty is a function of this gradient, so the weights need its derivative
        return torch.autograd.grad(forward.score(points).sum(), points, create_graph=True)[0]

    def _points(self, forward: Forward) -> Tensor:
        if isinstance(forward, ClassifierForward):
            if self.points == "noised":
                return noised(forward, self.noise, forward.draw)
            return interpolated(forward, forward.draw) if self.points == "interpolated" else forward.points
        if self.interpolate == "within":
            return forward.points
        assert isinstance(forward, CriticForward)  # by `attach`
        return forward.points_across()


ADJOINT = (nn.Linear, StackedLinear, nn.Conv2d, nn.LeakyReLU, nn.ReLU, nn.Flatten)


def unknown_layer(layers: nn.Sequential) -> nn.Module | None:
    """The first layer that `adjoint` cannot transpose, or None."""
    return next((layer for layer in _flat(layers) if not _known(layer)), None)


def adjoint(layers: nn.Sequential, x: Tensor) -> Tensor:
    """The gradient of `layers(x).sum()` in x, differentiable in the weights.

    A forward pass without history finds which units are active; a piecewise linear network is then, near x,
    the product of its weights and those masks, and its gradient the product of their transposes. One
    ordinary backward pass through that product replaces the second of two.
    """
    inputs: list[Tensor] = []
    with torch.no_grad():
        h = x
        for layer in _flat(layers):
            inputs.append(h)
            h = layer(h)
    g = torch.ones_like(h)
    for layer, entered in zip(reversed(list(_flat(layers))), reversed(inputs), strict=True):
        g = _transpose(layer, g, entered)
    return g


def _transpose(layer: nn.Module, g: Tensor, entered: Tensor) -> Tensor:
    """The product of `g` with the layer's transposed Jacobian at `entered`, the input of the layer."""
    if isinstance(layer, nn.Linear):
        return g @ layer.weight
    if isinstance(layer, StackedLinear):
        return layer.transposed(g)
    if isinstance(layer, nn.Conv2d):
        return _transpose_convolution(layer, g, entered)
    if isinstance(layer, nn.Flatten):
        return g.reshape(entered.shape)
    slope = layer.negative_slope if isinstance(layer, nn.LeakyReLU) else 0.0
    return torch.where(entered > 0, g, g * slope)


def _transpose_convolution(layer: nn.Conv2d, g: Tensor, entered: Tensor) -> Tensor:
    padding: Any = layer.padding
    shape = (entered.shape[2:], padding, layer.dilation, layer.kernel_size, layer.stride)
    unreached = [(n + 2 * p - d * (k - 1) - 1) % s for n, p, d, k, s in zip(*shape, strict=True)]
    options = (layer.stride, padding, unreached, layer.groups, layer.dilation)
    return F.conv_transpose2d(g, layer.weight, None, *options)


def _known(layer: nn.Module) -> bool:
    if layer._forward_hooks:  # what a method attached may bend the slope: dropout, noise
        return False
    if isinstance(layer, nn.Conv2d):
        return layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    if isinstance(layer, nn.Flatten):
        return layer.start_dim == 1
    return isinstance(layer, ADJOINT)


def _flat(layers: nn.Sequential) -> Iterator[nn.Module]:
    for layer in layers:
        yield from _flat(layer) if isinstance(layer, nn.Sequential) else (layer,)
