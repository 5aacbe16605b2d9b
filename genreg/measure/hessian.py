"""Products with the Hessian, and its trace, diagonal and extreme eigenvalues from them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from genreg.measure.base import Sampled, until
from genreg.model.landscape import Landscape
from genreg.model.passes import evaluation_mode, norm, twice

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
    """The Hessian of the summed loss of all replicas: block diagonal, so its trace is the sum of theirs."""
    return Hessian(list(model.parameters()), [lambda: model().sum()])


def classifier_hessian(
    model: nn.Module, x: Tensor, y: Tensor, loss: Callable[..., Tensor], memory: float = 1e9
) -> Hessian:
    """The Hessian of the mean `loss(model(x), y, reduction=)`, in chunks of data that fit `memory` bytes."""
    n, size = len(x), chunk_size(model, x, memory)
    chunks = zip(x.split(size), y.split(size), strict=True)
    losses = [lambda a=a, b=b: loss(model(a), b, reduction="sum") / n for a, b in chunks]
    return Hessian(list(model.parameters()), losses)


def chunk_size(model: nn.Module, x: Tensor, memory: float) -> int:
    """The number of items that a second-order graph within `memory` bytes can hold, at least one.

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


FEWEST = 8  # probes before the standard error of a density is trusted enough to stop by it


@dataclass(frozen=True)
class Eigenvalues:
    """values: largest first; residuals: |H q - value q|; n: products.

    Within a residual of its value lies some eigenvalue of H, which need not be the one of that rank: a larger
    one may be missed whose eigenvector the start hardly touches.
    """

    values: tuple[float, ...]
    residuals: tuple[float, ...]
    n: int


@dataclass(frozen=True)
class Density:
    """density: eigenvalues per unit of `grid`, with integral 1, and its standard error over `n` probes.

    nodes and weights: the quadrature of each probe, (n, steps); sum(weights * f(nodes)) estimates tr f(H)
    over the number of weights.
    """

    grid: Tensor
    density: Tensor
    stderr: Tensor
    n: int
    nodes: Tensor
    weights: Tensor


def lanczos(hessian: Hessian, start: Tensor, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Tridiagonal T = Q^T H Q and Q (size, m) with orthonormal columns from `start`, and the next beta.

    Every vector is orthogonalized twice against all before it, since rounding otherwise returns copies of
    eigenvalues already found. m < steps if the Krylov space is exhausted; then beta is 0.
    """
    q = start / start.norm()
    columns, alphas, betas = [q], [], []
    tiny = 100 * torch.finfo(q.dtype).eps
    scale = 0.0
    for _ in range(min(steps, hessian.size)):
        r = hessian @ columns[-1]
        alphas.append(torch.dot(columns[-1], r).item())
        scale = max(scale, norm(r).item())
        basis = torch.stack(columns, 1)
        for _ in range(2):
            r = r - basis @ (basis.T @ r)
        betas.append(norm(r).item())
        if betas[-1] <= tiny * scale:
            betas[-1] = 0.0
            break
        columns.append(r / betas[-1])
    m = len(alphas)
    off = torch.tensor(betas[: m - 1], dtype=torch.float64)
    t = torch.diag(torch.tensor(alphas, dtype=torch.float64)) + torch.diag(off, 1) + torch.diag(off, -1)
    return t, torch.stack(columns[:m], 1), torch.tensor(betas[-1], dtype=torch.float64)


@torch.no_grad()
def hessian_eigenvalues(
    hessian: Hessian, *, k: int = 1, relative_error: float = 1e-3, max_products: int = 200,
    generator: torch.Generator,
) -> Eigenvalues:  # fmt: skip
    """The k largest eigenvalues, Lanczos steps being doubled until each residual is small enough.

    relative_error: of each residual to the largest absolute value found.
    """
    start = torch.randn(hessian.size, generator=generator, device=hessian.like.device)
    start = start.to(hessian.like.dtype)
    before, steps = hessian.products, min(hessian.size, max(2 * k, 10))
    while True:
        t, _, beta = lanczos(hessian, start, steps)
        values, vectors = torch.linalg.eigh(t)
        residuals = (beta * vectors[-1].abs()).flip(0)[:k]
        done = (residuals <= relative_error * values.abs().max()).all()
        spent = hessian.products - before
        if done or steps >= hessian.size or spent + 2 * steps > max_products:
            return Eigenvalues(tuple(values.flip(0)[:k].tolist()), tuple(residuals.tolist()), spent)
        steps = min(2 * steps, hessian.size)


@torch.no_grad()
def hessian_density(
    hessian: Hessian, *, steps: int = 40, width: float = 0.02, points: int = 400,
    relative_error: float = 0.1, max_samples: int = 100, generator: torch.Generator,
) -> Density:  # fmt: skip
    """Stochastic Lanczos quadrature of the spectral density, smoothed by a Gaussian.

    Ghorbani et al., arXiv:1901.10159. width: standard deviation of the Gaussian as a share of the range of
    eigenvalues. Probes are added until the standard error at the peak is `relative_error` of the peak.
    """
    nodes: list[Tensor] = []
    weights: list[Tensor] = []
    while True:
        t, _, _ = lanczos(hessian, hessian.rademacher(1, generator)[:, 0], steps)
        values, vectors = torch.linalg.eigh(t)
        nodes.append(values)
        weights.append(vectors[0].square())
        if len(nodes) < min(FEWEST, max_samples):
            continue
        grid, curves = _smoothed(nodes, weights, width, points)
        mean, n = curves.mean(0), len(nodes)
        stderr = curves.std(0) / math.sqrt(n) if n > 1 else torch.full_like(mean, math.nan)
        peak = mean.argmax()
        if stderr[peak] <= relative_error * mean[peak] or n >= max_samples:
            return Density(grid, mean, stderr, n, _padded(nodes), _padded(weights))


def _smoothed(
    nodes: Sequence[Tensor], weights: Sequence[Tensor], width: float, points: int
) -> tuple[Tensor, Tensor]:
    """The grid, and each probe's density on it, (n, points)."""
    low, high = (float(f(torch.cat(list(nodes)))) for f in (torch.min, torch.max))
    sigma = width * ((high - low) or abs(high) or 1.0)
    grid = torch.linspace(low - 4 * sigma, high + 4 * sigma, points, dtype=torch.float64)
    curves = []
    for x, w in zip(nodes, weights, strict=True):
        bells = torch.exp(-0.5 * ((grid - x[:, None]) / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))
        curves.append((w[:, None] * bells).sum(0))
    return grid, torch.stack(curves)


def _padded(rows: Sequence[Tensor]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
