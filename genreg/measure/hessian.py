"""Products with the Hessian of a loss, and its trace."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from genreg.measure.estimate import Sampled, until
from genreg.model.landscape import Landscape
from genreg.model.twice import twice
from genreg.model.unchanged import evaluation_mode

Loss = Callable[[], Tensor]
Method = Literal["exact", "hutchinson", "hutch++"]


class Hessian:
    """The Hessian of L(w) = sum of `losses`, as products with vectors.

    losses: scalar functions of the parameters, one for each chunk of the data; one graph lives at a time.
    Gradients are taken by `torch.autograd.grad`, so that no `.grad` is written. Rows and columns are all
    parameters that require gradients, flattened in their order.
    """

    def __init__(self, parameters: Sequence[Tensor], losses: Sequence[Loss]) -> None:
        self.parameters = [p for p in parameters if p.requires_grad]
        self.losses = losses
        self.size = sum(p.numel() for p in self.parameters)
        self.products = 0

    @property
    def like(self) -> Tensor:
        """A tensor with the dtype and device of the weights."""
        return self.parameters[0]

    def __matmul__(self, v: Tensor) -> Tensor:
        """H v for v (size,), or for each column of v (size, k), which share one gradient."""
        columns = v.reshape(self.size, -1).T
        out = torch.zeros_like(columns)
        with torch.enable_grad(), twice():
            for loss in self.losses:
                gradient = self._gradient(loss())
                for row, column in zip(out, columns, strict=True):
                    row += self._product(gradient, column)
        self.products += len(columns)
        return out.T.reshape(v.shape)

    def _gradient(self, loss: Tensor) -> Tensor:
        options: Any = {"create_graph": True, "allow_unused": True, "materialize_grads": True}
        return self._flat(torch.autograd.grad(loss, self.parameters, **options))

    def _product(self, gradient: Tensor, v: Tensor) -> Tensor:
        if not gradient.requires_grad:  # a linear loss
            return torch.zeros_like(v)
        options = {"retain_graph": True, "allow_unused": True, "materialize_grads": True}
        return self._flat(torch.autograd.grad(gradient, self.parameters, v, **options)).detach()

    @staticmethod
    def _flat(tensors: Sequence[Tensor]) -> Tensor:
        return torch.cat([tensor.reshape(-1) for tensor in tensors])

    def rademacher(self, k: int, generator: torch.Generator) -> Tensor:
        """(size, k) independent signs."""
        bits = torch.randint(2, (self.size, k), generator=generator, device=self.like.device)
        return (2 * bits - 1).to(self.like.dtype)


def landscape_hessian(model: Landscape) -> Hessian:
    """Of the summed loss of all replicas: block diagonal, so its trace is the sum of theirs."""
    return Hessian(list(model.parameters()), [lambda: model().sum()])


def classifier_hessian(
    model: nn.Module, x: Tensor, y: Tensor, loss: Callable[..., Tensor], memory: float = 1e9
) -> Hessian:
    """Of the mean of `loss(model(x), y, reduction=)` over the data, in chunks that fit `memory` bytes."""
    n, size = len(x), chunk_size(model, x, memory)
    chunks = zip(x.split(size), y.split(size), strict=True)
    losses = [lambda a=a, b=b: loss(model(a), b, reduction="sum") / n for a, b in chunks]
    return Hessian(list(model.parameters()), losses)


def chunk_size(model: nn.Module, x: Tensor, memory: float) -> int:
    """How many items a second-order graph within `memory` bytes can hold, at least one.

    Counts what the forward pass of one item saves, parameters apart. The graph of a Hessian product saves
    the forward pass, its backward pass and both their gradients: four times as much.
    """
    own = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *model.buffers())}
    seen: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor)
    with evaluation_mode(model), torch.enable_grad(), hooks:
        model(x[:1].clone())
    return max(1, min(len(x), int(memory / (4 * max(1, sum(seen.values()))))))


@torch.no_grad()
def hessian_trace(
    hessian: Hessian,
    *,
    method: Method = "hutchinson",
    relative_error: float = 0.05,
    max_samples: int = 1000,
    sketch: int = 10,
    generator: torch.Generator,
) -> Sampled:
    """Trace of the Hessian, from v^T H v of random signs v until the standard error is small enough.

    hutchinson: the mean of v^T H v. hutch++: the trace over a subspace of `sketch` dimensions that H itself
    has chosen is exact, and only the rest is sampled (Meyer et al., arXiv:2010.09649), which pays
    where few eigenvalues make the trace. exact: every diagonal entry, standard error 0; as many
    products as there are weights.
    """
    if method == "exact":
        diagonal = [_diagonal(hessian, i) for i in range(hessian.size)]
        return Sampled(float(sum(diagonal)), 0.0, hessian.size, tuple(diagonal))
    basis = hessian.like.new_zeros(hessian.size, 0)
    if method == "hutch++":
        probes = hessian.rademacher(min(sketch, hessian.size), generator)
        basis = torch.linalg.qr(hessian @ probes).Q
    known = (basis * (hessian @ basis)).sum().item() if basis.shape[1] else 0.0
    if basis.shape[1] == hessian.size:
        return Sampled(known, 0.0, 1, (known,))

    def draw(k: int) -> list[float]:
        v = hessian.rademacher(k, generator)
        v -= basis @ (basis.T @ v)
        return (known + (v * (hessian @ v)).sum(0).double()).tolist()

    return until(draw, relative_error, max_samples)


def _diagonal(hessian: Hessian, i: int) -> float:
    unit = hessian.like.new_zeros(hessian.size)
    unit[i] = 1
    return (hessian @ unit)[i].item()
