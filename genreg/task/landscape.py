"""Minimization of a landscape by many replicas at once."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from genreg.model.landscape import Landscape
from genreg.optimizer import Perturbed, build_optimizer, trainable
from genreg.parameters import checked
from genreg.run.metric import Family, Metric
from genreg.run.task import Task
from genreg.task.trainer import Trainer

CPU = torch.device("cpu")
SMALLER = ("loss", "gradient_squared", "trace", "test_error")  # is better
ALIVE = Metric("alive", "max")
W = Family("w", of_replicas=True)
Z = Family("z", of_replicas=True, otherwise="w")  # without anticorrelated noise, z is w


class Minimize(Task):
    """Owns a landscape of N replicas and their optimizer; `step` moves all of them by one tensor program.

    model and optimizer are factories: `model(seed=)` and `optimizer(parameters, ...)`. There is no
    data set.

    `evaluate` reports the mean over replicas and its standard error (`w/trace`, `w_stderr/trace`) of loss,
    squared gradient norm, Hessian trace and the landscape's coordinates, at the weights w and, for
    Anti-PGD, at the noise-free iterate z = w - xi. `results` holds every evaluation of every replica.

    A replica whose loss is not finite has died: it is left out of every mean from then on, the others go
    on, and `results` says at which step. When all have died the run stops as diverged.
    """

    groups = frozenset({"model", "optimizer", "scheduler"})
    trains = (Landscape, "a landscape")
    model: Landscape
    families = (W, Z, W.errors, Z.errors)
    selection = None
    progress = ("w/trace", "replicas/alive")

    @checked
    def __init__(
        self,
        *,
        model: Callable[..., Landscape],
        optimizer: Callable[..., torch.optim.Optimizer],
        scheduler: Callable[..., Any] | None = None,
        seed: int = 0,
        device: torch.device = CPU,
        precision: Literal["fp32"] = "fp32",
    ) -> None:
        self.device = device
        self.checksums: dict[str, str] = {}
        self.model = model(seed=seed).to(device)
        self.sizes = {"model.replicas": len(self.model.numbers)}
        self.optimizer = build_optimizer(
            optimizer, trainable(self.model), seed=seed, replicas=self.model.numbers
        )
        self.scheduler = scheduler(self.optimizer) if scheduler else None
        self.trainer = Trainer(self.model, self.optimizer, self.scheduler)
        self.metrics = [*_observed(self.model), ALIVE]
        self.steps = 0
        self.died = torch.full((len(self.model.numbers),), -1, device=device)  # step of the loss not finite
        self.history: dict[str, list[Tensor]] = {}

    @classmethod
    def reports(cls, **parts: Any) -> dict[str, Metric]:
        observed = _observed(parts["model"](seed=0))
        return {f"{of.name}/{metric.name}": metric for of in cls.families for metric in observed} | {
            f"replicas/{ALIVE.name}": ALIVE
        }

    def step(self, step: int) -> dict[str, Tensor]:
        """Make update `step` (from 0) of every replica; returns the mean loss of those alive."""
        terms = self.trainer.update(lambda: {"loss": self.model.backward()})
        loss = terms["loss"]
        self.steps = step + 1
        dying = (loss - loss != 0) & (self.died < 0)  # inf - inf and NaN - NaN are NaN: cheaper than isfinite
        self.died = self.died.masked_fill(dying, step)
        dead = self.died >= 0
        return {"loss": loss.masked_fill(dead, 0).sum() / (len(loss) - dead.sum())}

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Means over the replicas alive, with their standard errors; NaN if none is."""
        observed = {f"w/{name}": value for name, value in self._observe().items()}
        if isinstance(self.optimizer, Perturbed) and self.optimizer.anticorrelated:
            with self.optimizer.noise_free():
                observed |= {f"z/{name}": value for name, value in self._observe().items()}
        lost = (self.died < 0) & ~observed["w/loss"].isfinite()
        self.died = torch.where(lost, self.steps, self.died)
        self._remember(observed)
        return self._row(observed)

    def _observe(self) -> dict[str, Tensor]:
        """The values to record at these parameters, copied, since they move on."""
        loss, gradient = self.model.value_and_gradient()
        squared = torch.stack([g.flatten(1).square().sum(1) for g in gradient]).sum(0)
        named = {"loss": loss, "gradient_squared": squared, "trace": self.model.hessian_trace()}
        return named | {name: value.clone() for name, value in self.model.coordinates().items()}

    def _row(self, observed: dict[str, Tensor]) -> dict[str, float]:
        alive = self.died < 0
        n = int(alive.sum())
        row: dict[str, float] = {}
        for name, values in observed.items():
            kept, (iterate, quantity) = values[alive].double(), name.split("/")
            row[name] = kept.mean().item()
            if n > 1:
                row[f"{iterate}_stderr/{quantity}"] = kept.std().item() / n**0.5
        return row | {"replicas/alive": float(n)}

    def _remember(self, observed: dict[str, Tensor]) -> None:
        for name, values in {"step": torch.tensor(self.steps), **observed}.items():
            self.history.setdefault(name, []).append(values.detach().clone().cpu())

    def results(self) -> dict[str, dict[str, Tensor]]:
        """`replicas`: `step` (E,), each observed quantity (E, N), and `died` (N,), -1 for the living.

        `contours`, where there can be any: the loss on a grid around the paths (`task/landscape.py`).
        """
        stacked = {name: torch.stack(values) for name, values in self.history.items()}
        numbers, died = torch.tensor(list(self.model.numbers)), self.died.cpu()
        grid = contours(self.model, stacked, died < 0)
        return {
            "replicas": {**stacked, "replica": numbers, "died": died},
            **({"contours": grid} if grid else {}),
        }

    def weights(self) -> dict[str, Tensor]:
        """The parameters of every replica, at the iterate that the optimizer is to be judged by."""
        with self.trainer.judged():
            return {name: p.detach().clone() for name, p in self.model.named_parameters()}

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Take up the parameters; what makes the landscape follows from the configuration."""
        self.trainer.load_weights({**self.model.state_dict(), **weights})

    def state_dict(self) -> dict[str, Any]:
        history = {name: torch.stack(v) for name, v in self.history.items()}
        return self.trainer.state_dict() | {"steps": self.steps, "died": self.died, "history": history}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.trainer.load_state_dict(state)
        self.steps, self.died = state["steps"], state["died"].to(self.device)
        self.history = {name: list(values.cpu()) for name, values in state["history"].items()}


@torch.no_grad()
def _observed(model: Landscape) -> list[Metric]:
    """The metrics that are recorded of each replica."""
    places = model.coordinates()
    return [
        Metric(name, "min" if name in SMALLER else None, headline=name == "trace", coordinate=name in places)
        for name in sorted({"loss", "gradient_squared", "trace", *places})
    ]


SIDE = 48  # points of the grid each way
MARGIN = 0.1  # of what the paths span, on each side


@torch.no_grad()
def contours(model: Landscape, history: Mapping[str, Tensor], alive: Tensor) -> dict[str, Tensor]:
    """`w/<name>` (SIDE,) of both coordinates and `loss` (SIDE, SIDE), rows by the second one.

    history: each observed quantity, (evaluations, replicas). Empty for a landscape that has not two
    coordinates, or whose loss they do not determine.
    """
    names = list(model.coordinates())
    if len(names) != 2 or not history or not alive.any():
        return {}
    ends = {name: span(history[f"w/{name}"][:, alive]) for name in names}
    first, second = ends.values()
    columns, rows = torch.meshgrid(first, second, indexing="xy")
    loss = model.loss_at(dict(zip(names, (columns, rows), strict=True)))
    if loss is None:
        return {}
    return {"loss": loss.float(), **{f"w/{name}": at.float() for name, at in ends.items()}}


def span(values: Tensor) -> Tensor:
    """Evenly spaced values around these, on both sides of zero only where these are."""
    values = values.double()
    low, high = values.min().item(), values.max().item()
    margin = MARGIN * (high - low) or abs(high) * MARGIN or 1.0
    start = max(low - margin, 0.0) if low >= 0 else low - margin
    end = min(high + margin, 0.0) if high <= 0 else high + margin
    return torch.linspace(start, end, SIDE, dtype=torch.float64)
