"""Makes an optimizer's step and what follows it, and chooses the weights that are judged."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from genreg.forward.update import update
from genreg.model.statistics import RunningStatistics
from genreg.optimizer import Perturbed, evaluation_weights
from genreg.regularizer import Regularizer
from genreg.task.methods import with_hook


class Trainer:
    """A model, the optimizers that move it, and the methods that act on it.

    optimizers: all that move the model's parameters, since the noise of each lies on the same weights.
    statistics: those that the model's passes move. average: a copy of the model that is judged in its place,
    as one that a method keeps (`judged`).
    """

    def __init__(
        self, model: nn.Module, *optimizers: Optimizer, methods: Mapping[str, Regularizer] | None = None,
        statistics: RunningStatistics | None = None, average: nn.Module | None = None,
    ) -> None:  # fmt: skip
        self.model, self.optimizers, self.average = model, list(optimizers), average
        self.methods = dict(methods or {})
        self.projecting = with_hook(self.methods, "project")
        self.statistics = statistics or RunningStatistics(model)

    def update(
        self, optimizer: Optimizer, objective: Callable[[], dict[str, Tensor]], scheduler: Any = None
    ) -> dict[str, Tensor]:
        """Make one step of `optimizer` and what follows any step; the detached terms of `forward.update`.

        In this order: running statistics settle, methods project, the learning rate moves.
        """
        terms = update(optimizer, objective)
        self.statistics.settle()
        if self.projecting:
            with self.denoised():
                for method in self.projecting.values():
                    method.project(self.model)
        if scheduler:
            scheduler.step()
        return {name: term.detach() for name, term in terms.items()}

    @contextmanager
    def denoised(self) -> Iterator[None]:
        """Set the weights to the iterate of `noise_free`; what moves it inside moves the weights as far.

        A projection is then of the weights that are judged, and Anti-PGD's noise still telescopes.
        """
        if not any(isinstance(one, Perturbed) and one.has_iterate for one in self.optimizers):
            yield
            return
        weights: list[Tensor] = [p for p in self.model.parameters() if p.requires_grad]
        with torch.no_grad():
            with self.noise_free():
                before = [w.clone() for w in weights]
                yield
                moved = [w - b for w, b in zip(weights, before, strict=True)]
            for w, by in zip(weights, moved, strict=True):
                w.add_(by)

    @contextmanager
    def noise_free(self) -> Iterator[None]:
        """Set the weights to those that all optimizers are judged by, then back bit for bit."""
        with ExitStack() as stack:
            for optimizer in self.optimizers:
                stack.enter_context(evaluation_weights(optimizer))
            yield

    @contextmanager
    def judged(self) -> Iterator[None]:
        """Set the weights to those that are evaluated, shown and saved, then back bit for bit.

        They are those of the model's average or a method's own, where there is one, else `noise_free`.
        """
        copy = self._copy()
        with self.noise_free() if copy is None else exchanged(self.model, copy):
            yield

    def end(self) -> None:
        """Judge the model itself from here on: its weights are those of another process."""
        if (copy := self._copy()) is not None:
            copy.load_state_dict(self.model.state_dict())

    def _copy(self) -> nn.Module | None:
        """The copy that is judged in the model's place, or None."""
        own = (getattr(method, method.judged) for method in self.methods.values() if method.judged)
        return next(own, self.average)


@contextmanager
def exchanged(model: nn.Module, other: nn.Module) -> Iterator[None]:
    """Give the model the parameters and buffers of a copy of it, then its own back."""
    own, theirs = ([*m.parameters(), *m.buffers()] for m in (model, other))
    before = [tensor.detach().clone() for tensor in own]
    with torch.no_grad():
        _copy(own, theirs)
    try:
        yield
    finally:
        with torch.no_grad():
            _copy(own, before)


def _copy(to: Sequence[Tensor], source: Sequence[Tensor]) -> None:
    for ours, theirs in zip(to, source, strict=True):
        ours.copy_(theirs)
