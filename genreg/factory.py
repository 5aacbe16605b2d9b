"""Makes what a node of the configuration names; its errors name the YAML key."""

from collections.abc import Callable
from functools import update_wrapper
from pkgutil import resolve_name
from typing import Any

from genreg.errors import InputError
from genreg.parameters import blame
from genreg.torch_arguments import check

GROUPS = (
    "task", "dataset", "model", "loss", "regularizer", "optimizer", "generator_optimizer",
    "unlabeled_optimizer", "scheduler",
    "features", "measure", "logger",
)  # fmt: skip
"""What a configuration holds beside its scalars: nodes of which objects are made."""

KEYED = ("regularizer", "measure", "logger")
"""Groups of which several options may be chosen, each keyed by its own name."""


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
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, MemoryError) or "can't allocate memory" in str(error):  # numpy's, torch's
                raise _too_large(key, values, error) from error
            raise

    return update_wrapper(call, target)


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
    """The class or function that `node` names."""
    if not isinstance(node, dict) or "_target_" not in node:
        raise InputError(key, "keys with a _target_", node)
    try:
        module, _, attribute = str(node["_target_"]).rpartition(".")
        return resolve_name(f"{module}:{attribute}")
    except (ImportError, AttributeError, ValueError) as error:
        expected = "the dotted name of a class or function"
        raise InputError(f"{key}._target_", expected, node["_target_"]) from error
