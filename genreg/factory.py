"""From a node of the configuration to what it makes; its errors name the YAML key."""

from collections.abc import Callable
from functools import update_wrapper
from pkgutil import resolve_name
from typing import Any

from genreg.errors import InputError
from genreg.parameters import blame
from genreg.torch_arguments import check

GROUPS = (
    "task", "dataset", "model", "loss", "regularizer", "optimizer", "generator_optimizer", "scheduler",
    "features", "measure", "logger",
)  # fmt: skip
"""What a configuration holds beside its scalars: nodes of which objects are made."""


def factory(node: Any, key: str) -> Callable[..., Any]:
    """What `_target_` names, with the other values of `node` bound; its errors name `key` and parameter.

    Arguments of a call replace bound values. The signature is the target's.
    """
    target = find_target(node, key)
    values = {name: value for name, value in node.items() if name != "_target_"}

    def call(*arguments: Any, **more: Any) -> Any:
        with blame(key, target):
            check(target, values)
            return target(*arguments, **{**values, **more})

    return update_wrapper(call, target)


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
