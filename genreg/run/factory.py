"""Makes an object of the plain values of a YAML node, by its `_target_`; a bad value is said with its key."""

import inspect
from collections.abc import Callable
from functools import cache, partial, update_wrapper
from pkgutil import resolve_name
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, BeforeValidator, create_model
from pydantic_core import PydanticCustomError

from genreg.errors import PAGE, InputError
from genreg.parameters import STRICT, Count, Fraction, NonNegative, Number, Positive, blame, parameters_of
from genreg.run.sources import FOREIGN

GROUPS = (
    "task", "dataset", "model", "loss", "regularizer", "optimizer", "generator_optimizer",
    "unlabeled_optimizer", "scheduler",
    "features", "measure", "logger",
)  # fmt: skip
"""The groups of a configuration: nodes of which objects are made."""

KEYED = ("regularizer", "measure", "logger")
"""Groups of which several options may be chosen, each keyed by its own name."""


KINDS: dict[str, tuple[str, ...]] = {
    "task": ("genreg.run.task.Task",),
    "dataset": ("genreg.dataset.Dataset", "torch.utils.data.Dataset", "builtins.tuple", "builtins.dict"),
    "model": ("torch.nn.Module", "builtins.tuple"),
    "loss": ("genreg.loss.base.Loss",),
    "regularizer": ("genreg.regularizer.Regularizer",),
    **dict.fromkeys(("optimizer", "generator_optimizer", "unlabeled_optimizer"), ("torch.optim.Optimizer",)),
    "scheduler": ("torch.optim.lr_scheduler.LRScheduler",),
    "measure": ("genreg.measure.ClassifierMeasure", "genreg.measure.GanMeasure"),
}
"""The classes of which a group's `_target_` makes an object; by name, since they lie in other rooms."""

MEMBERS = {"features": ("__call__",), "logger": ("start", "show", "finish")}
"""The methods that a class of the other groups has."""


def factory(node: Any, key: str) -> Callable[..., Any]:
    """Bind the values of `node` to what `_target_` names; errors name `key` and parameter.

    Arguments of a call replace bound values. The signature is the target's.
    """
    target = find_target(node, key)
    values = {name: value for name, value in node.items() if name != "_target_"}

    def call(*arguments: Any, **more: Any) -> Any:
        try:
            with blame(key, target):
                check(target, values)
                return target(*arguments, **{**values, **more})
        except (MemoryError, RuntimeError, OverflowError, TypeError) as error:
            if isinstance(error, MemoryError | OverflowError) or any(word in str(error) for word in LARGE):
                raise _too_large(key, values, error) from error
            raise _misfit(key, target, arguments, {**values, **more}) or error from error

    return update_wrapper(call, target)


LARGE = ("can't allocate memory", "Overflow", "overflow", "too large")
"""What numpy and torch say of a size."""


def _misfit(key: str, target: Any, arguments: tuple[Any, ...], values: dict[str, Any]) -> InputError | None:
    """The error of arguments that are not those of the target; None where its signature takes them."""
    try:
        inspect.signature(target).bind(*arguments, **values)
    except TypeError as error:
        return InputError(key, f"a target that is called as this group's are: {error}", target.__qualname__)
    except ValueError:  # it has no signature
        pass
    return None


def is_own(node: dict[str, Any]) -> bool:
    """True if a node names what a user has written."""
    return not str(node.get("_target_", "")).startswith("genreg.")


def _too_large(key: str, values: dict[str, Any], error: Exception) -> InputError:
    """The error of what does not fit into memory, blamed on the largest number of its node."""
    numbers = {name: _largest(value) for name, value in values.items()}
    name = max(numbers, key=lambda name: numbers[name], default="")
    if not name or numbers[name] < 1:
        return InputError(key, "what fits into memory", str(error).splitlines()[0])
    return InputError(f"{key}.{name}", "a size that fits into memory", values[name])


def _largest(value: Any) -> float:
    """The largest number in a value; 0 without any."""
    parts = value if isinstance(value, list) else [value]
    return max((p for p in parts if isinstance(p, int | float) and not isinstance(p, bool)), default=0)


def find_target(node: Any, key: str) -> Any:
    """The class or function that `node` names; InputError for one that clearly makes nothing of the group."""
    if not isinstance(node, dict) or "_target_" not in node:
        raise InputError(key, "keys with a _target_", node)
    name, group = str(node["_target_"]), key.partition(".")[0]
    module, _, attribute = name.rpartition(".")
    try:
        target = resolve_name(f"{module}:{attribute}")
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"{key}._target_", "the dotted name of a class or function", name) from error
    except (Exception, SystemExit) as error:  # a module may do anything
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"{key}._target_", f"a module {module} that can be imported", reason) from error
    if key.count(".") <= (group in KEYED) and not makes(target, group):
        named = (kind for kind in KINDS.get(group, ()) if not kind.startswith("builtins."))
        kinds = " or ".join(named) or f"an object with {', '.join(MEMBERS.get(group, ()))}"
        page = f" ({PAGE})" if group in ("model", "dataset") else ""
        raise InputError(f"{key}._target_", f"a class or function that makes {kinds}{page}", name)
    return target


def makes(target: Any, group: str) -> bool:
    """False if a target makes no object of the group: by its class, or by the annotation of a function.

    A function that says nothing of what it returns may be a user's, but none of torch or Python itself.
    """
    if isinstance(target, type) and group in MEMBERS:
        own = {name for above in target.__mro__ for name in vars(above)}
        return own >= {*MEMBERS[group]}
    ours = str(getattr(target, "__module__", "")).startswith(
        "genreg."
    )  # tuples and the like are a user's way
    kinds = tuple(resolve_name(k) for k in KINDS.get(group, ()) if not (ours and k.startswith("builtins.")))
    if isinstance(target, type):
        usable = target not in kinds and not inspect.isabstract(target)
        return not kinds or (issubclass(target, kinds) and usable)
    function = inspect.unwrap(target.func if isinstance(target, partial) else target)
    if not inspect.isfunction(function):
        return False
    foreign = str(function.__module__).partition(".")[0] in FOREIGN
    return not foreign and (not kinds or _may_be(_returned(function), kinds))


def _returned(function: Any) -> Any:
    """The annotation of what a function returns; Any without one that can be read."""
    try:
        return get_type_hints(function).get("return", Any)
    except Exception:  # of names that exist for a type checker only
        return Any


def _may_be(annotation: Any, kinds: tuple[type, ...]) -> bool:
    """True unless an annotation names nothing but other classes."""
    if get_origin(annotation) in (Union, UnionType):
        return any(_may_be(one, kinds) for one in get_args(annotation))
    named = get_origin(annotation) or annotation
    return named is Any or not isinstance(named, type) or issubclass(named, kinds)


def _pair(value: Any) -> Any:
    if not isinstance(value, list) or len(value) != 2:
        raise PydanticCustomError("pair", "a list of 2 numbers")
    return value


Betas = Annotated[list[Fraction], BeforeValidator(_pair)]
SGD = {"lr": NonNegative, "momentum": Fraction, "dampening": NonNegative, "weight_decay": NonNegative,
       "nesterov": bool, "fused": bool}  # fmt: skip
ADAM = {"lr": NonNegative, "betas": Betas, "eps": Positive, "weight_decay": NonNegative, "amsgrad": bool,
        "fused": bool}  # fmt: skip
ARGUMENTS: dict[str, dict[str, Any]] = {
    "SGD": SGD,
    "Adam": ADAM,
    "AdamW": ADAM,
    "RMSprop": {"lr": NonNegative, "alpha": Fraction, "eps": Positive, "weight_decay": NonNegative,
                "momentum": Fraction, "centered": bool},
    "CosineAnnealingLR": {"T_max": Count, "eta_min": Number},
    "LinearLR": {"total_iters": Count, "start_factor": Positive, "end_factor": NonNegative},
    "StepLR": {"step_size": Count, "gamma": Positive},
}  # fmt: skip
"""By name of the class. What else of torch a user names is left to torch's own checks."""


def check_values(node: Any, key: str) -> None:
    """InputError for a value of a node that its target would refuse, without a call of it.

    Only of targets that check the types of their arguments: others say themselves what they take.
    """
    target = find_target(node, key)
    values = {name: value for name, value in node.items() if name != "_target_"}
    with blame(key, target):
        check(target, values)
        if declared := _declared(target):
            open_to_more = any(p.kind is p.VAR_KEYWORD for p in parameters_of(target).values())
            known = declared.model_fields.keys() if open_to_more else values.keys()
            declared(**{name: value for name, value in values.items() if name in known})


MANY = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


@cache
def _declared(target: Any) -> type[BaseModel] | None:
    """The parameters of a target as a model in which none is needed; None where no call of it is checked."""
    checked = [target, getattr(target, "__init__", None)]
    if not any(hasattr(one, "raw_function") or hasattr(one, "__pydantic_validator__") for one in checked):
        return None
    named = {name: p for name, p in parameters_of(target).items() if p.kind not in MANY and name != "self"}
    typed = {name: Any if p.annotation is p.empty else p.annotation for name, p in named.items()}
    fields: dict[str, Any] = {name: (kind, None) for name, kind in typed.items()}
    return create_model(target.__name__, __config__=STRICT, **fields)


def check(target: Any, values: dict[str, Any]) -> None:
    """Raise ValidationError where `values` do not fit a torch class that is known here."""
    if str(target.__module__).startswith("torch.") and target.__name__ in ARGUMENTS:
        _model(target)(**values)


@cache
def _model(target: Any) -> type[BaseModel]:
    taken = inspect.signature(target).parameters
    fields: dict[str, Any] = {
        key: (kind | None if taken[key].default is None else kind, None)
        for key, kind in ARGUMENTS[target.__name__].items()
    }
    return create_model(target.__name__, __config__=STRICT, **fields)
