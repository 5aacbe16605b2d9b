"""The one axis on which arms differ: hooks in the order in which a step runs them."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import BeforeValidator, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError
from torch import Tensor, nn

from genreg.dataset import Batch
from genreg.errors import InputError
from genreg.parameters import STRICT, Count, NonNegative

Reads = Literal["labeled", "unlabeled", "again", "numbers", "classes", "pictures", "tokens"]


@dataclass(config=STRICT, kw_only=True)
class Ramp:
    """A weight that moves in a straight line from `start` to `end` over the first `steps` updates."""

    start: NonNegative = 0.0
    end: NonNegative = 1.0
    steps: Count

    def at(self, step: int) -> float:
        """The weight of update `step`, from 0."""
        return self.start + (self.end - self.start) * min(1.0, step / self.steps)


def _ramp(value: Any) -> Any:
    try:
        return Ramp(**value) if isinstance(value, dict) else value
    except ValidationError as error:
        raise PydanticCustomError(
            "ramp", "a number, or start, end (0 or more) and steps (1 or more)"
        ) from error


class Ramps:
    """Ramps of replicas, of (R,) numbers each, in float64."""

    def __init__(self, start: Tensor, end: Tensor, steps: Tensor) -> None:
        self.start, self.end, self.steps = start, end, steps

    def at(self, step: int) -> Tensor:
        """The weights of update `step`, (R,), with the bits of `Ramp.at`."""
        share = torch.full_like(self.steps, step) / self.steps  # a number over a tensor rounds otherwise
        return self.start + (self.end - self.start) * share.clamp(max=1)


Weight = Annotated[NonNegative | Ramp, BeforeValidator(_ramp)]
"""Factor of a penalty in the objective; a method whose weight is 0 is left out of the run."""


class Regularizer:
    """Base of every method; a subclass is a pydantic dataclass whose fields are its YAML keys.

    Every hook is optional. A method with a penalty has the field `weight: Weight`. It annotates `forward` as
    the kind of pass that it needs: `Forward` if any will do, or that of one task (`ClassifierForward`).

    reads: what of the step its penalty reads beside `points` and `score`: the logits of the `labeled` or the
    `unlabeled` pass, a further pass (`again`), which items of the pool these are (`numbers`), logits as those
    of `classes`; inputs that are `pictures`, or rows of an embedding table (`tokens`).
    replicas: a literal that says that runs with the method may be trained as one program, and which of its
    parameters may then differ between them: those that it reads by `forward.factor` or `batch.factor`. It
    averages over items by `forward.mean` and draws by the functions of `streams`. The numbers of what it
    attaches and of its projection may all differ, since these act on each replica apart. None: each run is a
    program of its own.
    of_weights: its penalty reads the weights alone (`forward.model`, `forward.parameters`): of replicas, each
    has its own.
    by_item: a literal that says that processes may share a batch: what the method adds is of the weights, or
    a mean over items of which each depends on itself and the weights only, and it draws for items by the
    functions of `streams`; and which options must then have which values. None: it is refused there.
    name: the key under which it was chosen.
    sets_norm: how it fixes the size of weights, by a `parametrization` of each or a `projection` after the
    step; a parametrization goes with no other of either kind.
    keeps: names of its attributes (tensors, modules, numbers) that the next step depends on; they are saved
    with every checkpoint. A tensor or module kept under another name is refused.
    unlabeled: true if `batch` changes the unlabeled batch too, by draws of its own.
    judged: the name among them of a copy of the model, as a teacher, that is evaluated, shown and saved in
    the model's place; none if empty.
    """

    reads: ClassVar[frozenset[Reads]] = frozenset()
    replicas: ClassVar[tuple[str, ...] | None] = None
    of_weights: ClassVar[bool] = False
    by_item: ClassVar[tuple[str, ...] | None] = None
    sets_norm: ClassVar[Literal["", "parametrization", "projection"]] = ""
    keeps: ClassVar[tuple[str, ...]] = ()
    judged: ClassVar[str] = ""
    name = ""
    unlabeled: bool = False

    @property
    def idle(self) -> bool:
        """True if its parameters leave it without any effect: it is then left out of the run."""
        return not getattr(self, "weight", 1.0)

    @property
    def trains_unlabeled(self) -> bool:
        """True if gradients flow through the clean unlabeled logits; False saves their backward pass."""
        return "unlabeled" in self.reads

    def attach(self, model: nn.Module) -> None:
        """Change the model before the optimizer is built: parametrizations, noise on hidden layers."""

    def batch(self, batch: Batch, draw: Any) -> Batch:
        """The batch that the model is shown, the labeled one: input noise, mixtures, soft targets."""
        return batch

    def losses(self, forward: Any, losses: Tensor) -> Tensor:
        """The losses (B,) of the labeled items whose mean is minimized: weighed, mixed or replaced."""
        return losses

    def penalty(self, forward: Any) -> Tensor | None:
        """The unweighted term of this step, a scalar; None if the method has none."""
        return None

    def project(self, model: nn.Module) -> None:
        """Change weights in place after every optimizer's step: clipping, projections, moving averages.

        They are those that are judged, without the noise of Anti-PGD.
        """

    def state_dict(self) -> dict[str, Any]:
        """The attributes that `keeps` names; modules as their own state."""
        kept = {name: getattr(self, name) for name in self.keeps}
        return {name: v.state_dict() if isinstance(v, nn.Module) else v for name, v in kept.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up `state_dict()` of another process."""
        for name, value in state.items():
            if isinstance(own := getattr(self, name), nn.Module):
                own.load_state_dict(value)
            else:
                setattr(self, name, value)


def reads_of(scope: str) -> frozenset[Reads]:
    """The inputs that a perturbation of that scope reads."""
    return frozenset({"tokens"} if scope == "table" else ())


def weight_at(method: Regularizer, step: int) -> Any:
    """The factor of the method's penalty at an update; of replicas whose factors differ, (R,)."""
    weight: float | Ramp | Ramps = getattr(method, "weight", 1.0)
    return weight.at(step) if isinstance(weight, Ramp | Ramps) else weight


def penalized(
    loss: Tensor, methods: Mapping[str, Regularizer], forward: Any, step: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of an update with each method's penalty times its weight, and these terms unweighted."""
    terms = {}
    for name, method in methods.items():
        if (penalty := method.penalty(forward.of(name))) is not None:
            terms[name], weight = penalty, forward.factor(weight_at(method, step), penalty)
            plain = not isinstance(weight, Tensor) and weight == 1  # 1 % of a small step
            loss = loss + (penalty if plain else weight * penalty)
    return loss, terms


def active(methods: Mapping[str, Regularizer]) -> dict[str, Regularizer]:
    """The methods that do anything, in the order in which they run: that of their names."""
    return {name: method for name, method in sorted(methods.items()) if not method.idle}


def overrides(method: Regularizer, hook: str) -> bool:
    """True if the method has a hook of its own."""
    return getattr(type(method), hook) is not getattr(Regularizer, hook)


def check_state(name: str, method: Regularizer) -> None:
    """Refuse a method that keeps tensors or modules which no checkpoint would hold."""
    for attribute, value in vars(method).items():
        if holds_tensors(value) and attribute not in method.state_dict():
            expected = f"{attribute!r} in `keeps` (or state_dict), so that a resumed run has it"
            raise InputError(f"regularizer.{name}", expected, type(value).__name__)


def holds_tensors(value: object) -> bool:
    """True if a value is, or contains, a tensor, a module or a generator."""
    if isinstance(value, dict):
        return any(map(holds_tensors, value.values()))
    if isinstance(value, list | tuple):
        return any(map(holds_tensors, value))
    return isinstance(value, Tensor | nn.Module | torch.Generator)
