"""The work of every task around an optimizer's step: attach methods, project, judge, save and load."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from genreg.forward.update import uncounted, update
from genreg.model.statistics import RunningStatistics
from genreg.optimizer import Perturbed, evaluation_weights
from genreg.regularizer import Regularizer
from genreg.regularizer.base import active, check_state, overrides

Precision = Literal["fp32", "tf32", "bf16"]


Methods = dict[str, Regularizer]


class Trainer:
    """A model, its optimizer, perhaps a scheduler of the learning rate, and the methods that act on it.

    optimizers: all that move the model's parameters, since the noise of each lies on the same weights.
    statistics: those that the model's passes move. average: a copy of the model that is judged in its place,
    as one that a method keeps (`judged`). judging: what else is set while weights are judged.
    """

    def __init__(
        self, model: nn.Module, optimizer: Optimizer, scheduler: Any = None, *,
        methods: Mapping[str, Regularizer] | None = None, statistics: RunningStatistics | None = None,
        average: nn.Module | None = None, judging: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:  # fmt: skip
        self.model, self.optimizer, self.scheduler, self.average = model, optimizer, scheduler, average
        self.judging = judging
        self.optimizers = [optimizer]
        self.methods = dict(methods or {})
        self.projecting = with_hook(self.methods, "project")
        self.statistics = statistics or RunningStatistics(model)

    def update(
        self, objective: Callable[[], dict[str, Tensor]], optimizer: Optimizer | None = None,
        scheduler: Any = None,
    ) -> dict[str, Tensor]:  # fmt: skip
        """Make one step and what follows any step; returns the detached terms of `forward.update`.

        In this order: running statistics settle, methods project, the learning rate moves.
        optimizer, scheduler: others of the same weights than the trainer's own.
        """
        if optimizer is None:
            optimizer, scheduler = self.optimizer, self.scheduler
        terms = update(optimizer, objective)
        self.statistics.settle()
        self.project()
        if scheduler:
            scheduler.step()
        return {name: term.detach() for name, term in terms.items()}

    def project(self) -> None:
        """Let methods change the weights that are judged, after a step."""
        if self.projecting:
            with self.denoised():
                for method in self.projecting.values():
                    method.project(self.model)

    def weights(self) -> dict[str, Tensor]:
        """A copy of the model's parameters and buffers, as evaluated."""
        with self.judged():
            return {name: weight.detach().clone() for name, weight in self.model.state_dict().items()}

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Take up `weights` of another process, to be judged: training ends here."""
        self.model.load_state_dict(weights)
        self.end()

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on, beside its number, the configuration and the methods."""
        return {
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict() if self.scheduler else None,
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up `state_dict` of another process."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler:
            self.scheduler.load_state_dict(state["scheduler"])

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
        with self.noise_free() if copy is None else exchanged(self.model, copy), self.judging():
            yield

    def end(self) -> None:
        """Judge the model itself from here on: its weights are those of another process."""
        if (copy := self._copy()) is not None:
            copy.load_state_dict(self.model.state_dict())
        self.judging = nullcontext

    def _copy(self) -> nn.Module | None:
        """The copy that is judged in the model's place, or None."""
        own = (getattr(method, method.judged) for method in self.methods.values() if method.judged)
        return next(own, self.average)


def attach(methods: Mapping[str, Regularizer], model: nn.Module) -> Methods:
    """Attach the methods that do anything to a model; they come in the order in which they run.

    Each draws the same random numbers as if it were alone and moves nothing of another, although torch reads
    a weight when it registers a second parametrization. Those that keep something (a teacher) are attached
    last, so that their copy of the model has what all others attached. Raises InputError for a method whose
    state no checkpoint would hold.
    """
    chosen = active(methods)
    for name, method in sorted(chosen.items(), key=lambda item: bool(item[1].keeps)):
        method.name = name
        with torch.random.fork_rng(devices=[]), uncounted():
            method.attach(model)
        check_state(name, method)
    return chosen


def with_hook(methods: Methods, hook: str) -> Methods:
    """The methods that have that hook of their own."""
    return {name: method for name, method in methods.items() if overrides(method, hook)}


def saved(methods: Methods) -> dict[str, Any]:
    """The state of every method that keeps any, for a checkpoint."""
    for name, method in methods.items():
        check_state(name, method)
    return {name: state for name, method in methods.items() if (state := method.state_dict())}


def load(methods: Methods, states: Mapping[str, Any], device: torch.device) -> None:
    """Take up what `saved` gave, on the device of the run."""
    for name, state in states.items():
        methods[name].load_state_dict(_moved(state, device))


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: _moved(node, device) for key, node in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_moved(node, device) for node in value)
    return value


def set_precision(precision: Precision) -> None:
    """Let float32 products use tf32, or forbid it; bf16 is a matter of each pass."""
    tf32 = precision == "tf32"
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32


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
