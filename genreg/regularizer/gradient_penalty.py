"""The gradient penalty."""

from typing import Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from genreg.errors import InputError
from genreg.forward.base import Forward
from genreg.forward.classifier import ClassifierForward
from genreg.forward.critic import CriticForward
from genreg.forward.perturbation import interpolated, noised
from genreg.model.gan import Critic
from genreg.parameters import STRICT, NonNegative
from genreg.regularizer.adjoint import adjoint, unknown_layer
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
    points: Literal["data", "noised", "interpolated"] = "data"
    noise: NonNegative = 0.1
    interpolate: Literal["within", "across"] = "within"
    implementation: Literal["auto", "double_backward", "adjoint"] = "auto"

    def penalty(self, forward: Forward) -> Tensor:
        slope = self.input_gradient(forward).flatten(1).norm(dim=1)
        excess = slope - (forward.slope if self.target is None else self.target)
        penalty: Tensor = (excess.relu() if self.one_sided else excess).square().mean()
        return penalty

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
