"""Penalty on the Jacobian of the predictions in the input."""

from collections.abc import Iterator
from typing import Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg import streams
from genreg.forward.classifier import ClassifierForward
from genreg.forward.perturbation import Divergence
from genreg.parameters import STRICT, Count, NonNegative
from genreg.regularizer.base import Reads, Regularizer, Weight


@dataclass(config=STRICT, kw_only=True)
class JacobianPenalty(Regularizer):
    """Mean over labeled items of sigma^2 / 2 sum_i lambda_i |grad_e f_i|^2, e the embedding of one item.

    kexue.fm archive 7466: to second order in sigma, the mean divergence of f(e + n) from f(e) over n of
    standard deviation sigma. With mse it is the Tikhonov term of Bishop, "Training with noise is equivalent
    to Tikhonov regularization" (Neural Computation, 1995). Since lambda_i |grad f_i|^2 = |grad h_i|^2 with
    h_i = sqrt(2) f_i (mse) or 2 sqrt(f_i) (kl), it is the squared Frobenius norm of the Jacobian of h.

    sigma: standard deviation of the noise that it stands for, in units of `embed(x)`.
    divergence: `mse`: f are the outputs, lambda_i = 2; `kl`: f are probabilities, lambda_i = 1 / f_i.
    estimator: `exact`, a backward pass for each output; `sampled`, E |sum_i eta_i grad h_i|^2 over signs
    eta_i = +-1, a backward pass for each of `probes` draws.
    """

    weight: Weight = 1.0
    sigma: NonNegative = 0.1
    divergence: Divergence = "kl"
    estimator: Literal["exact", "sampled"] = "exact"
    probes: Count = 1

    replicas = (
        "weight",
        "sigma",
    )
    by_item = ()

    @property
    def idle(self) -> bool:
        return not (self.weight and self.sigma)

    @property
    def reads(self) -> frozenset[Reads]:  # type: ignore[override]
        return frozenset({"labeled", "classes"} if self.divergence == "kl" else {"labeled"})

    def penalty(self, forward: ClassifierForward) -> Tensor:
        e = forward.embedding.detach().requires_grad_()
        outputs = forward.alone(e)
        h = 2**0.5 * outputs if self.divergence == "mse" else 2 * (outputs.log_softmax(1) / 2).exp()
        rows = [torch.autograd.grad(h, e, eta, create_graph=True)[0] for eta in self.cotangents(h, forward)]
        squares = torch.stack([forward.mean(row.square().flatten(1).sum(1)) for row in rows], -1).sum(-1)
        share: Tensor = forward.factor(self.sigma**2 / 2, squares)
        return share * (squares if self.estimator == "exact" else squares / self.probes)

    def cotangents(self, h: Tensor, forward: ClassifierForward) -> Iterator[Tensor]:
        """(B, k) each: the unit vectors of all outputs, or signs."""
        if self.estimator == "sampled":
            yield from (streams.signs_like(h, forward.draw) for _ in range(self.probes))
        else:
            yield from torch.eye(h.shape[1], dtype=h.dtype, device=h.device)[:, None].expand(-1, *h.shape)
